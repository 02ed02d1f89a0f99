"""A study of three oracles, from a recipe's table of experts to rows and a front; none is called video or image."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.ensemble import Source
from jvid.ensemble.canonical import canonical
from jvid.errors import InputError
from jvid.plugins.registry import using
from jvid.strategy import ExpertStrategy, Strategy
from jvid.strategy.shorthand import guidance_of, noise_of
from jvid_training.generation import ClipSet
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import load_study, structure_study
from jvid_training.search.rows import ablation, grid, grids
from jvid_training.search.space import Space
from jvid_training.search.sweep import known_points, load_front
from tests.search_tools import Means, Real, call, document, opened, toy_sweep, write
from tests.terminals import Terminal
from tests.toy import toy_registry

TABLE: dict[str, Any] = {
    "experts": {
        name: f"gaussian:mean={mean},std=.3,schedule=scaled-linear" for name, mean in (("high", 0.5), ("mid", 0.0), ("low", -0.4))
    },
    "codec": "pixels", "shape": [3, 5, 8, 8], "fps": 12.5,
}  # fmt: skip
BASE = Strategy(
    "boundary:experts=high+mid+low,at=.3+.6", steps=6,
    experts={"low": ExpertStrategy(noise="scaled:gamma=.5")},
    postprocessors=("temporal:threshold=1.5", "gaussian:std=.5"),
)  # fmt: skip
SPACE: dict[str, Any] = {
    "steps": [3, 12],
    "selector": {
        "boundary": {"at": ["0.3+0.6", "0.2+0.5"]}, "cycle": {"lengths": ["1+1+1", "2+1+1"]},
        "random": {"probabilities": ["0.5+0.3+0.2"]},
    },
    "noise": {"low": {"gamma": {"low": 0.1, "high": 1.0}}, "mid": ["independent", "mixed:alpha=1"]},
    "wrappers": {"high": ["none", "windowed:size=3,stride=2"]},
}  # fmt: skip
PRICES = {"high": {"unguided": 2.0}, "mid": {"unguided": 1.0}, "low": {"unguided": 0.5}}


def study(folder: Path, **changes: Any) -> dict[str, Any]:
    """The recipe; its strategy is in a file."""
    BASE.save(folder / "base.json")
    found = document(
        folder / "out",
        study={"ensemble": TABLE, "strategy": str(folder / "base.json"), "prompts": ["a square", "a circle"]},
        sweep={"space": SPACE},
    )
    for section, values in changes.items():
        found.setdefault(section, {}).update(values)
    return found


def of(found: dict[str, Any]) -> Evaluator:
    """Its evaluator, with known prices."""
    recipe = structure_study(found)
    evaluator = Evaluator(recipe.study, reference=Real(size=(8, 8)), networks=[Means("clip"), Means("frame")])
    evaluator.folder.mkdir(parents=True, exist_ok=True)
    values = {"ensemble": evaluator.fingerprint, "seconds": PRICES}
    (evaluator.folder / "prices.json").write_text(json.dumps(values))
    return evaluator


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    return of(study(tmp_path))


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and real clips that take no time, for the commands."""
    networks = (Means("clip"), Means("frame"))
    monkeypatch.setattr("jvid_training.search.components.networks_of", lambda names: networks)
    monkeypatch.setattr(
        "jvid_training.evaluation.sources.real_clips", lambda reference, **options: Real(size=(8, 8))
    )


def test_a_recipe_names_an_ensemble_in_three_ways(tmp_path: Path) -> None:
    assert structure_study(study(tmp_path)).study.ensemble == Source.from_plain(TABLE)
    path = write(tmp_path, study(tmp_path))
    assert load_study(Path(path)).study.ensemble == Source.from_plain(TABLE)
    named = study(tmp_path, study={"ensemble": "actions-64"})
    assert structure_study(named).study.ensemble == Source("actions-64")
    older = study(tmp_path)
    older["study"]["pair"] = older["study"].pop("ensemble")
    assert structure_study(older).study.ensemble == Source.from_plain(TABLE)
    for wrong, message in (
        ({"pair": "toy"}, r"recipe: study\.pair beside study\.ensemble"),
        (
            {"ensemble": {"experts": {"a": 3}}},
            r"study\.ensemble: ensemble\.experts .*expected sources by expert",
        ),
        ({"ensemble": {"expert": {}}}, r"study\.ensemble: ensemble: unknown key 'expert'"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            structure_study(study(tmp_path, study=wrong))
        assert "\n" not in str(caught.value)


def test_rows_lead_to_the_strategy_one_part_at_a_time(evaluator: Evaluator) -> None:
    rows = ablation(BASE, evaluator.ensemble)
    alone = [f"{name} alone" for name in ("high", "mid", "low")]
    assert list(rows) == [*alone, "mixture", "+ noise", "+ temporal", "+ gaussian"]
    assert str(rows["mid alone"].selector) == "always:name=mid"
    assert rows["mixture"] == attrs.evolve(BASE, experts={}, postprocessors=())
    assert rows["+ noise"] == attrs.evolve(BASE, postprocessors=())
    assert rows["+ temporal"] == attrs.evolve(BASE, postprocessors=BASE.postprocessors[:1])
    assert rows["+ gaussian"] == BASE
    twice = attrs.evolve(BASE, postprocessors=("gaussian:std=.5", "gaussian:std=1"))
    assert list(ablation(twice, evaluator.ensemble))[-2:] == ["+ gaussian", "+ gaussian 2"]


def test_grids_are_of_the_ensembles_own_experts(evaluator: Evaluator) -> None:
    names = list(grids(evaluator.ensemble))
    assert [name for name in names if name.startswith("gamma")] == ["gamma-high", "gamma-mid", "gamma-low"]
    rows = grid("gamma-mid", BASE, [0.5, 0.1], evaluator.ensemble)
    assert [noise_of(row, "mid") for row in rows.values()] == [(0.5, 0.0), (0.1, 0.0)]
    rows = grid("guidance-low", BASE, [2.0], evaluator.ensemble)
    assert [guidance_of(row, "low").scale for row in rows.values()] == [2.0]  # type: ignore[union-attr]
    with pytest.raises(
        InputError, match="grid 'gamma': expected one of guidance, solver, steps, guidance-high"
    ):
        grid("gamma", BASE, None, evaluator.ensemble)


def test_a_cost_is_a_share_of_the_first_expert_alone(evaluator: Evaluator) -> None:
    assert evaluator.prices.cost(Strategy("always:name=high", steps=50)) == 1.0
    assert evaluator.prices.cost(Strategy("always:name=low", steps=50)) == 0.25
    assert evaluator.prices.price(BASE) == pytest.approx(1 * 2.0 + 2 * 1.0 + 3 * 0.5)
    # Two windows of 3 of 5 frames at each of the high expert's steps.
    windows = attrs.evolve(BASE, experts={"high": ExpertStrategy(("windowed:size=3,stride=2",))})
    assert evaluator.prices.price(windows) == pytest.approx(1 * 2 * 2.0 * 3 / 5 + 2 * 1.0 + 3 * 0.5)


def test_what_the_space_draws_comes_back(evaluator: Evaluator) -> None:
    space = Space.of(SPACE, BASE, evaluator.ensemble)
    for selector, option, value in (
        ("boundary", "at", "0.2+0.5"),
        ("cycle", "lengths", "2+1+1"),
        ("random", "probabilities", "0.5+0.3+0.2"),
    ):
        values = {
            "selector": selector, f"selector.{selector}.{option}": value, "steps": 12, "noise.low.gamma": 0.25,
            "noise.mid": "mixed:alpha=1", "wrappers.high": "windowed:size=3,stride=2",
        }  # fmt: skip
        strategy = space.strategy(values)
        assert strategy.selector.options["experts"] == "high+mid+low"
        assert noise_of(strategy, "low") == (0.25, 0.0)
        assert str(strategy.of("mid").noise) == "mixed:alpha=1"
        assert [str(each) for each in strategy.of("high").wrappers or ()] == ["windowed:size=3,stride=2"]
        assert strategy.of("low").wrappers == ()
        found = space.values(strategy)
        assert found is not None
        assert space.strategy(found) == strategy == canonical(strategy, evaluator.ensemble)
    plain = space.strategy({"noise.mid": "independent", "wrappers.high": "none"})
    assert plain == space.strategy({})
    other = attrs.evolve(BASE, experts={**BASE.experts, "mid": ExpertStrategy(noise="progressive:alpha=1")})
    assert space.values(other) is None


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"noise": {"video": {"gamma": [0.5]}}}, r"noise\.video: expected a table or a list of choices for high or mid or low"),
        ({"noise": {"mid": ["mixd"]}}, r"noise\.mid: 'mixd': expert 'mid': unknown noise 'mixd'"),
        ({"noise": {"mid": [3]}}, r"noise\.mid: got \[3\], expected choices as text"),
        ({"wrappers": {"mid": {"scale": [2.0]}}}, r"wrappers\.mid\.scale: unknown parameter, expected a list of choices"),
        ({"wrappers": {"mid": ["windowed:size=0"]}}, r"wrappers\.mid: 'windowed:size=0': expert 'mid': .*size=0"),
        ({"guidance": {"sound": {"scale": [2.0]}}}, r"guidance\.sound: expected a table for high or mid or low"),
        ({"guidance": {"mid": {"against": ["sound"]}}}, r"guidance\.mid\.against: 'sound': .*'sound'"),
        ({"selector": {"blend": {"t_v": [0.1], "t_e": [0.2], "p_e": [0.5], "p_f": [0.5]}}}, r"its curve is of two experts"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_the_expert(evaluator: Evaluator, space: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Space.of(space, BASE, evaluator.ensemble)
    assert str(caught.value).startswith("sweep.space.")
    assert "\n" not in str(caught.value)


def test_a_sweep_goes_on_where_it_was(tmp_path: Path, toys: None, stubbed: None, terminal: Terminal) -> None:
    """Known points first, then trials over the three experts; what it chooses samples with the same experts."""
    path = write(tmp_path, study(tmp_path, sweep={"known": True, "trials": 6}))
    of(study(tmp_path))  # prices
    assert call("sweep", path, "--trials", "3") == 0
    with using(toy_registry()):
        assert "6" in terminal.run("sweep", path)
    front = load_front(tmp_path / "out")
    known = [point["known"] for point in front["points"]]
    assert known == ["strategy", "high alone", "mid alone", "low alone", "", ""]
    assert front["unit"] == "high"
    assert [point["cost"] for point in front["points"]][1:4] == [0.12, 0.06, 0.03]
    assert b"high" in (tmp_path / "out/front.svg").read_bytes()
    number = str(front["points"][-1]["number"])
    assert call("sweep", path, "--choose", number, "-o", "best.json") == 0
    experts = [f"--expert={name}={source}" for name, source in TABLE["experts"].items()]
    words = ["--codec", "pixels", "--shape", "3,5,8,8", "--strategy", "best.json", "-o", "clip.safetensors"]
    assert call("sample", "a square", *experts, *words) == 0
    assert call("sweep", path, "--confirm", number) == 0
    table = json.loads((tmp_path / "out/confirmed-4-clips-seed-500.json").read_text())
    assert [row["label"] for row in table["rows"]] == [
        "strategy",
        "high alone",
        "mid alone",
        "low alone",
        f"trial {number}",
    ]


def test_an_ablation_and_its_grids(
    tmp_path: Path, toys: None, stubbed: None, capsys: Any, terminal: Terminal
) -> None:
    path = write(tmp_path, study(tmp_path))
    evaluator = of(study(tmp_path))
    with using(toy_registry()):
        assert "high alone" in terminal.run("ablation", path)
    text = (tmp_path / "out/ablation-4-clips-seed-0.md").read_text()
    assert "Ensemble composed" in text
    assert "as a share of the high model alone" in text
    table = json.loads((tmp_path / "out/ablation-4-clips-seed-0.json").read_text())
    assert [row["label"] for row in table["rows"]] == list(ablation(BASE, evaluator.ensemble))
    assert [row["label"] for row in table["floors"]] == ["real clips, in halves of 6", "codec"]
    made = ClipSet.open(table["rows"][3]["set"])
    assert made.calls == {"high": 2, "mid": 4, "low": 6}
    assert made.spec.ensemble == Source.from_plain(TABLE)
    # Rows that differ in their postprocessors alone are sampled once.
    assert ClipSet.open(table["rows"][6]["set"]).seconds == ClipSet.open(table["rows"][4]["set"]).seconds
    assert call("ablation", path, "--grid", "gamma-mid", "--num", "2") == 0
    capsys.readouterr()
    assert call("ablation", path, "--grid", "gamma-sound") == 2
    assert "grid 'gamma-sound': expected one of" in capsys.readouterr().err


def test_known_points_of_the_papers_experts_are_the_papers(tmp_path: Path, toys: None) -> None:
    recipe, evaluator = opened(document(tmp_path, sweep={"known": True}))
    assert recipe.sweep is not None
    assert list(known_points(evaluator, recipe.sweep)) == ["strategy", "video model", "image model"]
    evaluator.base = attrs.evolve(evaluator.base, postprocessors=())
    assert list(known_points(evaluator, recipe.sweep))[3:] == ["Table 6 at 64"]


def test_a_sweep_of_version_0_1_goes_on(
    tmp_path: Path, toys: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its settings had the ensemble under "pair", and the strategy in the form of then."""
    from jvid.strategy.legacy import downgraded
    from jvid_training.search.sweep import open_trials

    shutil.copytree(toy_sweep(tmp_path_factory), tmp_path, dirs_exist_ok=True)
    recipe, evaluator = opened(document(tmp_path))
    assert recipe.sweep is not None
    trials = open_trials(evaluator, recipe.sweep)
    settings = dict(trials.study.user_attrs["settings"])
    settings["pair"] = settings.pop("ensemble")
    settings["strategy"] = downgraded(evaluator.base.to_dict(), ("video", "image"))
    trials.study.set_user_attr("settings", settings)
    assert len(open_trials(evaluator, recipe.sweep).finished()) == 5
    trials.study.set_user_attr(
        "settings", {**settings, "strategy": {**settings["strategy"], "guidance": 3.0}}
    )
    with pytest.raises(
        InputError,
        match=r"sweep of other settings; strategy\.experts\.\*\.wrappers: \['guided:scale=3\.0'\] then",
    ):
        open_trials(evaluator, recipe.sweep)
