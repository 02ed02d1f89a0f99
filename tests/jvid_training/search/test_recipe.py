"""Keys of a study's recipe."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from jvid.errors import InputError
from jvid_training.evaluation.sources import Subset, captions_of
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import structure_study
from tests.search_tools import Real, document
from tests.toy import PROMPTS, toy_ensemble


def test_prompts_of_a_file_are_the_studys(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red block\n\na blue block\n")
    path = str(tmp_path / "prompts.txt")
    study = structure_study(document(tmp_path, study={"prompts": [], "prompt_file": path})).study
    assert Evaluator(study).prompts == ("a red block", "a blue block")
    with pytest.raises(InputError, match=r"study\.prompts beside study\.prompt_file"):
        structure_study(document(tmp_path, study={"prompt_file": path}))
    with pytest.raises(InputError, match=r"study\.prompt_file: cannot read .*nowhere"):
        _ = Evaluator(attrs.evolve(study, prompt_file=str(tmp_path / "nowhere"))).prompts
    with pytest.raises(InputError, match=r"study\.actors"):
        structure_study(document(tmp_path, study={"actors": "eve"}))


class Captioned(Real):
    """Six captions, of two clips each."""

    captions = tuple((f"clip {i // 2}", "another") for i in range(12))


def test_prompts_of_an_ensemble_that_takes_any_sentence_are_the_references_captions(tmp_path: Path) -> None:
    """The first caption of each clip, each once, shuffled; what the recipe or the ensemble lists goes before."""
    study = structure_study(document(tmp_path, study={"prompts": []})).study
    reference = Captioned(12)
    any_sentence = toy_ensemble()
    any_sentence.prompts = ()
    found = Evaluator(study, ensemble=any_sentence, reference=reference).prompts
    assert sorted(found) == [f"clip {i}" for i in range(6)] != list(found)
    assert found == Evaluator(study, ensemble=any_sentence, reference=reference).prompts
    stated = attrs.evolve(study, prompts=("mine",))
    assert Evaluator(stated, ensemble=any_sentence, reference=reference).prompts == ("mine",)
    assert set(Evaluator(study, ensemble=toy_ensemble(), reference=reference).prompts) <= set(PROMPTS)
    silent = Real(12)
    silent.labels = ("",) * 12
    with pytest.raises(
        InputError, match=r"study\.prompts: ensemble 'toy' takes any sentence, and the reference"
    ):
        _ = Evaluator(study, ensemble=any_sentence, reference=silent).prompts


def test_captions_of_a_source_without_any_are_its_labels() -> None:
    subset = Subset(Real(12), lambda label, place: True)
    assert sorted(captions_of(subset)) == ["running", "waving"]
