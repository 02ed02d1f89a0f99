"""Options that are components themselves, found by a factory's annotations.

    corrected(denoiser, postprocessor: LatentPostprocessor)    postprocessor="temporal:threshold=2"
    guided(denoiser, scale, against: Denoiser | None)          against="early", another expert of the ensemble
    known(denoiser, mask: Tensor, latents: Tensor)             mask="mask.safetensors"
    fvd(features: FeatureNetwork)                              features="i3d"

A value that is no text, choice or mapping is passed on as it is.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.core.members import PROTOCOLS
from jvid.errors import InputError, UnknownNameError, one_line
from jvid.plugins.choice import Choice
from jvid.plugins.options import parameters

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Experts", "is_part", "part_kind", "read_tensor", "with_parts"]

_KINDS: Mapping[str, str] = {
    **{protocol.__name__: kind for kind, protocol in PROTOCOLS.items() if kind != "wrapper"},
    "DeclaredNoise": "noise",
    "Tensor": "tensor",
}
"""Kinds by the names of their protocols, as annotations have them."""


Experts = Callable[[str], Any]
"""The denoiser of an expert by its name; a LookupError where there is none."""


def with_parts(
    who: str,
    factory: Callable[..., Any],
    options: Mapping[str, Any],
    build: Callable[[str, Choice], Any],
    expert: Experts | None = None,
) -> dict[str, Any]:
    """The options, those that name a component replaced by it.

    Args:
        who: is named in errors.
        factory: that the options are for.
        options: as stated.
        build: the component of a kind and a choice.
        expert: other denoisers by name, for options that take a denoiser.

    Raises:
        InputError, UnknownNameError: what ``build`` raises, a tensor that cannot be read, or an expert that is not there.
    """
    parts = dict(options)
    candidates = [name for name, value in options.items() if is_part(value)]
    known = parameters(factory) if candidates else {}
    for name in candidates:
        kind = part_kind(known[name]) if name in known else None
        if kind is None:
            continue
        value = options[name]
        try:
            if kind == "tensor":
                parts[name] = read_tensor(value, name)
            elif kind == "denoiser" and isinstance(value, str) and expert is not None:
                parts[name] = expert(value)
            else:
                parts[name] = build(kind, Choice.from_plain(value))
        except (InputError, UnknownNameError) as error:
            raise type(error)(f"{who}: {error}") from error
        except LookupError as error:
            raise InputError(f"{who} names expert {value!r}: {error.args[0]}") from error
    return parts


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
        reason = getattr(error, "strerror", None) or one_line(error, first=True)
        raise InputError(f"{option}={path!r}: {reason}; expected a safetensors file of one tensor") from error
    return tensor.float()
