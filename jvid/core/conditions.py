"""What a denoiser is conditioned on: a mapping whose tensors lead with the batch.

A value is a tensor ``(b, ...)`` or ``(1, ...)`` (the same for the whole batch), a ``PerFrame`` whose tensor
is ``(b, f, ...)``, a nested condition (the null condition is under "null"), or anything else,
which is passed on as it is. Per-frame values are tagged because a shape alone does not distinguish them:
``(b, 16, 128)`` may be sixteen tokens or sixteen frames. ``Guided`` and ``Framewise`` leave a ``Layout`` under
"layout", for networks that save work on rows that repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.errors import InputError

__all__ = [
    "Layout", "PerExpert", "PerFrame", "check_condition", "concat", "describe", "expand_rows", "fold_frames",
    "for_expert", "map_condition", "require",
]  # fmt: skip


@attrs.frozen(eq=False)
class PerFrame:
    """A condition with one value for each frame: tensor ``(b, f, ...)``."""

    tensor: Tensor

    def __attrs_post_init__(self) -> None:
        if self.tensor.ndim < 2:
            raise InputError(
                f"PerFrame got a tensor of shape {tuple(self.tensor.shape)}; expected (b, f, ...): batch and frames first"
            )


@attrs.frozen(eq=False)
class PerExpert:
    """Conditions by expert, of experts with encoders of their own: a run gives each its own."""

    conditions: Mapping[str, Condition]

    def map(self, change: Callable[[Condition], Condition]) -> PerExpert:
        """The same with each condition changed."""
        return PerExpert({name: change(cond) for name, cond in self.conditions.items()})


def for_expert(cond: Condition | PerExpert, expert: str) -> Condition:
    """The condition of one expert: its own, or the one that all share.

    Raises:
        InputError: conditions by expert without one of its own, or no condition.
    """
    if isinstance(cond, PerExpert):
        if expert not in cond.conditions:
            raise InputError(
                f"no condition of expert {expert!r}: expected one beside those of {', '.join(cond.conditions) or 'none'}"
            )
        return cond.conditions[expert]
    check_condition(cond)
    return cond


def check_condition(cond: object) -> None:
    """Refuse what is no condition, such as a prompt.

    Raises:
        InputError: it names what makes one.
    """
    if not isinstance(cond, Mapping):
        raise InputError(
            f"cond is a {type(cond).__name__}: expected a condition, which an ensemble makes of prompts: "
            "cond=ensemble.condition(['a fox'])"
        )


@attrs.frozen
class Layout:
    """How the rows of a batch repeat: (halves, clips, frames), halves outermost. A hint: rows are right without it.

    Attributes:
        halves: 2 where guidance evaluates each x and t twice, under two conditions.
        frames: so many rows that follow one another are frames of one clip, and share every condition.

    A wrapper that gives such rows different x, t or conditions leaves the hint out of the condition that it hands on.
    """

    halves: int = 1
    frames: int = 1

    @staticmethod
    def within(cond: Condition) -> Layout:
        """The condition's own; without one no row is known to repeat."""
        found = cond.get(LAYOUT)
        return found if isinstance(found, Layout) else _layout(1, 1)

    def but(self, halves: int | None = None, frames: int | None = None) -> Layout:
        """With other halves or frames; equal layouts are one object, by which a memo finds them."""
        return _layout(self.halves if halves is None else halves, self.frames if frames is None else frames)


LAYOUT = "layout"


@cache
def _layout(halves: int, frames: int) -> Layout:
    return Layout(halves, frames)


def map_condition(
    cond: Condition, plain: Callable[[str, Tensor], Any], per_frame: Callable[[str, Tensor], Any]
) -> dict[str, Any]:
    """Apply ``plain`` to tensors and ``per_frame`` to the tensors of ``PerFrame`` values, nested ones too."""

    def visit(name: str, value: Any) -> Any:
        if isinstance(value, PerFrame):
            return per_frame(name, value.tensor)
        if isinstance(value, Tensor):
            return plain(name, value) if value.ndim else value
        if isinstance(value, Mapping):
            return {key: visit(f"{name}.{key}", inner) for key, inner in value.items()}
        return value

    return {key: visit(key, value) for key, value in cond.items()}


def describe(value: object) -> str:
    """A value of a condition in words: the shape of a tensor, else the type."""
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def require(cond: Condition, name: str, who: str) -> Any:
    """The value under ``name``; ``InputError`` that names it when it is missing."""
    if name not in cond:
        have = ", ".join(map(repr, cond)) or "none"
        raise InputError(f'{who} needs the condition {name!r}; got {have}: pass cond={{"{name}": ...}}')
    return cond[name]


def _rows(name: str, value: Tensor, b: int) -> Tensor:
    if value.shape[0] == b:
        return value
    if value.shape[0] == 1:
        return value.expand(b, *value.shape[1:])
    raise InputError(
        f"the condition {name!r} has {value.shape[0]} rows of shape {tuple(value.shape[1:])} for a batch of {b}; "
        f"expected {b} or 1"
    )


def expand_rows(cond: Condition, b: int) -> dict[str, Any]:
    """Values of one row become b equal rows (without a copy); other row counts raise ``InputError``."""
    return map_condition(cond, lambda name, v: _rows(name, v, b), lambda name, v: PerFrame(_rows(name, v, b)))


def fold_frames(cond: Condition, b: int, f: int) -> dict[str, Any]:
    """The condition of ``(b f)`` single frames: ``PerFrame`` values fold, the others repeat for each frame."""
    alike = True

    def fold(name: str, value: Tensor) -> Tensor:
        nonlocal alike
        alike = False
        if value.shape[1] != f:
            raise InputError(
                f"the per-frame condition {name!r} has {value.shape[1]} frames; the clip has {f}"
            )
        return _rows(name, value, b).flatten(0, 1)

    folded = map_condition(cond, lambda name, v: _rows(name, v, b).repeat_interleave(f, dim=0), fold)
    # Frames that were frames of a fold before would be rows of a fourth axis, which no network uses.
    layout = Layout.within(cond)
    folded[LAYOUT] = layout.but(frames=f if alike and layout.frames == 1 else 1)
    return folded


def concat(first: Condition, second: Condition) -> dict[str, Any]:
    """Stack two conditions of equal batch along it, ``first`` on top.

    A name that only ``first`` has is used for both halves; one that only ``second`` has is missing.
    """
    for name in second:
        if name not in first:
            raise InputError(f"the condition {name!r} is missing beside its null value; pass it in cond")
    return {name: _join(name, value, second.get(name, value)) for name, value in first.items()}


def _join(name: str, one: Any, two: Any) -> Any:
    if isinstance(one, PerFrame) and isinstance(two, PerFrame):
        return PerFrame(_join(name, one.tensor, two.tensor))
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        if one.ndim == 0 and two.ndim == 0 and torch.equal(one, two):
            return one
        if one.ndim == 0 or one.shape != two.shape:
            raise InputError(
                f"the condition {name!r} has shape {tuple(one.shape)} and its null value {tuple(two.shape)}; "
                "expected equal shapes"
            )
        return torch.cat([one, two.to(one)], dim=0)
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return concat(one, two)
    if type(one) is not type(two) or one != two:
        raise InputError(
            f"the condition {name!r} is {one!r} and its null value {two!r}; only tensors may differ within one batch"
        )
    return one
