"""A sweep: gone on with, shared, killed; what it chooses samples; what it cannot do is front_of in a line."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import signal
import sys
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from jvid import paper
from jvid.documents import plain
from jvid.ensemble import Composition, Source
from jvid.ensemble.canonical import canonical
from jvid.errors import InputError, MissingDependencyError
from jvid.plugins.registry import Registry, using
from jvid.strategy.strategy import Strategy
from jvid_training.jobs import pool
from jvid_training.search import sweep, trials, workers
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.front import front
from jvid_training.search.recipe import load_study, structure_study
from jvid_training.search.scores import Scores
from tests.forks import Workers
from tests.search_tools import Means, Real, call, document, opened, swept, toy_sweep, worker, write
from tests.toy import STRATEGY, toy_ensemble

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _toys(toys: None) -> None:
    pass


def front_of(study: Evaluator | Path) -> dict[str, Any]:
    folder = study if isinstance(study, Path) else study.folder
    return json.loads((folder / "front.json").read_text())


def strategies(study: Evaluator | Path) -> list[dict[str, Any]]:
    folder = study if isinstance(study, Path) else study.folder
    return [json.loads(path.read_text())["strategy"] for path in sorted(folder.glob("trials/*.json"))]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of five trials, the last two of them drawn from what the first three taught."""
    return toy_sweep(tmp_path_factory)


FORK = multiprocessing.get_context("fork")
"""A worker in a process of its own imports nothing again."""


def child(out: Path, count: int, stop: int | None = None, meet: Barrier | None = None) -> BaseProcess:
    process = FORK.Process(target=worker, args=(out, count, stop, meet))
    process.start()
    return process


def test_a_sweep_that_is_gone_on_with_is_the_unbroken_one(tmp_path: Path, unbroken: Path) -> None:
    broken = tmp_path / "b"
    assert len(strategies(swept(document(broken), 2))) == 2
    again = swept(document(broken), 5)
    assert len(strategies(again)) == 5
    assert strategies(again) == strategies(unbroken)
    assert [p["values"] for p in front_of(again)["points"]] == [
        p["values"] for p in front_of(unbroken)["points"]
    ]
    # Nothing is left to do, and nothing is done.
    assert front_of(swept(document(broken), 5)) == front_of(again)


def test_a_killed_worker_loses_nothing_and_changes_nobodys_draws(tmp_path: Path, unbroken: Path) -> None:
    killed = child(tmp_path / "killed", 4, 3)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    before = len(list((tmp_path / "killed/trials").iterdir()))
    assert before == 2
    evaluator = swept(document(tmp_path / "killed"), 4)
    assert front_of(evaluator)["trials"] == {"finished": 4, "judged": 4}
    whole = front_of(unbroken)["points"][:4]
    assert [p["strategy"] for p in front_of(evaluator)["points"]] == [p["strategy"] for p in whole]
    # The dead worker's lock is gone, and its trial is there once, with a new number.
    assert [p["number"] for p in front_of(evaluator)["points"]] == [0, 1, 3, 4]
    assert list((tmp_path / "killed/workers").iterdir()) == []


def test_two_workers_share_one_storage(tmp_path: Path) -> None:
    opened(document(tmp_path))  # prices
    meet = FORK.Barrier(2)  # both have a trial at hand
    both = [child(tmp_path, 5, meet=meet) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    recipe, evaluator = opened(document(tmp_path))
    finished = sweep.open_trials(evaluator, recipe.sweep).finished()
    assert len(finished) == 5
    assert len({trial.user_attrs["worker"] for trial in finished}) == 2
    assert sorted(trial.number for trial in finished) == list(range(5))
    assert len(front_of(evaluator)["points"]) == 5


def test_known_points_come_first_and_only_those_of_the_space_teach(tmp_path: Path) -> None:
    base = {"known": True, "space": {"steps": [2, 8]}}
    evaluator = swept(document(tmp_path, sweep=base), 4)
    points = front_of(evaluator)["points"]
    assert [point["known"] for point in points] == ["strategy", "video model", "image model", ""]
    recipe, _ = opened(document(tmp_path, sweep=base))
    states = {
        t.user_attrs.get("known", ""): t.state.name
        for t in sweep.open_trials(evaluator, recipe.sweep).finished()
    }
    # The ensemble's strategy has 8 steps; each expert alone has no selector of the space's.
    assert states["strategy"] == "COMPLETE"
    assert states["video model"] == states["image model"] == "PRUNED"
    assert Composition(Strategy.from_dict(points[1]["strategy"])).experts == ("video",)


def test_points_of_the_recipe_are_judged_beside_the_known_ones(tmp_path: Path) -> None:
    mine = canonical(attrs.evolve(STRATEGY, steps=3), toy_ensemble())
    mine.save(tmp_path / "mine.json")
    asked_for = {"known": False, "points": {"mine": str(tmp_path / "mine.json")}}
    evaluator = swept(document(tmp_path / "a", sweep=asked_for), 2)
    first, second = front_of(evaluator)["points"]
    assert (first["known"], second["known"]) == ("mine", "")
    assert Strategy.from_dict(first["strategy"]) == mine
    taken = {"known": True, "points": {"video model": str(tmp_path / "mine.json")}}
    with pytest.raises(InputError, match=r"sweep\.points: 'video model' is a known point's label"):
        swept(document(tmp_path / "b", sweep=taken), 1)
    with pytest.raises(InputError, match=r"absent\.json"):
        swept(document(tmp_path / "c", sweep={"points": {"mine": str(tmp_path / "absent.json")}}), 1)


def test_the_front_is_that_of_the_figures(unbroken: Path) -> None:
    points = front_of(unbroken)["points"]
    assert [point["front"] for point in points] == front([point["values"] for point in points])
    for point in points:
        scores = Scores.from_dict({name: point[name] for name in ("figures", "clips", "cost", "seconds")})
        assert scores.objectives(["clip", "frame", "cost"]) == point["values"]
        assert scores.clips == 4
    # The clips of trials are not kept, their figures are.
    assert list((unbroken / "sets").iterdir()) == []
    assert len(list((unbroken / "trials").iterdir())) == 5


@pytest.mark.parametrize(("sampler", "count"), [("nsga-ii", 4), ("random", 2)])
def test_other_samplers(tmp_path: Path, sampler: str, count: int) -> None:
    found = document(tmp_path, sweep={"sampler": sampler, "startup": 2})
    assert len(front_of(swept(found, count))["points"]) == count


def test_a_trial_that_is_clearly_worse_on_a_part_is_stopped_there(tmp_path: Path) -> None:
    pruning = {"clips": [2], "margin": 0.0, "after": 2}
    found = document(tmp_path, sweep={"pruning": pruning, "objectives": ["clip", "frame"]})
    evaluator = swept(found, 8)
    records = [json.loads(path.read_text()) for path in sorted((tmp_path / "trials").iterdir())]
    stopped = [record for record in records if record["judged"] is None]
    assert 0 < len(stopped) < len(records)
    whole: list[list[float]] = []
    for record in records:  # one worker: in this order
        part = record["parts"]["2"]
        beaten = any(all(a <= b for a, b in zip(other, part, strict=True)) for other in whole)
        assert (record["judged"] is None) == (beaten and len(whole) >= 2)
        if record["judged"] is None:
            assert record["reason"] == "clearly worse after 2 clips"
            assert list(record["parts"]) == ["2"]
        else:
            whole.append(part)
    assert front_of(evaluator)["trials"] == {"finished": 8, "judged": 8 - len(stopped)}


def test_one_objective_is_pruned_by_optuna(tmp_path: Path) -> None:
    found = document(tmp_path, sweep={"pruning": {"clips": [2], "after": 1}, "objectives": ["clip"]})
    evaluator = swept(found, 6)
    recipe, _ = opened(found)
    finished = sweep.open_trials(evaluator, recipe.sweep).finished()
    reported = [t.intermediate_values[2] for t in finished]
    for i, trial in enumerate(finished):
        earlier = [value for value, t in zip(reported[:i], finished, strict=False)]
        worse = bool(earlier) and reported[i] > np.median(earlier)
        assert (trial.state.name == "PRUNED") == worse


def test_chosen_points_sample_and_are_confirmed_on_other_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, frame = Means("clip"), Means("frame")
    monkeypatch.setattr("jvid_training.search.components.networks_of", lambda networks: (clip, frame))
    monkeypatch.setattr("jvid_training.evaluation.sources.real_clips", lambda reference, **options: Real())
    recipe = write(tmp_path, document(tmp_path / "out"))
    opened(document(tmp_path / "out"))
    assert call("sweep", recipe, "--trials", "3") == 0
    shown = capsys.readouterr().out
    assert "3 trials, 3 judged whole" in shown
    assert (tmp_path / "out/front.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "out/front.svg").read_text()[:500]
    number = next(
        p["number"] for p in json.loads((tmp_path / "out/front.json").read_text())["points"] if p["front"]
    )
    assert call("sweep", recipe, "--choose", str(number), "-o", "best.json") == 0
    words = ["--ensemble", "toy", "--strategy", "best.json", "-o", "clip.safetensors"]
    assert call("sample", "a person waving", *words) == 0
    assert call("sweep", recipe, "--choose", "99", "-o", "best.json") == 2
    assert "trial 99 is not in" in capsys.readouterr().err
    assert call("sweep", recipe, "--confirm", str(number)) == 0
    table = json.loads((tmp_path / "out/confirmed-4-clips-seed-500.json").read_text())
    assert [row["label"] for row in table["rows"]] == [
        "strategy",
        "video model",
        "image model",
        f"trial {number}",
    ]
    sets = [json.loads(path.read_text()) for path in (tmp_path / "out/sets").glob("*/set.json")]
    assert {found["seed"] for found in sets} == {500}


def test_what_cannot_be_is_reported_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for change, message in (
        ({"sweep": {"space": {"setps": [1, 2]}}}, "sweep.space.setps: unknown parameter, expected one of selector"),
        ({"sweep": {"objectives": ["clip", "speed"]}}, "sweep.objectives: got ['clip', 'speed'], expected some of"),
        ({"sweep": {"trails": 3}}, "sweep.trails: unknown key, expected one of"),
        ({"sweep": {"pruning": {"clips": [4]}}}, "sweep.pruning.clips: got [4], expected rising numbers"),
        ({"study": {"report_seed": 2}}, "study.report_seed: got 2 for 4 clips"),
        ({"study": {"batch": 3}}, "study.batch: got 3, expected a multiple of micro_batch, 2"),
        ({}, "sweep.objectives: 'clip' needs study.networks.clip: name one, or leave it out"),
        ({"study": {"reference": str(tmp_path / "none")}, "sweep": {"objectives": ["cost"]}}, "no latents in"),
    ):  # fmt: skip
        monkeypatch.setattr("jvid_training.search.components.networks_of", lambda networks: ())
        recipe = write(tmp_path, document(tmp_path / "out", **change))
        assert call("sweep", recipe) == 2
        error = capsys.readouterr().err
        assert message in error, error
        assert error.count("\n") == 1
    assert not (tmp_path / "out/sets").exists()
    assert call("sweep", write(tmp_path, document(tmp_path / "out")), "--choose", "1") == 2
    assert "--choose TRIAL and -o FILE go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (Real(fps=10.0), "at 10 fps, expected 5 at 12.5"),
        (Real(size=(48, 48)), "frames of 48x48, expected 64x64"),
    ],
)
def test_a_reference_of_other_size_or_rate(tmp_path: Path, real: Real, message: str) -> None:
    recipe, evaluator = opened(document(tmp_path), reference=real)
    with pytest.raises(InputError, match=message):
        sweep.open_trials(evaluator, recipe.sweep)


def test_a_sweep_of_other_settings_is_refused(tmp_path: Path, unbroken: Path) -> None:
    shutil.copytree(unbroken, tmp_path, dirs_exist_ok=True)
    with pytest.raises(
        InputError, match=r"sweep of other settings; num: 4 then, 6 now: give study.out another folder"
    ):
        swept(document(tmp_path, study={"num": 6}), 6)
    # The number of trials is no such setting.
    assert len(strategies(swept(document(tmp_path, sweep={"trials": 9}), 6))) == 6


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'jvid\[training\]'"):
        trials.optuna_module()


def test_a_full_disk_is_reported_and_the_trial_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, evaluator = opened(document(tmp_path))
    opened_trials = sweep.open_trials(evaluator, recipe.sweep)
    sweep.work(evaluator, opened_trials, 1)

    def full(path: Path, document: Any) -> None:
        raise InputError(f"cannot write {path}: No space left on device; free the space or give another path")

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "write_json", full)
        with pytest.raises(InputError, match="No space left on device"):
            sweep.work(evaluator, opened_trials, 2)
    assert len(opened_trials.finished()) == 1
    again = swept(document(tmp_path), 2)
    assert len(front_of(again)["points"]) == 2


def test_a_full_storage_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.exceptions import StorageInternalError

    recipe, evaluator = opened(document(tmp_path))
    opened_trials = sweep.open_trials(evaluator, recipe.sweep)

    def full(*arguments: Any, **options: Any) -> None:
        raise StorageInternalError("database or disk is full")

    monkeypatch.setattr(opened_trials.study, "tell", full)
    with pytest.raises(InputError, match=r"sweep\.db cannot be written \(database or disk is full\)"):
        sweep.work(evaluator, opened_trials, 2)


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    recipe, evaluator = opened(document(tmp_path))
    asked_for = []
    for _ in range(trials.ATTEMPTS + 1):
        with sweep.open_trials(evaluator, recipe.sweep) as claiming:  # and records nothing
            asked_for.append(claiming.claim(1).strategy)
    assert asked_for[: trials.ATTEMPTS] == [asked_for[0]] * trials.ATTEMPTS
    assert asked_for[-1] != asked_for[0]


def test_workers_that_get_nowhere_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are interpreters of their own, which know the installed ensembles only: "toy" is not among them."""
    monkeypatch.setattr(pool, "_started", Workers())
    recipe, evaluator = opened(document(tmp_path))
    lines: list[str] = []
    opened_trials = sweep.open_trials(evaluator, recipe.sweep)
    nothing = pytest.raises(InputError, match="all 2 workers ended with an error, 0 of 2 trials are finished")
    with using(Registry(entry_points=False)), nothing:
        workers.run_workers(recipe, evaluator, opened_trials, 2, 2, lines.append)
    assert len(lines) == 2
    for text in lines:
        assert re.fullmatch(r"worker [01] ended with error: .*'toy'.*: its trial is repeated", text)


STUDIES = [path for path in sorted((ROOT / "recipes").glob("*/*.toml")) if "[study]" in path.read_text()]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_workers_get_the_recipe_as_it_is(path: Path) -> None:
    recipe = load_study(path)
    assert structure_study(json.loads(json.dumps(plain(recipe)))) == recipe
    for strategy in recipe.ablation.strategies.values():
        Strategy.load(ROOT / strategy)


def test_the_bundled_recipes_load() -> None:
    for name in ("ablation", "sweep"):
        recipe = load_study(ROOT / f"recipes/actions-64/{name}.toml")
        assert recipe.study.ensemble == Source("actions-64")
    assert recipe.sweep is not None
    base = Strategy.load(ROOT / "recipes/actions-64/strategy.json")
    space = sweep.Space.of(recipe.sweep.space, base, toy_ensemble())
    assert space.values(attrs.evolve(paper.strategy(64), overlap=base.overlap)) is not None
    assert space.values(space.base) is not None
