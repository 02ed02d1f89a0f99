"""Samplers with a slip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.grids import Leading
from jvid.postprocessors import TemporalSmoothing, UniformSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Cycle
from jvid.solvers import DDIM, DDPM
from jvid.testing.oracles import GaussianOracle
from tests.mutants.unseen import unseen

TABLE = TabulatedSchedule.scaled_linear()
EXPERTS = {"a": Expert(GaussianOracle(TABLE, 0.3, 0.5)), "b": Expert(GaussianOracle(FlowMatching(), -0.2, 0.7))}  # fmt: skip
SMOOTHINGS = (UniformSmoothing(3), TemporalSmoothing(2.0))


def implicit(x: Any, steps: Any, denoise: Any, noise: Any) -> Any:
    """DDIM, the experts in turn; smoothed in the end."""
    for step in steps:
        x_0 = sum(weight * denoise(name, x, step.start) for name, weight in step.weights.items())
        x = step.end.alpha * x_0 + step.end.sigma * (x - step.start.alpha * x_0) / step.start.sigma
    for smoothing in SMOOTHINGS:
        x = smoothing(x)
    return x


def _sampler(of: type[Sampler], solver: Any = None) -> Sampler:
    return of(EXPERTS, Cycle(("a", "b")), solver or DDIM(), Leading(5), postprocessors=SMOOTHINGS)


class _Reversed(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        for postprocessor in reversed(self.postprocessors):
            x = postprocessor(x)
        return x


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def last_postprocessor_first() -> Sampler:
    """Postprocessors run in the other order."""
    return _sampler(_Reversed)


class _Indexed(Sampler):
    def trace(self, *arguments: Any, seeds: Any = None, **options: Any) -> Any:
        moved = None if seeds is None else [seed + index for index, seed in enumerate(seeds)]
        return super().trace(*arguments, seeds=moved, **options)


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def seed_plus_place() -> Sampler:
    """A clip's place in the batch is added to its seed."""
    return _sampler(_Indexed, DDPM())


class _Brightened(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        return super().finish(x).clamp(-1.0, 1.0)


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def clipped_in_the_end() -> Sampler:
    """Finished latents are clipped to [-1, 1], as pixels are."""
    return _sampler(_Brightened)


class _OneExpert:
    """DDIM that predicts at the end of the step."""

    order = 1

    def init(self) -> None:
        return None

    def step(self, x: Tensor, step: Any, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        level = step.end if step.end.sigma else step.start
        x_0 = denoise(x, level)
        return step.end.alpha * x_0 + step.end.sigma * (x - step.start.alpha * x_0) / step.start.sigma, None


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def given_the_next_level() -> Sampler:
    """Experts are given the level that a step ends at."""
    return _sampler(Sampler, _OneExpert())


class _Standardised(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        out = super().finish(x)
        return out - (out.mean((2, 3, 4), keepdim=True) - x.mean((2, 3, 4), keepdim=True)) * 1.5


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def means_put_back_too_far() -> Sampler:
    """The mean that smoothing moved is put back one and a half times."""
    return _sampler(_Standardised)


class _Batch(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        out = super().finish(x)
        return out - out.mean((0, 2, 3, 4), keepdim=True) + torch.full_like(out[:1, :, :1, :1, :1], 0.1)


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def colours_of_the_batch() -> Sampler:
    """Colours are balanced over the batch."""
    return _sampler(_Batch)
