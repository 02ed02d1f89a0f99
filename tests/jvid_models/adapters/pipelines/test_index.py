"""A ``model_index.json`` of another form is refused in a line that names the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jvid.errors import InputError
from jvid_models.adapters.pipelines import from_folder

INDEX = {
    "_class_name": "WanPipeline",
    "_diffusers_version": "0.36.0",
    "_ignore_files": ["a", "b"],
    "boundary_ratio": None,
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "transformer_2": [None, None],
    "layers": [9, 18],
}


def refused(folder: Path, key: str, value: Any) -> str:
    (folder / "model_index.json").write_text(json.dumps({**INDEX, key: value}))
    with pytest.raises(InputError) as caught:
        from_folder(folder, untested=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", [None, True, 1.5, "", [], ["WanPipeline"], {"a": 1}])
def test_the_class_is_a_name(value: Any, tmp_path: Path) -> None:
    assert f"_class_name is {value!r}: expected the name of a pipeline's class" in refused(
        tmp_path, "_class_name", value
    )


@pytest.mark.parametrize("value", [None, True, 1.5, "", "x", [], ["x"], [1, 2], ["diffusers", 3], {"a": 1}])
def test_a_part_is_a_library_and_a_class(value: Any, tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    assert f"transformer is {value!r}: expected a library and a class" in refused(
        tmp_path, "transformer", value
    )


@pytest.mark.parametrize("value", [["diffusers", None], ["diffusers", 3]])
def test_half_a_part_is_refused_without_its_folder(value: Any, tmp_path: Path) -> None:
    assert f"vae is {value!r}: expected a library and a class" in refused(tmp_path, "vae", value)


def test_what_is_no_part_is_left_to_the_pipeline(tmp_path: Path) -> None:
    assert "lacks transformer/" in refused(tmp_path, "more", 3)
