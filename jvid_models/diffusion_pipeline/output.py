"""The output of a `JVIDPipeline`: frames in the formats of diffusers' video pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jvid.ensemble import Ensemble
from jvid.errors import InputError
from jvid.extras import extra

with extra("models"):
    from diffusers.utils.outputs import BaseOutput
    from diffusers.video_processor import VideoProcessor

__all__ = ["JVIDPipelineOutput", "as_frames", "check_output_type"]

_TYPES = ("np", "pt", "pil", "latent")


@dataclass
class JVIDPipelineOutput(BaseOutput):
    """Clips, and their frames per second.

    Attributes:
        frames: an array ``(b f H W 3)``, a tensor ``(b f 3 H W)``, lists of pictures, or latents ``(b c f h w)``;
            ``diffusers.utils.export_to_video(output.frames[0], PATH, fps=output.fps)`` takes the first clip of "np" and "pil".
        fps: frames per second.
    """

    frames: Any
    fps: float


def check_output_type(output_type: str) -> None:
    """Refuse an output type that there is not."""
    if output_type not in _TYPES:
        raise InputError(f"output_type {output_type!r}: expected one of {', '.join(_TYPES)}")


def as_frames(ensemble: Ensemble, latents: Tensor, output_type: str) -> Any:
    """Latents ``(b c f h w)`` decoded, in the form of an output type."""
    if output_type == "latent":
        return latents
    return VideoProcessor().postprocess_video(ensemble.codec.decode(latents), output_type)
