"""Models from local folders as diffusers saves them: one file or shards, plain or of a variant such as fp16.

    config.json, diffusion_pytorch_model.safetensors                 diffusion_pytorch_model.fp16.safetensors
                 diffusion_pytorch_model.safetensors.index.json      diffusion_pytorch_model.safetensors.index.fp16.json

Nothing is fetched or unpickled. Tensors that are missing or of another shape are an error here, not at the first call.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["find_variant", "load_saved", "read_config", "read_tensors", "weight_files"]

_ENDINGS = re.compile(r"(?:\.([^.]+))?\.safetensors|\.safetensors\.index(?:\.([^.]+))?\.json")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
SHOWN = 3
"""Names of tensors in a message."""


def read_config(path: Path, what: str) -> dict[str, Any]:
    """The JSON of ``path``, a config of ``what``; MissingDependencyError where it is absent."""
    if not path.is_file():
        raise MissingDependencyError(f"no {path}: expected a local diffusers folder with {what}")
    config: dict[str, Any] = read_json(path, "JSON as diffusers writes it", "fetch the folder again")
    return config


def find_variant(
    folder: Path, variant: str | None = None, stem: str = "diffusion_pytorch_model"
) -> str | None:
    """The variant of the weights in ``folder``: ``variant``, or none where there are plain ones, or the only one.

    ``stem``: how the names of the weights' files begin; "model" in folders of transformers.

    Raises:
        InputError: there are several variants and no plain weights; the message names them.
    """
    if variant is not None:
        return variant
    names = [path.name.removeprefix(stem) for path in folder.glob(f"{stem}.*")]
    variants = {match[1] or match[2] for match in map(_ENDINGS.fullmatch, names) if match}
    if None in variants:
        return None
    found = sorted(each for each in variants if not _SHARD.search(each))
    if len(found) > 1:
        raise InputError(f"{folder} holds weights of {', '.join(found)}: expected variant= to name one")
    return found[0] if found else None


def load_saved(model: Any, folder: Path, what: str, variant: str | None = None, **options: Any) -> Any:
    """The model of the class ``model`` that ``folder`` holds, whole.

    Args:
        model: a class of diffusers' models.
        folder: holds config.json and the weights.
        what: the model in messages, such as "a UNet".
        variant: of the weights' files; by default the plain ones, or the only variant.
        options: of ``from_pretrained``.

    Raises:
        InputError: files that cannot be read, or weights that lack tensors or have others of their shape; it names them.
    """
    variant = find_variant(folder, variant)
    try:
        loaded, info = model.from_pretrained(
            str(folder),  # it is stored in the config
            local_files_only=True,
            use_safetensors=True,
            variant=variant,
            output_loading_info=True,
            **options,
        )
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(f"cannot load {what} from {folder}: {one_line(error, first=True)}") from None
    wrong = [*info["missing_keys"], *(key[0] for key in info["mismatched_keys"])]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise InputError(
            f"cannot load {what} from {folder}: its weights lack {', '.join(sorted(wrong)[:SHOWN])}{more}; "
            "fetch the folder again, or correct its config.json"
        )
    return loaded


def read_tensors(folder: Path, names: Collection[str], stem: str) -> dict[str, Tensor]:
    """Single tensors of the weights in ``folder``, by their names; nothing else of the files is read.

    Args:
        folder: holds the weights.
        names: of the tensors.
        stem: how the names of the weights' files begin.

    Raises:
        InputError: files that are not there or cannot be read, or that lack a tensor; it names them.
    """
    stored, shards = _stored(folder, stem)
    places = shards or dict.fromkeys(names, stored.name)
    if lacking := [name for name in names if name not in places]:
        raise InputError(f"{stored} lacks {', '.join(sorted(lacking)[:SHOWN])}: fetch the folder again")
    found: dict[str, Tensor] = {}
    for file in dict.fromkeys(places[name] for name in names):
        try:
            with safe_open(folder / file, "pt") as opened:
                found |= {name: opened.get_tensor(name) for name in names if places[name] == file}
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"cannot read {folder / file}: {one_line(error, first=True)}; fetch the folder again"
            ) from None
    return found


def weight_files(folder: Path, stem: str = "diffusion_pytorch_model") -> list[Path]:
    """The files of the weights in ``folder``: the whole one, or the shards that its index names.

    Raises:
        InputError: there are none, the index cannot be read, or there are several variants.
    """
    stored, shards = _stored(folder, stem)
    return [folder / name for name in sorted(set(shards.values()))] or [stored]


def _stored(folder: Path, stem: str) -> tuple[Path, dict[str, str]]:
    """The whole file of the weights, or the index of shards and the shard of each tensor."""
    variant = find_variant(folder, stem=stem)
    end = f".{variant}" if variant else ""
    whole = folder / f"{stem}{end}.safetensors"
    index = folder / f"{stem}.safetensors.index{end}.json"
    if whole.is_file():
        return whole, {}
    if not index.is_file():
        raise InputError(
            f"cannot read weights in {folder}: expected {whole.name} or {index.name}; fetch the folder again"
        )
    return index, read_json(index, "the index of shards", "fetch the folder again", _shards_of)


def _shards_of(index: dict[str, Any]) -> dict[str, str]:
    found = {str(name): str(file) for name, file in index["weight_map"].items()}
    if not found:
        raise ValueError("an empty weight_map")
    return found
