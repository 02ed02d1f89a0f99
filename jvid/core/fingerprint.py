"""A sampler as flat text, so that a state of another one is refused on resuming, with the differences.

    {"solver": "DDIM", "solver.eta": "0.5", "experts.video.denoiser": "Guided", "experts.video.denoiser.scale": "2.0", ...}

Kinds of components, nested ones too, and their plain options; never weights: a network and a tensor are only named.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jvid.core.provenance import parts
from jvid.errors import InputError

__all__ = ["check_same", "fingerprint"]

_LONG = 16


def fingerprint(components: Mapping[str, Any]) -> dict[str, str]:
    """Path to text, for each of the components under its name. Equal in every process."""
    texts: dict[str, str] = {}
    for name, component in components.items():
        _add(name, component, texts)
    return texts


def check_same(got: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Refuse to resume with a strategy ``got`` that is not the state's ``expected``.

    Raises:
        InputError: they differ; the message names the first differences.
    """
    paths = [path for path in dict(expected) | dict(got) if got.get(path) != expected.get(path)]
    if not paths or not expected:  # a state that was made by hand has none
        return
    # A component of another kind brings other options, which add nothing.
    changed = [path for path in paths if not any(path.startswith(f"{other}.") for other in paths)]
    shown = "; ".join(
        f"{path}: got {got.get(path, 'none')}, expected {expected.get(path, 'none')}" for path in changed[:3]
    )
    more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
    raise InputError(
        f"the state to resume comes from another strategy; {shown}{more}: resume with the strategy it came from, "
        "or start anew from its latents with x=state.x"
    )


def _add(path: str, value: Any, texts: dict[str, str]) -> None:
    if value is None or isinstance(value, (bool, int, float, str)):
        texts[path] = repr(value)
    elif isinstance(value, Mapping):
        texts[path] = ", ".join(map(str, value)) or "nothing"
        for key, inner in value.items():
            _add(f"{path}.{key}", inner, texts)
    elif isinstance(value, (tuple, list)):
        _add_sequence(path, value, texts)
    else:
        # A function's own name, and not its module: another script may build the same strategy.
        texts[path] = getattr(value, "__name__", type(value).__name__)
        if texts[path] == "Tensor":
            texts[path] = f"Tensor of shape {tuple(value.shape)}"
        for name, inner in parts(value):
            _add(f"{path}.{name}", inner, texts)


def _add_sequence(path: str, values: tuple[Any, ...] | list[Any], texts: dict[str, str]) -> None:
    if len(values) > _LONG and all(type(value) is float for value in values):
        texts[path] = _table(array("d", values).tobytes())
    elif all(isinstance(value, (bool, int, float, str)) for value in values):
        texts[path] = _listed(values) or "nothing"
    else:
        texts[path] = f"{len(values)}"
        for index, inner in enumerate(values):
            _add(f"{path}.{index}", inner, texts)


def _listed(values: Sequence[Any]) -> str:
    text = ", ".join(map(repr, values))
    if len(values) > _LONG:
        return f"{len(values)} values, {hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
    return text


@lru_cache(maxsize=64)
def _table(values: bytes) -> str:
    # The text of a schedule's thousand numbers takes milliseconds, and each expert of each sampler has such a table.
    return _listed(array("d", values))
