"""The bundled sprites, as a user gets them; and one row of their results, made again on a few clips."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors import safe_open

import jvid
from jvid.cli import main
from jvid_models.paths import shared_root

ROOT = Path(jvid.__file__).parents[1]
FOLDER = ROOT / "jvid_models" / "sprites_64"
ROW = ROOT / "docs" / "results" / "sprites-64-tiny.json"
RECIPE = ROOT / "recipes" / "sprites-64"
PROMPT = "a woman with long green hair in chain mail casts a spell, facing left"
SHEETS = shared_root() / "data" / "lpc"


@pytest.fixture(scope="module")
def ensemble() -> jvid.Ensemble:
    return jvid.load("ensemble", "sprites-64")


def few(ensemble: jvid.Ensemble, steps: int) -> jvid.Strategy:
    assert ensemble.strategy is not None
    return attrs.evolve(ensemble.strategy, steps=steps)


def test_it_is_small_and_complete(ensemble: jvid.Ensemble) -> None:
    weights = list(FOLDER.glob("*.safetensors"))
    assert {path.stem for path in weights} == {"clips", "clips.words", "decoder", "frames", "frames.words"}
    assert sum(path.stat().st_size for path in weights) <= 64e6
    assert ensemble.shape == (8, 8, 16, 16)
    assert (ensemble.fps, ensemble.prompts, ensemble.frame_experts) == (8.0, (), ("frames",))
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    for heading in ("Data", "Recipe", "Training", "Limits", "Licence"):
        assert f"## {heading}" in card


def test_its_documentation_lists_the_words_that_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "ensemble", "sprites-64"]) == 0
    listed = re.findall(r"^ *\* [a-z ]+: ([^*]+?)(?=^ *\*|^$)", capsys.readouterr().out, re.MULTILINE)
    words = [word for line in listed for word in re.split(r"[,;\s]+", line) if word]
    with safe_open(FOLDER / "clips.words.safetensors", "pt") as stored:
        assert sorted(words) == sorted(json.loads(stored.metadata()["words"])["words"])


def test_the_recommended_strategy_mixes_both(ensemble: jvid.Ensemble) -> None:
    plan = jvid.compose(ensemble.strategy, ensemble).plan()
    assert {name for step in plan.steps for name in step.weights} == {"clips", "frames"}


@pytest.mark.skipif(not SHEETS.is_dir(), reason=f"no layers of the Liberated Pixel Cup in {SHEETS}")
def test_the_card_names_every_author() -> None:
    lines = (SHEETS / "AUTHORS.txt").read_text(encoding="utf-8-sig").splitlines()
    authors = [name for name, under in pairwise(lines) if under.strip() and not under.strip(" -")]
    assert len(authors) > 10
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    assert [name for name in authors if name.strip() not in card] == []


def test_the_caption_matters_and_an_unknown_word_is_refused(ensemble: jvid.Ensemble) -> None:
    sampler = jvid.compose(few(ensemble, 2), ensemble)
    captions = [PROMPT, PROMPT.upper().replace(",", ""), PROMPT.replace("green", "red")]
    one, same, other = sampler(ensemble.shape, seeds=[1, 1, 1], cond=ensemble.condition(captions))
    torch.testing.assert_close(one, same, rtol=0, atol=1e-4)
    assert (one - other).abs().max() > 0.1
    with pytest.raises(jvid.errors.InputError, match=r"'gren'.*green") as caught:
        ensemble.condition([PROMPT.replace("green", "gren")])
    assert "\n" not in str(caught.value)


def test_the_command_writes_a_transparent_sprite(tmp_path: Path, capfd: Any) -> None:
    words = ["--ensemble", "sprites-64", "--steps", "2", "--exact", "--transparent", "--scale", "4"]
    assert main(["sample", PROMPT, *words, "-o", str(tmp_path / "spell.webp")]) == 0
    assert (tmp_path / "spell.webp").stat().st_size > 0
    assert "float32" not in capfd.readouterr().err, "a warning of diffusers that means nothing"
    assert main(["sample", "a wizard casts a spell", *words, "-o", str(tmp_path / "no.webp")]) == 2
    assert "'wizard'" in capfd.readouterr().err


@pytest.mark.skipif(not SHEETS.is_dir(), reason=f"no layers of the Liberated Pixel Cup in {SHEETS}")
def test_rows_of_the_results_are_made_again(ensemble: jvid.Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two held-out captions in four steps: the figures that ``recipes/sprites-64/tiny.py`` wrote."""
    monkeypatch.setattr(sys, "path", [str(RECIPE), *sys.path])
    from tiny import rows, true_clips

    stated = json.loads(ROW.read_text(encoding="utf-8"))
    found = rows(ensemble, true_clips(SHEETS, stated["clips"]))
    assert found.keys() == stated["rows"].keys()
    for label, figures in stated["rows"].items():
        assert found[label] == pytest.approx(figures, rel=0.02), label
