"""Parts of a clip that are known: image to video, the next frames, inpainting in time and space.

    x_0 <- m known + (1 - m) x_0

at each prediction, so that a solver carries the known part along its own noise and ends at it exactly (the last step
ends at x_0). The unknown part sees it, because the denoiser is evaluated on x as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from jvid.core.levels import require_latents, require_prediction, working_dtype
from jvid.core.protocols import Condition, Denoiser
from jvid.denoisers.wrapper import Wrapper
from jvid.errors import InputError

__all__ = ["Known"]


@attrs.frozen(eq=False)
class Known(Wrapper):
    """``denoiser`` with known latents. It is the outermost wrapper: around ``Guided``, not within.

    What is known comes out exactly. What is not fits it as far as the network learnt to continue a part that is replaced at
    each step: one that was trained on whole clips alone often shows another person or scene beside a few known frames, since its
    prediction is not conditioned on them (`Ho et al. 2022 <https://arxiv.org/abs/2204.03458>`_, section 3.1). A model that was
    trained with known frames, such as one of image to video, follows them.

    Args:
        denoiser: predicts the rest.
        mask: broadcasts to ``(b c f h w)``, from 0 (unknown) to 1 (known); between, both are blended.
        latents: the known ones, broadcasting to ``(b c f h w)``; what they are where the mask is 0 does not matter.

    Raises:
        InputError: a mask outside [0, 1], or tensors that have not five axes.
    """

    outermost = True

    denoiser: Denoiser
    mask: Tensor
    latents: Tensor

    def __attrs_post_init__(self) -> None:
        for name in ("mask", "latents"):
            value = getattr(self, name)
            if value.ndim != 5 or not value.is_floating_point():
                raise InputError(
                    f"Known got {name} of shape {tuple(value.shape)} in {value.dtype}; expected floating (b, c, f, h, w), 1 "
                    "where it is the same along an axis"
                )
        if not bool(((self.mask >= 0) & (self.mask <= 1)).all()):
            raise InputError(
                "Known got a mask outside [0, 1]; expected 1 where latents are known, 0 where not"
            )

    @classmethod
    def frames(cls, denoiser: Denoiser, latents: Tensor, at: Sequence[int], frames: int) -> Known:
        """``denoiser`` with known frames: ``latents (b c k h w)`` are the k frames ``at`` of a clip of ``frames``.

        Raises:
            InputError: frames outside the clip, given twice, or not one for each of the latents.
        """
        places = [int(i) for i in at]
        if latents.ndim != 5 or latents.shape[2] != len(places) or len(set(places)) < len(places):
            raise InputError(
                f"Known.frames got latents of shape {tuple(latents.shape)} for frames {places}; expected (b, c, k, h, w) and k "
                "different frames"
            )
        if not all(0 <= i < frames for i in places):
            raise InputError(
                f"Known.frames got frames {places} of a clip of {frames}; expected 0 to {frames - 1}"
            )
        b, c, _, h, w = latents.shape
        whole = latents.new_zeros(b, c, frames, h, w)
        whole[:, :, places] = latents
        mask = latents.new_zeros(1, 1, frames, 1, 1)
        mask[:, :, places] = 1.0
        return cls(denoiser, mask, whole)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        require_latents(x, "Known")
        for name in ("mask", "latents"):
            shape = tuple(getattr(self, name).shape)
            if any(n not in (1, wanted) for n, wanted in zip(shape, x.shape, strict=True)):
                raise InputError(
                    f"Known has {name} of shape {shape} for latents of shape {tuple(x.shape)}; expected shapes that broadcast: "
                    "put Known around Guided, and give a row for each clip, or one"
                )
        dtype = working_dtype(x)
        mask, known = self.mask.to(x.device, dtype), self.latents.to(x.device, dtype)
        x_0 = require_prediction(self.denoiser(x, t, cond), x, "Known").to(dtype)
        # Not lerp: where the mask is 1 the known latents must come out to the last bit, whatever x_0 holds.
        return torch.where(mask == 1, known, mask * known + (1 - mask) * x_0).to(x.dtype)
