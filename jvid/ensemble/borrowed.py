"""Two experts of different conditioners inside one wrapper, each evaluated with its own condition alone."""

from __future__ import annotations

import attrs
from torch import Tensor

from jvid.core.conditions import require
from jvid.core.protocols import Condition, Denoiser
from jvid.denoisers.wrapper import Wrapper
from jvid.ensemble.ensemble import BORROWED

__all__ = ["Borrowed", "Lender"]


@attrs.frozen(eq=False)
class Borrowed(Wrapper):
    """``denoiser`` of the expert ``name``, evaluated with the condition that ``Ensemble.condition`` puts beside another's."""

    denoiser: Denoiser
    name: str

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        own = require(require(cond, BORROWED, "Borrowed"), self.name, "Borrowed")
        return self.denoiser(x, t, own)


@attrs.frozen(eq=False)
class Lender(Wrapper):
    """``denoiser`` of an expert whose condition carries those of others; it is evaluated without them."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        return self.denoiser(x, t, {name: value for name, value in cond.items() if name != BORROWED})
