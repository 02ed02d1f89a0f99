"""A model of single pictures where a latent frame holds several: it predicts the first latent frame, which is one picture.

    x_0 = [D_picture(x[:, :, :1], t), D_others(x, t)[:, :, 1:]]

A causal autoencoder of factor k encodes frame 0 alone, and k frames to each further latent frame. An image model was trained on
latents of the first kind only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.evaluations import evaluations_of
from jvid.core.levels import require_latents, require_prediction
from jvid.core.protocols import Condition, Denoiser, Evaluation
from jvid.denoisers.memo import Memo
from jvid.denoisers.wrapper import Wrapper, check_inner

__all__ = ["FirstFrame"]


@attrs.frozen(eq=False)
class FirstFrame(Wrapper):
    """``denoiser`` for the first latent frame, and ``others`` for those behind it: in a strategy, the name of another expert.

    The others predict the whole clip, of which the first latent frame is dropped. In a clip of one latent frame they are not
    evaluated.
    """

    denoiser: Denoiser
    others: Denoiser
    _first: Memo[dict[str, Any]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        for each in (self.denoiser, self.others):
            check_inner(each, "FirstFrame")
        object.__setattr__(self, "_first", Memo())

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        require_latents(x, "FirstFrame")
        if x.shape[2] == 1:
            return self.denoiser(x, t, cond)
        first = self._first(
            {"cond": cond},
            lambda: map_condition(cond, lambda _, value: value, lambda _, value: PerFrame(value[:, :1])),
        )
        picture = x[:, :, :1]
        head = require_prediction(self.denoiser(picture, t, first), picture, "FirstFrame")
        others = require_prediction(self.others(x, t, cond), x, "FirstFrame")
        return torch.cat([head, others[:, :, 1:]], 2)

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """Those of the picture's denoiser with one frame, and those of the others."""
        first = evaluations_of(self.denoiser, t, 1)
        return first if frames == 1 else (*first, *evaluations_of(self.others, t, frames))
