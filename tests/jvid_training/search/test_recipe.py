"""Keys of a study's recipe."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from jvid.errors import InputError
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import structure_study
from tests.search_tools import document


def test_prompts_of_a_file_are_the_studys(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red block\n\na blue block\n")
    path = str(tmp_path / "prompts.txt")
    study = structure_study(document(tmp_path, study={"prompts": [], "prompt_file": path})).study
    assert Evaluator(study).prompts == ("a red block", "a blue block")
    with pytest.raises(InputError, match=r"study\.prompts beside study\.prompt_file"):
        structure_study(document(tmp_path, study={"prompt_file": path}))
    with pytest.raises(InputError, match="nowhere"):
        _ = Evaluator(attrs.evolve(study, prompt_file=str(tmp_path / "nowhere"))).prompts
    with pytest.raises(InputError, match=r"study\.actors"):
        structure_study(document(tmp_path, study={"actors": "eve"}))
