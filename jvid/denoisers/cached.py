"""Conditions prepared once: projected, moved or cast at the first step of a run, and found again at the others."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.protocols import Condition, Denoiser
from jvid.denoisers.memo import Memo
from jvid.denoisers.wrapper import Wrapper
from jvid.errors import InputError

__all__ = ["Cached", "cached"]


def _memo(size: int) -> Memo[Condition]:
    if type(size) is not int or size < 1:
        raise InputError(
            f"Cached got size={size!r}; expected a whole number of conditions to keep, at least 1"
        )
    return Memo(size)


@attrs.frozen(eq=False)
class Cached(Wrapper):
    """``denoiser`` given ``prepare(cond)``, which is made once for each of the last ``size`` conditions.

    A condition is known by its tensors themselves, so a run must pass the same ones at each step, as a
    ``Sampler`` does. ``clear`` lets go of all.
    """

    denoiser: Denoiser
    prepare: Callable[[Condition], Condition]
    size: int = 4
    _prepared: Memo[Condition] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_prepared", _memo(self.size))

    def clear(self) -> None:
        """Forget the prepared conditions, and let go of their tensors."""
        self._prepared.clear()

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        return self.denoiser(x, t, self._prepared(cond, lambda: self.prepare(cond)))


def cached(
    denoiser: Denoiser,
    prepare: Callable[[Condition], Condition] | None = None,
    size: int = 4,
    device: str | None = None,
    dtype: str | None = None,
) -> Cached:
    """``denoiser`` whose conditions are prepared once; by ``prepare``, or moved to ``device`` and cast to ``dtype``.

    Args:
        denoiser: sees the prepared conditions.
        prepare: a function, in Python.
        size: how many conditions are kept.
        device: of all tensors of a condition, such as "cuda".
        dtype: of its floating-point tensors, such as "bfloat16".

    Raises:
        InputError: ``prepare`` beside another preparation or not a function, or a device or dtype that torch does not have.
    """
    if prepare is not None:
        function: object = prepare
        if not callable(function) or device is not None or dtype is not None:
            raise InputError(
                f"cached got prepare={prepare!r}, device={device!r}, dtype={dtype!r}; expected a function as prepare alone, or "
                "a device and a dtype"
            )
        return Cached(denoiser, prepare, size)
    to = None if dtype is None else getattr(torch, dtype, None)
    if dtype is not None and not (isinstance(to, torch.dtype) and to.is_floating_point):
        raise InputError(f"cached got dtype={dtype!r}; expected a floating one, such as 'bfloat16'")
    try:
        where = None if device is None else torch.device(device)
    except RuntimeError as error:
        raise InputError(f"cached got device={device!r}; expected one of torch, such as 'cuda'") from error

    def placed(name: str, value: Tensor) -> Tensor:
        return value.to(where, to if value.is_floating_point() else None)

    return Cached(
        denoiser, lambda cond: map_condition(cond, placed, lambda name, v: PerFrame(placed(name, v))), size
    )
