"""Options that are components themselves, found by a factory's annotations.

    corrected(denoiser, postprocessor: LatentPostprocessor)    postprocessor="temporal:threshold=2"
    guided(denoiser, scale, against: Denoiser | None)          against="early", another expert of the ensemble
    known(denoiser, mask: Tensor, latents: Tensor)             mask="mask.safetensors"

A value that is no text, choice or mapping is passed on as it is.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError
from jvid.plugins.choice import Choice

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["is_part", "part_kind", "read_tensor"]

_KINDS: Mapping[str, str] = {
    "Denoiser": "denoiser",
    "NoiseSchedule": "schedule",
    "NoiseSampler": "noise",
    "DeclaredNoise": "noise",
    "LatentPostprocessor": "postprocessor",
    "Selector": "selector",
    "Solver": "solver",
    "Codec": "codec",
    "TextEncoder": "text",
    "Tensor": "tensor",
}


def part_kind(parameter: inspect.Parameter) -> str | None:
    """The kind of component that a parameter takes, "tensor" for a tensor; None where its annotation is another."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    names = [re.split(r"[\[\s]", part.strip().strip("'\""), maxsplit=1)[0] for part in text.split("|")]
    kinds = {_KINDS[last] for name in names if (last := name.rpartition(".")[2]) in _KINDS}
    return kinds.pop() if len(kinds) == 1 else None


def is_part(value: object) -> bool:
    """Whether a value names a component: text, a choice, or a mapping with a name."""
    return isinstance(value, str | Choice) or (
        isinstance(value, Mapping) and isinstance(value.get("name"), str)
    )


def read_tensor(value: object, option: str) -> Tensor:
    """The tensor of ``FILE.safetensors``, or of ``FILE.safetensors#NAME`` in a file of several; float32 on the CPU.

    Raises:
        InputError: no such file, no safetensors file, or no such tensor in it.
    """
    from safetensors import SafetensorError, safe_open

    path, _, name = str(value).partition("#")
    try:
        with safe_open(Path(path), framework="pt") as file:
            names = list(file.keys())
            if not name and len(names) != 1:
                raise InputError(
                    f"{option}={path!r} holds {', '.join(names)}: expected {path}#NAME of one of them"
                )
            if name and name not in names:
                raise InputError(
                    f"{option}={path!r} has no tensor {name!r}: expected one of {', '.join(names)}"
                )
            tensor: Tensor = file.get_tensor(name or names[0])
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{option}={path!r}: {reason}; expected a safetensors file of one tensor") from error
    return tensor.float()


Experts = Callable[[str], Any]
"""The denoiser of an expert by its name; a LookupError where there is none."""
