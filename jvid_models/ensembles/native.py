"""Pipelines whose network is evaluated by jvid's own adapter: frames as one batch, both halves of guidance in one call.

Network and text encoder are the pipeline's objects; what it would do around them is what `PipelineUNet`, `WanNetwork` or
`QwenImageNetwork` and guidance do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from jvid.ensemble import Member
from jvid.plugins.choice import Choice
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.transformer_network import TransformerNetwork
from jvid_models.ensembles import native_networks
from jvid_models.ensembles.pipeline_text import PipelineText, QwenImageText, WanText
from jvid_models.ensembles.split import whole_of

__all__ = ["NATIVE", "guides_itself", "native_member", "own_wrappers", "pipeline_of"]


@attrs.frozen
class NativeAdapter:
    """jvid's own adapter for pipelines of one class.

    Attributes:
        denoiser: of a pipeline; None where its own call is needed.
        text: the class of its conditioner.
        options: the options of a call that the adapter understands.
        guides: whether guidance is the adapter's, and no wrapper around it.
    """

    denoiser: Callable[[PipelineDenoiser], Any]
    text: type[PipelineText]
    options: frozenset[str]
    guides: bool = False


_PLAIN = frozenset({"negative_prompt", "height", "width"})
_CLIPS = _PLAIN | {"guidance_scale", "num_frames"}
_UNET = NativeAdapter(native_networks.unet, PipelineText, _CLIPS)

NATIVE: Mapping[str, NativeAdapter] = {
    "StableDiffusionPipeline": _UNET,
    "TextToVideoSDPipeline": _UNET,
    "AnimateDiffPipeline": _UNET,
    "WanPipeline": NativeAdapter(native_networks.wan, WanText, _CLIPS | {"max_sequence_length"}),
    "QwenImagePipeline": NativeAdapter(
        native_networks.qwen_image, QwenImageText, _PLAIN | {"true_cfg_scale", "max_sequence_length"}, True
    ),
}
"""By the class of the pipeline."""


def own_wrappers(denoiser: PipelineDenoiser) -> tuple[Choice, ...]:
    """The guidance of a pipeline of `NATIVE` as wrappers, where it is outside of jvid's adapter."""
    if NATIVE[type(denoiser.pipe).__name__].guides:
        return ()
    parameter = denoiser.call.parameters["guidance_scale"]
    scale = float(denoiser.options.get("guidance_scale", parameter.default))
    return (Choice("guided", {"scale": scale}),) if scale > 1.0 else ()


def native_member(denoiser: PipelineDenoiser) -> Member | None:
    """The member of a pipeline by jvid's own adapter; None where the pipeline's own call is needed."""
    native = NATIVE.get(type(denoiser.pipe).__name__)
    if native is None or not native.options.issuperset(denoiser.options):
        return None
    made = native.denoiser(denoiser)
    if made is None:
        return None
    text = native.text(whole_of(denoiser))  # whose encoders may be replaced later
    return Member(made, denoiser.denoises, text, own_wrappers(denoiser), any_length=True)  # type: ignore[arg-type]


def pipeline_of(member: Member) -> PipelineDenoiser | None:
    """The pipeline's denoiser behind a member, by its own call or by jvid's adapter; None for a member of another origin."""
    if isinstance(member.denoiser, PipelineDenoiser):
        return member.denoiser
    if isinstance(network := getattr(member.denoiser, "network", None), TransformerNetwork):
        return network.owner
    return member.conditioner.denoiser if isinstance(member.conditioner, PipelineText) else None


def guides_itself(member: Member) -> bool:
    """Whether the scale of guidance is an option of a pipeline's call, and not of a wrapper."""
    if isinstance(member.denoiser, PipelineDenoiser):
        return True
    pipe = pipeline_of(member)
    return pipe is not None and NATIVE[type(pipe.pipe).__name__].guides
