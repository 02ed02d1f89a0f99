"""Helpers of the checks of denoisers and wrappers: latents at a level, predictions, parts of a condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.protocols import Condition
from jvid.testing.trial import Trial

__all__ = ["levels", "noisy", "predicted", "rows", "tensors", "time"]

F64 = torch.float64


def levels(subject: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of the subject's own schedule."""
    alpha, sigma = subject.schedule(t.double())
    return alpha, sigma


def noisy(subject: Any, trial: Trial, shape: tuple[int, ...], t: float, seed: int) -> Tensor:
    """Latents as the subject meets them at t: unit data and noise, in the last of the dtypes."""
    alpha, sigma = levels(subject, time(t))
    x_0, eps = trial.latents(shape, seed, F64), trial.latents(shape, seed + 1, F64)
    return (alpha * x_0 + sigma * eps).to(trial.dtype[-1])


def time(t: float | list[float]) -> Tensor:
    """t as a sampler hands it over."""
    return torch.tensor(t, dtype=F64)


def rows(cond: Condition, part: slice, b: int) -> Condition:
    """The condition of some clips of a batch of b."""

    def cut(value: Tensor) -> Tensor:
        return value[part] if value.shape[0] == b else value

    return map_condition(cond, lambda name, v: cut(v), lambda name, v: PerFrame(cut(v)))


def tensors(name: str, value: Any) -> list[tuple[str, Tensor]]:
    """All tensors of a condition, with names such as ``null.text``."""
    if isinstance(value, PerFrame):
        return [(name, value.tensor)]
    if isinstance(value, Tensor):
        return [(name, value)]
    if isinstance(value, Mapping):
        return [
            found for key, inner in value.items() for found in tensors(f"{name}.{key}".lstrip("."), inner)
        ]
    return []


@torch.no_grad()
def predicted(subject: Any, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
    """A prediction, evaluated as a sampler does."""
    out: Tensor = subject(x, t, cond)
    return out
