"""LoRA files into a pipeline, by diffusers' own loaders: each an adapter, with its scale.

    W + sum_k s_k B_k A_k        s_k: the scale of file k, times the alpha that the file states

Source: Hu et al., LoRA, https://arxiv.org/abs/2106.09685. Files are safetensors, read from the disk; nothing is unpickled.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.extras import extra
from jvid_models.adapters.pipelines.lora_fit import check_fit, noting_names

with extra("models"):
    from diffusers import ModelMixin
    from diffusers.loaders.peft import PeftAdapterMixin

__all__ = ["Files", "Scales", "load_loras", "loads_into"]

Files = str | Path | Sequence[str | Path]
"""A path; several in a list, or in one text between "+"."""

Scales = float | str | Sequence[float]
"""A number for all files; one for each in a list, or in one text between "+"."""

_ENDING = ".safetensors"
_PREFIX = "lora_"


def load_loras(
    pipe: Any,
    files: Files | None = None,
    scales: Scales | None = None,
    files_2: Files | None = None,
    scales_2: Scales | None = None,
) -> None:
    """Load LoRA files into a pipeline that has none, and activate them; no files change nothing.

    Args:
        pipe: of diffusers.
        files: one or several.
        scales: of the files; 1 if None.
        files_2: of the second transformer of a pipeline of two (Wan 2.2's for low noise).
        scales_2: as ``scales``.

    Raises:
        MissingDependencyError: peft is not installed, or a file is absent.
        InputError: a pipeline without LoRA, scales that are no numbers or not one a file, or a file that does not fit.
    """
    wanted = [(path, scale, False) for path, scale in _scaled(files, scales)]
    wanted += [(path, scale, True) for path, scale in _scaled(files_2, scales_2)]
    if not wanted:
        return
    who = type(pipe).__name__
    if not hasattr(pipe, "load_lora_weights"):
        raise InputError(f"{who} takes no LoRA: diffusers has no loader of them for it")
    if files_2 is not None and getattr(pipe, "transformer_2", None) is None:
        raise InputError(f"{who} has no second transformer: give lora, without lora_2")
    with extra("models"):
        importlib.import_module("peft")  # diffusers' loaders need it
    _make_adaptable(getattr(pipe, "unet", None))
    names = [_loaded(pipe, path, second) for path, _, second in wanted]
    pipe.set_adapters(names, [scale for _, scale, _ in wanted])


def _make_adaptable(network: Any) -> None:
    """Give a model of diffusers that lacks it (UNet3DConditionModel) the mixin by which pipelines load adapters into it."""
    if isinstance(network, ModelMixin) and not hasattr(network, "load_lora_adapter"):
        kind = type(network)
        network.__class__ = type(kind.__name__, (kind, PeftAdapterMixin), {"__module__": kind.__module__})


def loads_into(pipeline: Any, parts: Collection[str]) -> Collection[str]:
    """Those of the parts that LoRA of a class of pipelines may change; all of them where it does not state that."""
    stated: Collection[str] = getattr(pipeline, "_lora_loadable_modules", parts)
    return stated


def _loaded(pipe: Any, path: Path, second: bool) -> str:
    """The name of the adapter of a file that is loaded now."""
    who, known = type(pipe).__name__, _adapters(pipe)
    stem = re.sub(r"\W", "_", path.stem) + ("_2" if second else "")
    possible = (stem, *(f"{stem}_{n}" for n in range(2, 999)))
    name = next(each for each in possible if each not in known and _may_name(each))
    try:
        with noting_names(pipe) as names:
            pipe.load_lora_weights(
                str(path.parent), weight_name=path.name, adapter_name=name, local_files_only=True, use_safetensors=True,
                **({"load_into_transformer_2": True} if second else {}),
            )  # fmt: skip
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = one_line(error, first=True)
        raise InputError(f"cannot load the LoRA {str(path)!r} into {who}: {reason}") from error
    if name not in _adapters(pipe):
        raise InputError(f"the LoRA {str(path)!r} holds nothing for {who}: expected one of its model")
    check_fit(pipe, path, names, name, second)
    return name


def _may_name(name: str) -> bool:
    """Whether an adapter may have the name: peft keeps adapters in a module by it, and tells its tensors by "lora_"."""
    return not hasattr(nn.ModuleDict(), name) and name not in _PREFIX


def _adapters(pipe: Any) -> set[str]:
    return {name for names in pipe.get_list_adapters().values() for name in names}


def _scaled(files: Files | None, scales: Scales | None) -> list[tuple[Path, float]]:
    if files is None:
        if scales is not None:
            raise InputError(f"lora_scale {scales!r} without lora: expected files to scale")
        return []
    paths = _paths(files)
    return list(zip(paths, _weights(scales, len(paths)), strict=True))


def _paths(files: Any) -> list[Path]:
    given: Any = [files] if isinstance(files, str | Path) else files
    if isinstance(files, str) and not Path(files).is_file():
        given = [part.strip() for part in files.split("+")]
    if (
        not isinstance(given, list | tuple)
        or not given
        or not all(isinstance(each, str | Path) for each in given)
    ):
        raise InputError(f"lora {files!r}: expected the path of a file, or several")
    paths = [Path(each) for each in given]
    for path in paths:
        if path.suffix.lower() != _ENDING:
            raise InputError(f"lora {str(path)!r}: expected a file that ends in {_ENDING}")
        if not path.is_file():
            raise MissingDependencyError(f"no file {str(path)!r}: expected LoRA weights in {_ENDING}")
    return paths


def _weights(scales: Scales | None, count: int) -> list[float]:
    given: Any = 1.0 if scales is None else scales
    parts = given.split("+") if isinstance(given, str) else given
    try:
        values = [float(each) for each in parts] if isinstance(parts, list | tuple) else [float(parts)]
    except (TypeError, ValueError):
        raise InputError(f"lora_scale {scales!r}: expected a number, or one for each file") from None
    if len(values) not in (1, count):
        raise InputError(
            f"lora_scale {scales!r}: got {len(values)} for {count} files, expected one or {count}"
        )
    return values * count if len(values) == 1 else values
