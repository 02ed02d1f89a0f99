"""Small tensor helpers that denoisers and solvers share."""

from __future__ import annotations

import torch
from torch import Tensor

from jvid.errors import InputError
from jvid.protocols import NoiseSchedule

__all__ = ["double", "levels_for", "require_latents", "working_dtype"]


def working_dtype(x: Tensor) -> torch.dtype:
    """The dtype to compute in: float32 for half precisions, else x's own."""
    return torch.promote_types(x.dtype, torch.float32)


def double(t: Tensor) -> Tensor:
    """t in float64, without its graph; on the CPU where the device has no float64 (Metal)."""
    return t.detach().to("cpu" if t.device.type == "mps" else t.device, torch.float64)


def require_latents(x: Tensor, who: str) -> None:
    """Raise ``InputError`` unless x is floating and has the five axes b c f h w."""
    if x.ndim != 5 or not x.is_floating_point():
        raise InputError(
            f"{who} got a {str(x.dtype).removeprefix('torch.')} tensor of shape {tuple(x.shape)}; expected floating "
            "latents of shape (b, c, f, h, w): give images one frame with x.unsqueeze(2)"
        )


def levels_for(schedule: NoiseSchedule, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at t ``()`` or ``(b,)``, in float64, shaped to broadcast on x ``(b c f h w)``."""
    if t.ndim > 1 or (t.ndim == 1 and t.shape[0] != x.shape[0]):
        raise InputError(
            f"got times of shape {tuple(t.shape)} for latents of shape {tuple(x.shape)}; "
            f"expected () or ({x.shape[0]},): one time, or one for each sample"
        )
    alpha, sigma = schedule(double(t))
    if t.ndim == 1:
        shape = (-1,) + (1,) * (x.ndim - 1)
        alpha, sigma = alpha.reshape(shape), sigma.reshape(shape)
    return alpha, sigma
