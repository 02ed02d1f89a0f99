"""Levels and latents as tensors and numbers: helpers that denoisers and solvers share."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import NoiseSchedule, level_at
from jvid.errors import InputError

__all__ = [
    "check_interval",
    "double",
    "level_at",
    "level_floats",
    "levels_for",
    "require_latents",
    "require_prediction",
    "working_dtype",
]


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


def require_prediction(x_0: Any, x: Tensor, who: str) -> Tensor:
    """x_0, if it has the shape and the dtype of x; a wrapper that computes with it would hide that it has not."""
    if not is_like(x_0, x):
        raise InputError(f"{who} got {form(x_0)} of its denoiser: expected x_0 like its input, {form(x)}")
    found: Tensor = x_0
    return found


def is_like(got: Any, x: Tensor) -> bool:
    """Whether a value is a tensor of the shape and the dtype of x."""
    return isinstance(got, Tensor) and got.shape == x.shape and got.dtype == x.dtype


def form(x: Any) -> str:
    """Shape and dtype of a tensor, or the type of another value, as errors name them."""
    if not isinstance(x, Tensor):
        return f"a value of type {type(x).__name__}"
    return f"shape {tuple(x.shape)} in {str(x.dtype).removeprefix('torch.')}"


_MOST = 4096
_floats: dict[int, tuple[weakref.ref[NoiseSchedule], dict[float, tuple[float, float]]]] = {}


def level_floats(schedule: NoiseSchedule, t: Tensor) -> tuple[float, float]:
    """alpha and sigma at t ``()`` as Python floats. A schedule is a value, so it is evaluated once for each time.

    A run visits the same times for every clip, and a call costs as much as a transition of small latents.
    """
    if not t.is_floating_point():
        schedule(t)  # its own error names what is wrong
    time = t.item()
    known = _floats.get(id(schedule))
    if known is None or known[0]() is not schedule:
        key = id(schedule)
        try:
            reference = weakref.ref(schedule, lambda _: _floats.pop(key, None))
        except TypeError:  # such an object has no weak reference
            alpha, sigma = schedule(double(t))
            return alpha.item(), sigma.item()
        known = _floats[key] = (reference, {})
    values = known[1]
    if (found := values.get(time)) is None:
        alpha, sigma = schedule(double(t))
        found = alpha.item(), sigma.item()
        if len(values) >= _MOST:
            values.clear()
        values[time] = found
    return found


def levels_for(schedule: NoiseSchedule, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at t ``()`` or ``(b,)``, in float64, shaped to broadcast on x ``(b c f h w)``."""
    if t.ndim > 1 or (t.ndim == 1 and t.shape[0] != x.shape[0]):
        raise InputError(
            f"got times of shape {tuple(t.shape)} for latents of shape {tuple(x.shape)}; "
            f"expected () or ({x.shape[0]},): one time, or one for each sample"
        )
    if t.ndim == 0:
        alpha, sigma = (t.new_tensor(value, dtype=torch.float64) for value in level_floats(schedule, t))
        return alpha, sigma
    alpha, sigma = schedule(double(t))
    if t.ndim == 1:
        shape = (-1,) + (1,) * (x.ndim - 1)
        alpha, sigma = alpha.reshape(shape), sigma.reshape(shape)
    return alpha, sigma


def check_interval(who: str, interval: tuple[float, float] | None) -> None:
    """Refuse an interval of t that is not one."""
    if interval is None:
        return
    if not 0.0 <= interval[0] <= interval[1] <= 1.0:
        raise InputError(f"{who} got interval={interval!r}; expected (low, high) in t, 0 <= low <= high <= 1")
