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
from jvid_models.ensembles.schedulers import clips_x_0

__all__ = ["NATIVE", "PipelineText", "native_member", "own_wrappers", "pipeline_of"]

NATIVE = ("StableDiffusionPipeline", "TextToVideoSDPipeline", "AnimateDiffPipeline")
"""Classes whose call does nothing else, with the options of ``_UNDERSTOOD``."""

_UNDERSTOOD = frozenset({"guidance_scale", "negative_prompt", "height", "width", "num_frames"})


@attrs.frozen(eq=False)
class PipelineText:
    """Prompts to conditions by a pipeline's own ``encode_prompt``; its option ``negative_prompt`` is the null condition's."""

    denoiser: PipelineDenoiser

    @property
    def pipe(self) -> Any:
        """The pipeline."""
        return self.denoiser.pipe

    @property
    def negative(self) -> str:
        """The prompt of the null condition."""
        return str(self.denoiser.options.get("negative_prompt") or "")

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
        device = self.pipe._execution_device  # of offloaded parts too
        text, null = self.pipe.encode_prompt(
            list(prompts), device, 1, True, negative_prompt=[self.negative] * len(prompts)
        )[:2]
        return {"text": text, "null": {"text": null}}


def own_wrappers(denoiser: PipelineDenoiser) -> tuple[Choice, ...]:
    """The guidance of a pipeline of `NATIVE` as wrappers, which is outside of jvid's adapter."""
    parameter = denoiser.call.parameters["guidance_scale"]
    scale = float(denoiser.options.get("guidance_scale", parameter.default))
    return (Choice("guided", {"scale": scale}),) if scale > 1.0 else ()


def native_member(denoiser: PipelineDenoiser) -> Member | None:
    """The member of a pipeline by jvid's own adapter; None where the pipeline's own call is needed."""
    pipe, options = denoiser.pipe, denoiser.options
    if type(pipe).__name__ not in NATIVE or not _UNDERSTOOD.issuperset(options) or clips_x_0(pipe.scheduler):
        return None
    if (
        pipe.unet.config.in_channels != pipe.unet.config.out_channels
        or getattr(pipe, "image_encoder", None) is not None
        or _is_offloaded(pipe.unet)
        or has_caches(pipe.unet)  # whose states are kept by the pipeline's own call
    ):
        return None
    unet = from_unet(pipe.unet, pipe.scheduler, space=denoiser.space)
    return Member(unet, denoiser.denoises, PipelineText(denoiser), own_wrappers(denoiser), any_length=True)  # type: ignore[arg-type]


def _is_offloaded(module: torch.nn.Module) -> bool:
    """Whether diffusers moves weights when it calls the module or parts of it, which jvid's adapter does not do."""
    return any(hasattr(each, "_hf_hook") or hasattr(each, "_diffusers_hook") for each in module.modules())


def pipeline_of(member: Member) -> PipelineDenoiser | None:
    """The pipeline's denoiser behind a member, by its own call or by jvid's adapter; None for a member of another origin."""
    if isinstance(member.denoiser, PipelineDenoiser):
        return member.denoiser
    return member.conditioner.denoiser if isinstance(member.conditioner, PipelineText) else None
