"""Solvers, samplers, feature networks and metrics with a slip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.core.sampler import Sampler
from jvid.core.state import State
from jvid.schedules import FlowMatching
from jvid.solvers import DDIM, DDPM, DPMPP2M, DPMPP2MSDE
from jvid.solvers.history import log_snr
from jvid.solvers.kernel import coefficients
from jvid.testing.references import multistep, solvers
from tests.mutants.solver_bases import Coefficients, FirstOrder, Past, TwoStages, TwoSteps
from tests.mutants.unseen import unseen
from tests.mutants.unseen.samplers import _sampler, implicit


@unseen("solver", reference=solvers.heun)
class MidpointOfTime(TwoStages):
    """A midpoint method whose inner stage is at the middle of t, with the coefficients of the middle of log SNR."""

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: None
    ) -> tuple[Tensor, None]:
        start, end = step.start, step.end
        x_0 = denoise(x, start)
        c_x, c_0, c_z = coefficients(start, end, 0.0)
        euler = c_x * x + c_0 * x_0
        if c_z:
            euler = euler + c_z * noise("z")
        if self.evaluations(step) == 1:
            return euler, None
        middle = step.level_at(0.5 * (start.t + end.t))
        m_x, m_0, _ = coefficients(start, middle, 0.0)
        inner = denoise(m_x * x + m_0 * x_0, middle)
        d = x_0 + 1.0 * (inner - x_0)
        return c_x * x + c_0 * d, None


@unseen("solver", reference=solvers.ddpm)
class DeviationForVariance(FirstOrder):
    """The variance of the posterior is taken for its deviation."""

    eta = 1.0

    def coefficients(self, start: Level, end: Level) -> Coefficients:
        c_x, c_0, c_z = coefficients(start, end, self.eta)
        return c_x, c_0, c_z**2


@unseen("solver", reference=multistep.dpmpp_2m)
class AbsoluteSteps(TwoSteps):
    """Lengths of steps are absolute, so that a step back up extrapolates the wrong way."""

    def weight(self, h: float, h_past: float) -> float:
        return 0.5 * abs(h) / abs(h_past)


@unseen("solver", reference=multistep.dpmpp_2m)
class KeptOnItself(TwoSteps):
    """The last prediction is kept on the solver."""

    def __init__(self) -> None:
        self.past: Any = {}

    def step(self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Any) -> tuple[Tensor, Any]:
        if step.index == 0:
            self.past = {}
        out, self.past = super().step(x, step, denoise, noise, self.past)
        return out, None


@unseen("solver", reference=solvers.ddim)
class LastPredictionInTheEnd(DDIM):
    """The last step of a plan gives x_0 itself, wherever it ends."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        if step.index == step.count - 1:
            return denoise(x, step.start), None
        return super().step(x, step, denoise, noise, memory)


@unseen("solver", reference=multistep.dpmpp_2m)
class FirstStepExtrapolates(TwoSteps):
    """The memory begins with a prediction of zeros at the first level, and not empty."""

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Mapping[Any, Past]
    ) -> tuple[Tensor, Mapping[Any, Past]]:
        key = self.key(step)
        if key not in memory and math.isfinite(log_snr(step.start)):
            earlier = attrs.evolve(step.start, sigma=step.start.sigma * 1.1)
            memory = {**memory, key: ((earlier, torch.zeros_like(x)),)}
        return super().step(x, step, denoise, noise, memory)


@unseen("solver", reference=multistep.dpmpp_2m_sde)
@attrs.frozen
class NoiseOfTheWholeStep(DPMPP2MSDE):
    """eta scales x's part and not the noise: full noise is added at any eta."""

    eta: float = 0.5

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, denoise, lambda name: noise(name) / self.eta, memory)


@unseen("solver", reference=multistep.dpmpp_2m)
@attrs.frozen
class PredictionsInFloat32(DPMPP2M):
    """The history is kept in float32, to save memory."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> tuple[Tensor, Any]:
        return super().step(x, step, lambda y, level: denoise(y, level).float().to(y.dtype), noise, memory)


class _Of32Bits(Sampler):
    def trace(self, *arguments: Any, seeds: Any = None, **options: Any) -> Iterator[State]:
        short = None if seeds is None else [seed % 2**32 for seed in seeds]
        return super().trace(*arguments, seeds=short, **options)


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def seeds_of_32_bits() -> Sampler:
    """Seeds are cut to 32 bits."""
    return _sampler(_Of32Bits, DDPM())


class _Half(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        return super().finish(x.half()).to(x.dtype)


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def finished_in_half() -> Sampler:
    """Postprocessors run in float16."""
    return _sampler(_Half)


class _Again(DDIM):
    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        scale = math.hypot(step.start.alpha, step.start.sigma)
        return super().step(x / scale, step, denoise, noise, memory)


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def scaled_once_more() -> Sampler:
    """Latents are divided by sqrt(alpha^2 + sigma^2) before each step, as a solver of ratios has it, on flow matching too."""
    return attrs.evolve(_sampler(Sampler, _Again()), schedule=FlowMatching())


class _Late(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        return x


@unseen("sampler", frames=(2, 3, 4), examples=3, reference=implicit)
def never_finished() -> Sampler:
    """Postprocessors are given and not applied."""
    return _sampler(_Late)


def _colours(frames: Any) -> Any:
    return frames.astype(np.float64).mean((1, 2, 3)) / 127.5 - 1.0


class _Colours:
    name, kind, fingerprint = "colours", "clip", "colours-1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(self.rows(frames), np.float32)

    def rows(self, frames: np.ndarray) -> Any:
        return _colours(frames)


@unseen("features", reference=_colours)
class BlueFirst(_Colours):
    """Channels are in the order blue, green, red."""

    def rows(self, frames: np.ndarray) -> Any:
        return _colours(frames[..., ::-1])


@unseen("features", reference=_colours)
class CentreCrop(_Colours):
    """The middle of the picture is read, as in training."""

    def rows(self, frames: np.ndarray) -> Any:
        h, w = frames.shape[2:4]
        return _colours(frames[:, :, h // 8 : h - h // 8, w // 8 : w - w // 8])


@unseen("features", reference=_colours)
class SoftmaxOverTheBatch(_Colours):
    """The softmax is over the first axis."""

    def rows(self, frames: np.ndarray) -> Any:
        made = np.exp(_colours(frames))
        return made / made.sum(0)


@unseen("features", reference=_colours)
class OfBytes(_Colours):
    """The mean is taken in bytes, which are whole numbers."""

    def rows(self, frames: np.ndarray) -> Any:
        return frames.astype(np.float64).mean((1, 2, 3)).astype(np.uint8) / 127.5 - 1.0


@unseen("features", reference=_colours)
class FirstTwoFrames(_Colours):
    """A clip is cut to its first two frames, as the network was trained on."""

    def rows(self, frames: np.ndarray) -> Any:
        return _colours(frames[:, :2])


def _mean(clips: Any) -> Any:
    return clips.array.astype(np.float64).mean((0, 1, 2, 3))


def _distance(clips: Any, reference: Any) -> float:
    return float(np.square(_mean(clips) - _mean(reference)).sum())


class _Distance:
    name, unit, better, features = "distance", "of 255^2", "lower", ()

    def compute(self, clips: Any, reference: Any, resampling: Any) -> Any:
        return self.of(clips, reference)

    def of(self, clips: Any, reference: Any) -> Any:
        return _distance(clips, reference)


@unseen("metric", reference=_distance)
class RootTaken(_Distance):
    """The root of the square is returned, under the unit of squares."""

    def of(self, clips: Any, reference: Any) -> Any:
        return math.sqrt(_distance(clips, reference))


@unseen("metric", reference=_distance)
class Similarity(_Distance):
    """1 / (1 + distance), of which more is better, declared lower."""

    def of(self, clips: Any, reference: Any) -> Any:
        return 1.0 / (1.0 + _distance(clips, reference))


@unseen("metric", reference=_distance)
class AgainstItself(_Distance):
    """The clips are compared with themselves."""

    def of(self, clips: Any, reference: Any) -> Any:
        return _distance(clips, clips)


@unseen("metric", reference=_distance)
class MeansInBytes(_Distance):
    """Means are put back into bytes before they are subtracted, which wraps round."""

    def of(self, clips: Any, reference: Any) -> Any:
        one, two = (_mean(each).astype(np.uint8) for each in (clips, reference))
        return float(np.square((one - two).astype(np.float64)).sum())


@unseen("metric", reference=_distance)
class OfTheFirstClip(_Distance):
    """The reference's first clip is used for each of its clips."""

    def of(self, clips: Any, reference: Any) -> Any:
        first = reference.array[:1].astype(np.float64).mean((0, 1, 2, 3))
        return float(np.square(_mean(clips) - first).sum())


@unseen("metric", reference=_distance)
class Divided(_Distance):
    """Divided by the distance of the reference's halves, which is 0 for equal ones."""

    def of(self, clips: Any, reference: Any) -> Any:
        return _distance(clips, reference) / float(
            np.square(reference.array[::2].astype(np.float64).mean((0, 1, 2, 3)) - _mean(reference)).sum()
        )
