"""Mistakes that leave every general promise intact: only a reference, the equation that is meant, finds them.

Each is beside the built-in that it would be, with that one's declared reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.protocols import Expert, NoiseSchedule, Step
from jvid.core.sampler import Sampler
from jvid.denoisers.wrapper import Wrapper
from jvid.grids import Leading
from jvid.noise import ScaledNoise, SharedNoise
from jvid.postprocessors import UniformSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always, PiecewiseAffine
from jvid.solvers import DDIM
from jvid.solvers.kernel import transition
from jvid.testing.oracles import GaussianOracle
from jvid.testing.references import (
    denoisers,
    grids,
    noise,
    postprocessors,
    schedules,
    selectors,
    solvers,
    wrappers,
)
from tests.mutants import mutant

TABLE = TabulatedSchedule.scaled_linear()


@mutant("schedule", "as_referenced", reference=partial(schedules.flow_matching, shift=3.0))
class shifted_the_other_way:
    """Divided by the shift in place of multiplied."""

    def __new__(cls) -> Any:
        return FlowMatching(1.0 / 3.0)


@mutant("schedule", "as_referenced", reference=schedules.scaled_linear)
class betas_linear:
    """Betas linear where their roots are meant."""

    def __new__(cls) -> Any:
        return TabulatedSchedule.linear(0.00085, 0.012)


@mutant("denoiser", "as_referenced", reference=partial(denoisers.gaussian, schedule=TABLE, mean=0.3, std=0.5))
class given_a_time_one_entry_late:
    """The network's timestep is t T in place of t T - 1."""

    schedule = TABLE

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        later = (t + 1.0 / 1000.0).clamp_max(1.0)
        return GaussianOracle(TABLE, 0.3, 0.5)(x, later, cond)


@attrs.frozen(eq=False)
class _Guided(Wrapper):
    denoiser: Any
    weight: float = 3.0

    def __call__(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        plain = {name: value for name, value in cond.items() if name != "null"}
        with_text = self.denoiser(x, t, plain)
        return (1.0 + self.weight) * with_text - self.weight * self.denoiser(x, t, {**plain, **cond["null"]})


@mutant("wrapper", "as_referenced", reference=partial(wrappers.guided, scale=3.0))
def one_plus_w() -> Any:
    """The convention of Ho and Salimans, in which no guidance is 0."""
    return _Guided


@mutant(
    "selector",
    "as_referenced",
    reference=partial(selectors.piecewise_affine, t_v=0.2, t_e=0.7, p_e=0.3, p_f=0.1),
)
@attrs.frozen
class of_noise_for_progress:
    """P_V is read at t in place of 1 - t, as the paper prints it."""

    experts = ("video", "image")

    def shares(self, step: Step) -> Mapping[str, float]:
        p = PiecewiseAffine(0.2, 0.7, 0.3, 0.1).probability(step.start.t)
        return {"video": p, "image": 1.0 - p}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video" if u < self.shares(step)["video"] else "image": 1.0}


@mutant("selector", "as_referenced", reference=partial(selectors.boundary, experts="a+b", at=0.5))
@attrs.frozen
class later_by_a_step:
    """A step that starts at the boundary is still the earlier expert's."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"b" if step.progress > 0.5 + 1e-9 else "a": 1.0}


@mutant("noise", "as_referenced", reference=partial(noise.shared, ratio=0.3))
@attrs.frozen
class shared_by_weight:
    """r is taken for the weight of the shared part, and so its square for the correlation."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else 0.3**2

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        return SharedNoise(0.3**2)(shape, draw)


@mutant("noise", "as_referenced", reference=partial(noise.scaled, gamma=1.0), ranges={"gamma": (0.0, 2.0)})
class gamma_of_variance:
    """gamma scales the variance; at 1 that is the same."""

    def __new__(cls) -> Any:
        return _Scaled(1.0)


@attrs.frozen
class _Scaled:
    gamma: float

    @property
    def std(self) -> float:
        return math.sqrt(self.gamma)

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        return ScaledNoise(SharedNoise(0.0), self.std)(shape, draw)


@mutant("solver", "as_referenced", reference=solvers.ddim, ranges={"eta": (0.0, 1.0)})
@attrs.frozen
class eta_for_its_square(DDIM):
    """eta in place of its square: right at 0 and 1."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        x_0 = denoise(x, step.start)
        return transition(x, x_0, step.start, step.end, math.sqrt(self.eta), noise), None


@mutant("solver", "as_referenced", reference=solvers.ddpm)
@attrs.frozen
class half_as_noisy:
    """DDIM of eta 1/2 under DDPM's name."""

    order = 1

    def init(self) -> None:
        return None

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        return transition(x, denoise(x, step.start), step.start, step.end, 0.5, noise), None


@mutant("grid", "as_referenced", reference=partial(grids.trailing, steps=20))
@attrs.frozen
class a_timestep_early:
    """n / T in place of (n + 1) / T."""

    steps: int = 20

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [*(1.0 - i / self.steps - 0.001 for i in range(self.steps)), 0.0]


@mutant("grid", "as_referenced", reference=partial(grids.leading, steps=20), ranges={"steps": (1, 1000)})
@attrs.frozen
class stride_rounded:
    """T / steps is rounded to the nearest: right where it is whole."""

    steps: int = 20

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        stride = round(1000 / self.steps)
        return [*(min(i * stride + 1, 1000) / 1000 for i in reversed(range(self.steps))), 0.0]


@mutant("postprocessor", "as_referenced", reference=postprocessors.gaussian)
@attrs.frozen
class cut_at_two:
    """The Gaussian is cut at two deviations."""

    def __call__(self, x: Tensor) -> Tensor:
        weights = torch.tensor([math.exp(-0.5 * k * k) for k in range(-2, 3)], dtype=torch.float64)
        first, f = x[:, :, :1], x.shape[2]
        at = [[min(max(i + k, 0), f - 1) for k in range(-2, 3)] for i in range(f)]
        moved = torch.einsum("k,bcfkhw->bcfhw", weights / weights.sum(), (x - first)[:, :, at].double())
        return (first + moved).to(x.dtype)


@mutant("postprocessor", "as_referenced", reference=postprocessors.uniform)
@attrs.frozen
class sixteen_frames:
    """A clip's first sixteen frames are smoothed, those behind are left."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([UniformSmoothing(3)(x[:, :, :16]), x[:, :, 16:]], 2)


def _finished(x: Any, steps: Any, denoise: Any, noise: Any) -> Any:
    """DDIM in alpha x_0 + sigma eps, doubled at the end."""
    for step in steps:
        x_0 = denoise("a", x, step.start)
        x = step.end.alpha * x_0 + step.end.sigma * (x - step.start.alpha * x_0) / step.start.sigma
    return 2.0 * x


@mutant("sampler", "as_referenced", reference=_finished)
class not_finished:
    """The last latents are taken as they are, and not through the postprocessors."""

    def __new__(cls) -> Any:
        return Sampler({"a": Expert(GaussianOracle(TABLE))}, Always("a"), DDIM(), Leading(5))


@mutant("features", "as_referenced", reference=lambda frames: frames.astype(float).mean((1, 2, 3)) / 255)
class blue_is_red:
    """Channels are taken for those of OpenCV."""

    name, kind, fingerprint = "means", "clip", "means-1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        made: np.ndarray = frames[..., ::-1].astype(np.float32).mean((1, 2, 3)) / 255
        return made


def _flicker(clips: Any, reference: Any) -> list[float]:
    return [
        float(np.abs(np.diff(c.astype(float), axis=0)).mean()) if len(c) > 1 else 0.0 for c in clips.array
    ]


@mutant("metric", "as_referenced", reference=_flicker)
class wraps_round:
    """Differences of uint8, which wrap round."""

    name, unit, better, features = "flicker", "of 255", None, ()

    def compute(self, clips: Any, reference: Any, resampling: Any) -> np.ndarray:
        return np.array([np.diff(c, axis=0).astype(float).mean() if len(c) > 1 else 0.0 for c in clips.array])
