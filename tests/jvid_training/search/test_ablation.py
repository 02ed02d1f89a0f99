"""The ablation: rows that differ in one part, made once, gone on with, and recomputed from scratch."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import scipy.linalg

from jvid import paper
from jvid.ensemble import Composition, compose
from jvid.errors import InputError
from jvid.media.frames import to_frames
from jvid.paper import SEARCH
from jvid.strategy.shorthand import noise_of, with_noise
from jvid.strategy.strategy import Strategy
from jvid_training.generation import ClipSet
from jvid_training.search.ablation import chosen_rows, grid_rows, make_table
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.rows import GRIDS, ablation, grid
from tests.search_tools import Means, Real, document, opened
from tests.toy import SHAPE, STRATEGY, codec, encode, toy_ensemble

LABELS = ["video model", "image model", "mixture", "+ smoothing"]


@pytest.fixture(autouse=True)
def _toys(toys: None) -> None:
    pass


def sets(folder: Path) -> dict[str, int]:
    """The files of sets, and when they were written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("sets/*/batch-*")}


def test_a_grid_changes_one_parameter() -> None:
    base = paper.strategy(64)
    for name in GRIDS:
        for strategy in grid(name, base).values():
            fields = [
                f.name for f in attrs.fields(Strategy) if getattr(strategy, f.name) != getattr(base, f.name)
            ]
            assert len(fields) <= 1
    assert [row.steps for row in grid("steps", base).values()] == list(SEARCH.steps)
    assert [noise_of(row, "image")[0] for row in grid("gamma", base).values()] == list(SEARCH.gamma)
    assert [noise_of(row, "video")[1] for row in grid("r-video", base).values()] == list(SEARCH.ratio)
    assert grid("r-video", base)["r-video 0.2"].of("image") == base.of("image")
    # Table 6 for 64 has t_e .7: greater t_v cannot be.
    assert list(grid("t_v", base)) == [f"t_v 0.{n}" for n in range(1, 7)]
    assert list(grid("smoothing", base)) == [
        f"smoothing {n}" for n in ("none", "gaussian", "uniform", "temporal")
    ]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("gama", None, "grid 'gama': expected one of guidance, solver, steps"),
        ("steps", [20, "many"], r"ablation\.values\.steps: 'many': steps 'many': expected a whole number"),
        ("t_v", [0.9], r"ablation\.values\.t_v: 0\.9: .*t_e 0\.7 at or below t_v 0\.9"),
        ("solver", ["ddpm", "ddmi"], r"ablation\.values\.solver: 'ddmi': unknown solver"),
        ("solver", [3], r"ablation\.values\.solver: 3"),
    ],
)
def test_a_grid_that_cannot_be_is_reported(name: str, values: list[Any] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        grid(name, paper.strategy(64), values)


def test_a_grid_of_selection_needs_its_selector() -> None:
    base = attrs.evolve(paper.strategy(64), selector="always:name=video")
    with pytest.raises(
        InputError, match=r"grid t_v: no value can be taken by this strategy: .*expected piecewise-affine"
    ):
        grid("t_v", base)


def test_a_stop_keeps_what_is_done_and_nothing_is_made_twice(tmp_path: Path) -> None:
    recipe, evaluator = opened(document(tmp_path))
    rows = chosen_rows(recipe, evaluator, LABELS)

    class Stop(Exception):
        pass

    def stop(label: str) -> None:
        if label == "mixture":
            raise Stop

    with pytest.raises(Stop):
        make_table(evaluator, "ablation", rows, 4, 0, stop)
    table = json.loads((tmp_path / "ablation-4-clips-seed-0.json").read_text())
    assert [row["label"] for row in table["rows"]] == LABELS[:2]
    before = sets(tmp_path)
    assert len(before) == 4

    evaluated = evaluator.networks[0].evaluated
    recipe, again = opened(document(tmp_path), networks=evaluator.networks)
    path = make_table(again, "ablation", rows, 4, 0)
    after = sets(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == 8
    assert (
        evaluator.networks[0].evaluated == evaluated + 8
    )  # the two new rows; not the reference, not the rows before
    assert path.read_text().count("\n| ") == 1 + 1 + len(LABELS) - 1 + 1
    # A grid that holds one of these rows takes its clips and figures, and so does a table of more clips.
    base = {"smoothing temporal": evaluator.base}
    assert grid_rows(recipe, again, "smoothing")["smoothing temporal"] is not None
    make_table(again, "other", base, 4, 0)
    assert sets(tmp_path) == after
    make_table(again, "more", base, 6, 0)
    grown = sets(tmp_path)
    assert {name: grown[name] for name in after} == after
    assert len(grown) == 9
    make_table(again, "fewer", base, 2, 0)
    assert sets(tmp_path) == grown


def test_a_part_that_a_strategy_does_not_have_adds_no_row() -> None:
    whole = paper.strategy(64)
    assert list(ablation(whole)) == [
        "video model",
        "image model",
        "mixture",
        "+ reduced entropy",
        "+ smoothing",
    ]
    plain = attrs.evolve(with_noise(whole, "image", gamma=1.0), postprocessors=())
    assert list(ablation(plain)) == ["video model", "image model", "mixture"]
    alone = attrs.evolve(plain, selector="always:name=video")
    assert list(ablation(alone)) == ["video model", "image model"]


def test_asking_for_a_row_keeps_those_that_are_there(tmp_path: Path) -> None:
    """In the recipe's order, with the figures that they had; nothing is made but what is requested."""
    recipe, evaluator = opened(document(tmp_path))
    every = chosen_rows(recipe, evaluator, None)
    path = tmp_path / "ablation-4-clips-seed-0.json"
    make_table(evaluator, "ablation", chosen_rows(recipe, evaluator, ["mixture"]), 4, 0, beside=every)
    (mixture,) = json.loads(path.read_text())["rows"]
    made = sets(tmp_path)
    assert len(made) == 2
    make_table(evaluator, "ablation", chosen_rows(recipe, evaluator, ["video model"]), 4, 0, beside=every)
    rows = json.loads(path.read_text())["rows"]
    assert [row["label"] for row in rows] == ["video model", "mixture"]
    assert rows[1] == mixture
    assert len(sets(tmp_path)) == 4


def test_rows_that_differ_in_smoothing_are_sampled_once(tmp_path: Path, monkeypatch: Any) -> None:
    """The figures are those of sampled clips, whichever comes first."""
    _, evaluator = opened(document(tmp_path / "one"))
    smoothed = attrs.evolve(evaluator.base, postprocessors=("temporal:threshold=1.0",))
    alone = evaluator.score(smoothed, 4, 0)
    _, other = opened(document(tmp_path / "two"))
    other.score(attrs.evolve(smoothed, postprocessors=()), 4, 0)
    monkeypatch.setattr("jvid_training.generation.generate", None)
    assert other.score(smoothed, 4, 0).figures == alone.figures
    # A plain set of fewer clips is not enough.
    with pytest.raises(TypeError):
        other.score(smoothed, 6, 0)


def test_rows_that_differ_in_noise_that_nobody_draws_are_sampled_once(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """gamma does nothing under a deterministic solver, whatever schedule the ensemble has; where noise is drawn it does."""
    _, evaluator = opened(document(tmp_path))
    shaped = with_noise(attrs.evolve(evaluator.base, solver="unipc"), "image", gamma=0.02)
    plain = with_noise(shaped, "image", gamma=1.0)
    drawn = attrs.evolve(shaped, solver="ddpm", selector="always:name=image")
    assert evaluator.key(shaped, 0) == evaluator.key(plain, 0)
    assert evaluator.key(drawn, 0) != evaluator.key(with_noise(drawn, "image", gamma=1.0), 0)
    made = evaluator.score(plain, 4, 0)
    monkeypatch.setattr("jvid_training.generation.generate", None)
    assert evaluator.score(shaped, 4, 0) == made


def test_a_row_recomputed_from_scratch(tmp_path: Path) -> None:
    """Clips sampled one by one, features and Frechet distance by their definitions, cost by its own."""
    recipe, evaluator = opened(document(tmp_path))
    make_table(evaluator, "ablation", chosen_rows(recipe, evaluator, ["+ reduced entropy"]), 4, 0)
    (row,) = json.loads((tmp_path / "ablation-4-clips-seed-0.json").read_text())["rows"]

    ensemble = toy_ensemble()
    strategy = ablation(STRATEGY, ensemble)["+ reduced entropy"]
    clips = []
    for i in range(4):
        cond = encode([ensemble.prompts[i % 2]])
        latents = compose(strategy, ensemble)(SHAPE, seeds=[i], cond=cond)
        clips.append(to_frames(ensemble.codec.decode(latents))[0])
    for kind, name in (("clip", "FVD[toy-clip, 4 clips]"), ("frame", "FID[toy-frame, 20 frames]")):
        made, real = (
            np.concatenate([Means(kind)(batch)["features"] for batch in source]).astype(np.float64)
            for source in ([np.stack(clips)], Real().batches())
        )
        made, real = (rows.reshape(-1, rows.shape[-1]) for rows in (made, real))
        covariances = [np.cov(rows, rowvar=False, bias=True) for rows in (made, real)]
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
        gap = made.mean(0) - real.mean(0)
        expected = gap @ gap + np.trace(covariances[0] + covariances[1] - 2 * root)
        assert row["figures"][name]["value"] == pytest.approx(expected, rel=1e-4)
    motion = [
        np.abs(np.diff(np.asarray(each, float), axis=0)).mean() for each in (np.stack(clips).swapaxes(0, 1),)
    ]
    assert row["figures"]["flicker"]["value"] == pytest.approx(motion[0], rel=1e-6)
    counts = Composition(strategy, ensemble).plan().counts
    assert row["cost"] == pytest.approx((2.0 * counts["video"] + 0.5 * counts["image"]) / (50 * 2.0))
    assert Strategy.from_dict(row["strategy"]) == strategy
    assert ClipSet.open(row["set"]).calls == {name: 2 * count for name, count in counts.items()}


def test_rows_that_are_not_there_are_reported(tmp_path: Path) -> None:
    recipe, evaluator = opened(document(tmp_path))
    with pytest.raises(InputError, match="row 'mix': expected one of image AE, video AE, video model"):
        chosen_rows(recipe, evaluator, ["mix"])
    strategies = {"ablation": {"strategies": {"mine": str(tmp_path / "mine.json")}}}
    recipe, evaluator = opened(document(tmp_path, **strategies))
    with pytest.raises(InputError, match=r"mine\.json"):
        chosen_rows(recipe, evaluator, None)
    paper.strategy(128).save(tmp_path / "mine.json")
    rows = chosen_rows(recipe, evaluator, ["mine", "image AE"])
    assert rows == {"mine": paper.strategy(128), "image AE": None}


def coding(lighter: float = 0.0) -> Any:
    """The toy codec, which encodes too."""
    found = codec()
    decode = found.decode
    found.encode = lambda video: video[..., ::8, ::8].repeat_interleave(2, 1)[:, :4]
    found.decode = lambda latents: (decode(latents) + lighter).clamp(-1, 1)
    return found


def test_a_codec_is_a_row_of_real_clips(tmp_path: Path) -> None:
    recipe, evaluator = opened(document(tmp_path), ensemble=toy_ensemble(made=coding))
    path = make_table(evaluator, "ablation", chosen_rows(recipe, evaluator, ["video AE"]), 4, 0)
    table = json.loads((tmp_path / "ablation-4-clips-seed-0.json").read_text())
    assert [row["label"] for row in table["floors"]] == ["real clips, in halves of 6", "video AE"]
    (row,) = table["rows"]
    assert (row["clips"], row["cost"], row["strategy"]) == (4, None, None)
    assert "| video AE |" in path.read_text()
    assert not (tmp_path / "sets").exists()


def test_a_new_decoder_is_judged_anew(tmp_path: Path) -> None:
    """In the same folder: what another decoder made of the real clips is not this one's figure."""
    found = []
    for lighter in (0.0, 0.5, 0.0):
        ensemble = toy_ensemble(made=partial(coding, lighter))
        ensemble.name = f"toy {lighter}"  # another fingerprint, as a folder of other weights has
        recipe, evaluator = opened(document(tmp_path), ensemble=ensemble)
        make_table(evaluator, "ablation", chosen_rows(recipe, evaluator, ["video AE"]), 4, 0)
        (row,) = json.loads((tmp_path / "ablation-4-clips-seed-0.json").read_text())["rows"]
        found.append(row["figures"])
    assert found[0] == found[2] != found[1]


def test_damaged_figures_are_reported(tmp_path: Path) -> None:
    _, evaluator = opened(document(tmp_path))
    evaluator.score(evaluator.base, 4, 0)
    (path,) = [path for path in (tmp_path / "figures").iterdir() if not path.name.startswith("real")]
    path.write_text("{")
    with pytest.raises(InputError, match=r"is not JSON .*delete it, and the figures are computed again"):
        Evaluator(
            evaluator.study, ensemble=toy_ensemble(), reference=Real(), networks=evaluator.networks
        ).score(evaluator.base, 4, 0)
