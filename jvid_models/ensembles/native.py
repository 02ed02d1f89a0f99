"""Pipelines whose UNet is evaluated by jvid's own adapter: frames as one batch, both halves of guidance in one call.

The UNet and its text encoder are the pipeline's objects; what it would do around them is what `from_unet` and `Guided` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch

from jvid.core.modules import Parts
from jvid.core.protocols import Condition
from jvid.ensemble import Member
from jvid.errors import InputError
from jvid.machine.managed import arrive
from jvid.plugins.choice import Choice
from jvid_models.adapters.movable import movable
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.caches import has_caches
from jvid_models.adapters.unet import from_unet

__all__ = ["NATIVE", "PipelineText", "native_member"]

NATIVE = ("StableDiffusionPipeline", "TextToVideoSDPipeline", "AnimateDiffPipeline")
"""Classes whose call does nothing else, with the options of ``_UNDERSTOOD``."""

_UNDERSTOOD = frozenset({"guidance_scale", "negative_prompt", "height", "width", "num_frames"})


@attrs.frozen(eq=False)
class PipelineText:
    """Prompts to conditions by a pipeline's own ``encode_prompt``; ``negative`` is the null condition's prompt."""

    pipe: Any
    negative: str = ""

    def modules(self) -> Parts:
        """The text encoder, if it may be moved."""
        return Parts(before=movable({"text_encoder": self.pipe.text_encoder}))

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Condition:
        """b prompts -> ``{"text": (b n w), "null": {"text": (b n w)}}``.

        Raises:
            InputError: no prompts, or one string.
        """
        if isinstance(prompts, str) or not prompts:
            raise InputError(
                f"got prompts {prompts!r}: expected a list of at least one ('' is unconditional)"
            )
        arrive(self.pipe.text_encoder)
        device = next(self.pipe.text_encoder.parameters()).device
        text, null = self.pipe.encode_prompt(
            list(prompts), device, 1, True, negative_prompt=[self.negative] * len(prompts)
        )[:2]
        return {"text": text, "null": {"text": null}}


def native_member(denoiser: PipelineDenoiser) -> Member | None:
    """The member of a pipeline by jvid's own adapter; None where the pipeline's own call is needed."""
    pipe, options = denoiser.pipe, denoiser.options
    if type(pipe).__name__ not in NATIVE or not _UNDERSTOOD.issuperset(options):
        return None
    if (
        pipe.unet.config.in_channels != pipe.unet.config.out_channels
        or getattr(pipe, "image_encoder", None) is not None
        or has_caches(pipe.unet)  # whose states are kept by the pipeline's own call
    ):
        return None
    negative = options.get("negative_prompt") or ""
    scale = float(options.get("guidance_scale", denoiser.call.parameters["guidance_scale"].default))
    wrappers = (Choice("guided", {"scale": scale}),) if scale > 1.0 else ()
    unet = from_unet(pipe.unet, pipe.scheduler, space=denoiser.space)
    return Member(unet, denoiser.denoises, PipelineText(pipe, negative), wrappers, any_length=True)  # type: ignore[arg-type]
