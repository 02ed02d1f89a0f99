"""Another expert of the ensemble inside a wrapper, evaluated with its own condition."""

from __future__ import annotations

import attrs
from torch import Tensor

from jvid.core.conditions import require
from jvid.core.protocols import Condition, Denoiser
from jvid.denoisers.wrapper import Wrapper
from jvid.ensemble.ensemble import BORROWED

__all__ = ["Borrowed"]


@attrs.frozen(eq=False)
class Borrowed(Wrapper):
    """``denoiser`` of the expert ``name``, evaluated with the condition that ``Ensemble.condition`` puts beside another's."""

    denoiser: Denoiser
    name: str

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        own = require(require(cond, BORROWED, "Borrowed"), self.name, "Borrowed")
        return self.denoiser(x, t, own)
