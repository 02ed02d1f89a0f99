"""Conditions prepared once: projected, moved or cast at the first step of a run, and found again at the others."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from torch import Tensor

from jvid.core.protocols import Condition, Denoiser
from jvid.denoisers.memo import Memo
from jvid.denoisers.wrapper import Wrapper
from jvid.errors import InputError

__all__ = ["Cached"]


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
