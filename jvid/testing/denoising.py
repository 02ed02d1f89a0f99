"""Helpers of the checks of denoisers, wrappers and samplers: latents at a level, predictions, parts of a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Condition
from jvid.testing.inner import conditions
from jvid.testing.trial import Trial

__all__ = ["condition_of", "conditioned", "levels", "noisy", "predicted", "rows", "tensors", "time"]

F64 = torch.float64


def levels(subject: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of the subject's own schedule."""
    alpha, sigma = subject.schedule(t.double())
    return alpha, sigma


def noisy(subject: Any, trial: Trial, shape: tuple[int, ...], t: float, seed: int) -> Tensor:
    """Latents as the subject meets them at t: unit data and noise, in the last of the dtypes."""
    alpha, sigma = (level.cpu() for level in levels(subject, time(t).to(trial.device)))
    x_0, eps = (keyed_normal([each], ("trial",), shape, F64)[0] for each in (seed, seed + 1))
    return (alpha * x_0 + sigma * eps).to(trial.device, trial.dtype[-1])


def time(t: float | list[float]) -> Tensor:
    """t in double precision, as a sampler hands it over; ``predicted`` moves it to the device of x."""
    return torch.tensor(t, dtype=F64)


def condition_of(trial: Trial, b: int, f: int) -> Condition:
    """The condition of b clips of f frames; where it is made for fewer than a check wants, its rows and frames are repeated."""
    known_b = b if b in trial.batch else max(trial.batch)
    known_f = f if f in trial.frames else max(trial.frames)
    if (known_b, known_f) == (b, f):
        return trial.condition(b, f)
    try:
        cond = trial.cond(b, f)
    except Exception:  # a list of fewer texts raises anything; what is wrong at any size raises again below
        pass
    else:
        if _fits(cond, b, f):
            return trial.moved(cond)
    clips, frames = [k % known_b for k in range(b)], [k % known_f for k in range(f)]

    def of_clips(value: Tensor) -> Tensor:
        return value[clips] if value.shape[0] == known_b else value

    def of_frames(value: Tensor) -> PerFrame:
        return PerFrame(of_clips(value)[:, frames] if value.shape[1] == known_f else of_clips(value))

    return map_condition(
        trial.condition(known_b, known_f), lambda name, v: of_clips(v), lambda name, v: of_frames(v)
    )


def conditioned(trial: Trial, b: int, f: int, same: bool = False) -> Condition:
    """``conditions`` of the denoiser that wrappers are checked around, where the trial's tensors are."""
    return trial.moved(conditions(b, f, same))


def _fits(cond: Condition, b: int, f: int) -> bool:
    """Each tensor is of one row or b, and each ``PerFrame`` of f frames."""
    wrong: list[str] = []

    def see(name: str, value: Tensor, frames: int = f) -> Tensor:
        if value.shape[0] not in (1, b) or frames != f:
            wrong.append(name)
        return value

    map_condition(cond, see, lambda name, v: see(name, v, v.shape[1]))
    return not wrong


def rows(cond: Condition, part: slice | Sequence[int], b: int) -> Condition:
    """The condition of some clips of a batch of b: a slice of them, or their indices."""
    chosen = part if isinstance(part, slice) else list(part)

    def cut(value: Tensor) -> Tensor:
        return value[chosen] if value.shape[0] == b else value

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
    """A prediction, evaluated as a sampler does: t is on the device of x."""
    out: Tensor = subject(x, t.to(x.device), cond)
    return out
