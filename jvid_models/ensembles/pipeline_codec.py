"""The decoder of a diffusers pipeline as a codec: what the pipeline itself does behind its loop."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from jvid.core.modules import Parts
from jvid.errors import InputError
from jvid_models.adapters.pipelines import PipelineDenoiser

__all__ = ["PipelineCodec"]


class PipelineCodec:
    """A codec that decodes by a pipeline's own decoder and postprocessing; it does not encode.

    Args:
        denoiser: of the pipeline.
    """

    def __init__(self, denoiser: PipelineDenoiser) -> None:
        self.denoiser = denoiser

    def modules(self) -> Parts:
        """The pipeline's encoders and decoder; its networks are not called."""
        parts = self.denoiser.modules()
        return Parts(before=parts.before, behind=parts.behind)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)`` -> video ``(b 3 f H W)`` in [-1, 1], float32.

        Raises:
            InputError: the pipeline's decoder gives no pictures.
        """
        if self.denoiser.denoises == "frames":
            frames = rearrange(latents, "b c f h w -> (b f) c 1 h w")
            made = torch.cat([self._decoded(frame[None]) for frame in frames])
            return rearrange(made, "(b f) d 1 h w -> b d f h w", b=len(latents))
        return torch.cat([self._decoded(clip[None]) for clip in latents])

    def _decoded(self, clip: Tensor) -> Tensor:
        made: Any = self.denoiser.frames(clip, "pt")
        video = torch.stack(list(made)) if isinstance(made, list) else made
        if isinstance(video, Tensor) and video.ndim == 4:
            video = video[:, None]
        if not isinstance(video, Tensor) or video.ndim != 5 or video.shape[2] != 3:
            shape = tuple(video.shape) if isinstance(video, Tensor) else type(made).__name__
            raise InputError(f"{self.denoiser.call.who} decodes to {shape}: expected frames (b, f, 3, H, W)")
        return rearrange(video.float() * 2.0 - 1.0, "b f d h w -> b d f h w")
