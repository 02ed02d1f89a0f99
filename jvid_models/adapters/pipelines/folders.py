"""The models of a pipeline's folder, whole: fp16 variants and shards are found, missing tensors are an error at load time.

diffusers leaves a tensor that no file holds as it was drawn, or on the meta device, where the first call fails. For a plan the
models are made without their weights, text encoders among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from jvid.documents import short
from jvid.errors import InputError
from jvid.extras import extra
from jvid_models.adapters.weightless import model_without_weights
from jvid_models.saved import find_variant, load_saved

with extra("models"):
    import diffusers
    import transformers
    from diffusers import ModelMixin
    from transformers import PreTrainedModel

__all__ = [
    "check_index",
    "check_parts",
    "encoders_of",
    "is_pipeline_folder",
    "models_of",
    "models_without_weights",
    "parts_in",
    "variant_of",
]


def is_pipeline_folder(folder: str | Path) -> bool:
    """Whether a folder holds a pipeline of diffusers."""
    return (Path(folder) / "model_index.json").is_file()


def parts_in(index: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, library and class of each part that the folder holds."""
    for name, stated in index.items():
        if (
            not name.startswith("_")
            and isinstance(stated, list | tuple)
            and len(stated) == 2
            and all(isinstance(each, str) for each in stated)
        ):
            yield name, stated[0], stated[1]


def check_index(path: Path, index: Mapping[str, Any]) -> None:
    """Refuse an index of another form: the class is a name, a part that has a folder a library and a class, or twice null.

    Args:
        path: of the ``model_index.json``.
        index: what it holds.

    Raises:
        InputError: it names the key.
    """
    name = index.get("_class_name")
    if not isinstance(name, str) or not name:
        raise InputError(
            f"{path}: _class_name is {short(name)}: expected the name of a pipeline's class; fetch the folder again"
        )
    known = {part for part, _, _ in parts_in(index)}
    for key, stated in index.items():
        if key.startswith("_") or key in known or stated == [None, None]:
            continue
        pair = isinstance(stated, list) and len(stated) == 2 and any(isinstance(each, str) for each in stated)
        if pair or (path.parent / key).is_dir():
            raise InputError(
                f"{path}: {key} is {short(stated)}: expected a library and a class, such as ['diffusers', "
                "'AutoencoderKL']; fetch the folder again"
            )


def models_of(folder: Path, index: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """diffusers' own models of a folder, by the name that its ``model_index.json`` gives them.

    Raises:
        InputError: files that cannot be read, or weights that lack tensors; it names the part and the tensors.
    """
    return {
        name: load_saved(model, folder / name, f"the {name}", dtype=dtype)
        for name, model in _classes_in(index, ModelMixin)
    }


def _classes_in(index: Mapping[str, Any], kinds: Any) -> Iterator[tuple[str, Any]]:
    """Name and class of each part that is of such kinds; classes of one family of pipelines are in its own module."""
    for name, library, kind in parts_in(index):
        module = {"diffusers": diffusers, "transformers": transformers}.get(library)
        found = getattr(module or getattr(diffusers.pipelines, library, None), kind, None)
        if isinstance(found, type) and issubclass(found, kinds):
            yield name, found


def encoders_of(folder: Path, index: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The models of transformers in a folder, by name: its text and picture encoders, each of the variant that is there.

    Raises:
        InputError: weights that lack tensors, which transformers draws at random; it names the part and the tensors.
    """
    found = {}
    for name, model in _classes_in(index, PreTrainedModel):
        found[name], information = model.from_pretrained(
            folder / name,
            dtype=dtype,
            use_safetensors=True,
            variant=find_variant(folder / name, stem="model"),
            local_files_only=True,
            output_loading_info=True,
        )
        if lacking := sorted(information["missing_keys"]):
            raise InputError(
                f"the {name} in {folder / name} lacks {len(lacking)} tensors, such as {lacking[0]}: fetch the folder again"
            )
    return found


def check_parts(folder: Path, index: Mapping[str, Any]) -> None:
    """Refuse a folder without a part that its index names; diffusers may make it of defaults.

    Raises:
        InputError: it names the part.
    """
    for name, _, kind in parts_in(index):
        if not (folder / name).is_dir():
            raise InputError(
                f"{folder} lacks {name}/, a {kind} by its model_index.json: fetch the folder again"
            )


def models_without_weights(folder: Path, index: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The models of a folder as `models_of`, and those of transformers, without their weights.

    Raises:
        NeedsWeights: a model that its configuration alone does not make.
        InputError: the small tensors of a model that are read are not there.
    """
    return {
        name: model_without_weights(model, folder / name, dtype)
        for name, model in _classes_in(index, (ModelMixin, PreTrainedModel))
    }


def variant_of(folder: Path, index: Mapping[str, Any]) -> str | None:
    """The variant of the text encoders' weights, where a folder holds no plain ones; None where it does.

    Raises:
        InputError: parts of several variants; the message names them.
    """
    parts = [folder / name for name, library, _ in parts_in(index) if library == "transformers"]
    found = {variant for part in parts if (variant := find_variant(part, stem="model"))}
    if len(found) > 1:
        raise InputError(
            f"{folder} holds weights of {' and '.join(sorted(found))}: expected one variant in all parts"
        )
    return next(iter(found), None)
