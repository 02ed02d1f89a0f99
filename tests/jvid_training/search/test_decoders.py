"""A study goes on with another decoder: the clips that it has are decoded anew, not sampled again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import jvid
from jvid import paper
from jvid.errors import InputError
from jvid.strategy.strategy import Strategy
from tests.generation_tools import other_part, tiny_ensemble
from tests.once import made_once
from tests.search_tools import Real, document, opened


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "tiny-ensemble", tiny_ensemble)


def study(out: Path, ensemble: Path, **more: str) -> dict[str, Any]:
    prompts = list(jvid.load("ensemble", str(ensemble)).prompts[:2])
    return document(out, study={"ensemble": str(ensemble), "prompts": prompts, **more})


def real() -> Real:
    """Of the tiny ensemble's form."""
    found = Real()
    found.frames, found._frames = 3, found._frames[:, :3]
    return found


def strategies() -> list[Strategy]:
    plain = attrs.evolve(paper.strategy(64), steps=2, postprocessors=())
    return [plain, attrs.evolve(plain, postprocessors=("temporal:threshold=1.0",))]


def test_rows_of_another_decoder_are_those_of_sampling_anew(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smoothed or not, and in whatever order; nothing is sampled."""
    changed = other_part(tmp_path / "changed", tiny, "decoder")
    former, ensemble = jvid.load("ensemble", str(tiny)), jvid.load("ensemble", str(changed))
    _, evaluator = opened(study(tmp_path / "anew", changed), ensemble=ensemble, reference=real())
    anew = [evaluator.score(strategy, 2, 0) for strategy in strategies()]
    _, evaluator = opened(study(tmp_path / "kept", tiny), ensemble=former, reference=real())
    before = evaluator.score(strategies()[0], 2, 0)
    assert before.figures != anew[0].figures
    monkeypatch.setattr("jvid_training.generation.generate", None)
    (tmp_path / "kept/prices.json").unlink()
    recipe = study(tmp_path / "kept", changed, sampled_by=str(tiny))
    _, evaluator = opened(recipe, ensemble=ensemble, reference=real())
    for i in (1, 0):
        scores = evaluator.score(strategies()[i], 2, 0)
        assert (scores.figures, scores.cost) == (anew[i].figures, anew[i].cost)
    assert evaluator.score(strategies()[0], 2, 0).figures == anew[0].figures


def test_an_ensemble_that_samples_other_latents_is_reported(tiny: Path, tmp_path: Path) -> None:
    changed = other_part(tmp_path / "changed", tiny, "video")
    _, evaluator = opened(
        study(tmp_path / "kept", tiny), ensemble=jvid.load("ensemble", str(tiny)), reference=real()
    )
    evaluator.score(strategies()[0], 2, 0)
    (tmp_path / "kept/prices.json").unlink()
    recipe = study(tmp_path / "kept", changed, sampled_by=str(tiny))
    _, evaluator = opened(recipe, ensemble=jvid.load("ensemble", str(changed)), reference=real())
    with pytest.raises(InputError, match="differ in more than their decoder"):
        evaluator.score(strategies()[0], 2, 0)
