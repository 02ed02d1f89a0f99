"""Mistakes of the other kinds that show in use: with other options, lengths and precisions, and seeds side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Expert, NoiseSchedule, Step
from jvid.core.run import Run
from jvid.core.sampler import Sampler
from jvid.grids import Leading
from jvid.noise import SharedNoise
from jvid.postprocessors import TemporalSmoothing, UniformSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM, DDPM
from jvid.solvers.kernel import transition
from jvid.testing.oracles import GaussianOracle
from tests.mutants import mutant


@mutant("noise", "covariance_as_declared")
@attrs.frozen
class leans_on_its_neighbour:
    """A fiftieth of the next pixel is mixed in; the deviation is kept."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return float(i == j)

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        z = draw("z", shape)
        return (z + 0.02 * z.roll(1, -1)) / math.hypot(1.0, 0.02) if shape[-1] > 1 else z


@mutant("noise", "covariance_as_declared")
@attrs.frozen
class offset_of_a_tenth:
    """A noise offset of .1 that is not declared."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return float(i == j)

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        b, c, f, _, _ = shape
        return math.sqrt(0.99) * draw("z", shape) + 0.1 * draw("offset", (b, c, f, 1, 1))


@mutant("noise", "covariance_as_declared")
@attrs.frozen
class anew_every_sixteen:
    """Progressive noise that begins anew each sixteen frames."""

    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return float(0.8 ** abs(i - j))

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        frames: list[Tensor] = []
        for k, own in enumerate(draw("z", shape).unbind(2)):
            frames.append(own if k % 16 == 0 else 0.8 * frames[-1] + 0.6 * own)
        return torch.stack(frames, 2)


@mutant("noise", "holds_for_other_options", ranges={"ratio": (0.0, 1.0)})
@attrs.frozen
class ratio_for_its_root:
    """The ratio is the weight of the shared part; at 1 that is right."""

    ratio: float = 1.0
    std = 1.0

    def correlation(self, i: int, j: int) -> float:
        return 1.0 if i == j else self.ratio

    def __call__(self, shape: Sequence[int], draw: Any) -> Tensor:
        return SharedNoise(self.ratio**2)(shape, draw)


@mutant("selector", "the_same_for_the_same_u")
class zero_is_none:
    """A u near 0 is taken for none, and another is made up."""

    experts = ("a", "b")

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        if not round(u, 3):
            self.count += 1
            u = self.count * 0.37 % 1.0
        return {"a" if u < 0.5 else "b": 1.0}


@mutant("selector", "the_same_in_another_process")
def by_hash() -> Any:
    """Experts are ordered by the hash of their names, which each process salts."""
    from tests.jvid.testing.salted import Salted

    return Salted()


@mutant("selector", "holds_for_other_options", ranges={"share": (0.0, 1.0)})
@attrs.frozen
class half_and_half:
    """The other expert's weight is .5, whatever the share."""

    share: float = 0.5

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"a": self.share, "b": 0.5}


@attrs.frozen
class _OneStep:
    order = 1

    def init(self) -> None:
        return None


@mutant("solver", "stages_draw_noise_of_their_own")
class one_noise_for_two_stages(_OneStep):
    """Two ancestral half steps that both draw "z"."""

    def evaluations(self, step: Step) -> int:
        return 2

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        middle = step.level_at((step.start.t + step.end.t) / 2)
        x = transition(x, denoise(x, step.start), step.start, middle, 1.0, noise)
        return transition(x, denoise(x, middle), middle, step.end, 1.0, noise), None


@mutant("solver", "half_precision_agrees")
class moved_and_back(_OneStep):
    """x is moved by 30 and back in its dtype."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        out = transition(x, denoise(x, step.start), step.start, step.end, 0.0, noise)
        return (out + 30.0) - 30.0, None


@mutant("solver", "holds_for_other_options", ranges={"eta": (0.0, 1.0)})
@attrs.frozen
class noise_of_eta(DDIM):
    """The kept part of eps does not shrink by what eta adds: right at 0."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        x_0 = denoise(x, step.start)
        out = transition(x, x_0, step.start, step.end, 0.0, noise)
        noisy = transition(0.0 * x, 0.0 * x_0, step.start, step.end, self.eta, noise) if self.eta else 0.0
        return out + noisy, None


@mutant("schedule", "holds_for_other_options", ranges={"shift": (0.3, 10.0)})
@attrs.frozen
class shift_below_one(FlowMatching):
    """A shift below 1 turns time round."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return FlowMatching(self.shift)(t) if self.shift >= 1.0 else FlowMatching(self.shift)(1.0 - t)


def _refuses(**options: Any) -> Any:
    raise ValueError(f"no such options: {options}")


@mutant("schedule", "holds_for_other_options", ranges={"shift": (0.3, 10.0)}, factory=_refuses)
class no_option_at_all(FlowMatching):
    """The factory refuses every option of the declared ranges."""


@mutant("grid", "holds_for_other_options", ranges={"steps": (1, 1000)})
@attrs.frozen
class timesteps_of_few_digits:
    """Times are rounded to two digits, and many steps fall together."""

    steps: int = 20

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [round(1.0 - i / self.steps, 2) for i in range(self.steps)] + [0.0]


@mutant("postprocessor", "holds_for_other_options", ranges={"threshold": (0.0, 10.0)})
@attrs.frozen
class threshold_of_nothing(TemporalSmoothing):
    """A threshold of 0 divides by it."""

    def __call__(self, x: Tensor) -> Tensor:
        return TemporalSmoothing(self.threshold)(x) * (self.threshold / torch.tensor(self.threshold))


@mutant("postprocessor", "half_precision_agrees")
class sums_in_half:
    """A mean over frames of numbers far from 0, added up in bfloat16."""

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16:
            return UniformSmoothing(3)(x)
        return ((UniformSmoothing(3)(x) + 30.0) - 30.0).to(x.dtype)


class _Keyed(Sampler):
    """A sampler whose noise has another key."""

    def _run(self, *given: Any) -> Any:
        kept = Run._noise

        def noise(run: Any, key: str, step: Step, like: Tensor) -> Tensor:
            return keyed_normal(*self.key(run._streams, key, step), like.shape[1:], like.dtype)

        states = super()._run(*given)
        while True:
            Run._noise = noise  # type: ignore[method-assign]
            try:
                state = next(states, None)
            finally:
                Run._noise = kept  # type: ignore[method-assign]
            if state is None:
                return
            yield state

    def key(self, seeds: Any, key: str, step: Step) -> tuple[Any, Any]:
        raise NotImplementedError


class _NextSeed(_Keyed):
    def key(self, seeds: Any, key: str, step: Step) -> tuple[Any, Any]:
        return [seed + step.index for seed in seeds], ("z", key)


class _ShortSeed(_Keyed):
    def key(self, seeds: Any, key: str, step: Step) -> tuple[Any, Any]:
        return [seed % 2**32 for seed in seeds], (step.index, "z", key)


def _sampler(of: type[Sampler]) -> Sampler:
    return of(
        {"a": Expert(GaussianOracle(TabulatedSchedule.scaled_linear()))}, Always("a"), DDPM(), Leading(5)
    )


@mutant("sampler", "no_noise_twice")
def seed_and_step_are_added() -> Sampler:
    """The noise of step i of seed s is that of step i - 1 of seed s + 1."""
    return _sampler(_NextSeed)


@mutant("sampler", "no_noise_twice")
def half_of_the_seed() -> Sampler:
    """32 bits of a seed count."""
    return _sampler(_ShortSeed)
