"""The six protocols of jvid, the callables that pass between them, and the steps and experts they are about.

    x_t = alpha_t x_0 + sigma_t eps            (every schedule, Gaussian perturbation)

A *denoiser* estimates E[x_0 | x_t] on its own schedule; a *selector* gives at each step the
denoisers that predict; a *solver* turns their x_0 into the next x_t; a *noise sampler* shapes the
keyed draws that a stochastic solver adds; a *postprocessor* edits latents.

Every latent video is a tensor ``(b, c, f, h, w)``: batch, channels, frames, height, width.
Objects that implement a protocol need not inherit from it.

Levels are double precision and live on the *reference* schedule of a sampler. Nothing here assumes
that noise falls from ``start`` to ``end``: restart and zigzag grids step back up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Codec",
    "Condition",
    "DeclaresCost",
    "DeclaresEvaluations",
    "DeclaresExperts",
    "DeclaresNoise",
    "DeclaresShares",
    "Denoise",
    "Denoiser",
    "Draw",
    "Evaluation",
    "Expert",
    "LatentPostprocessor",
    "Level",
    "Noise",
    "NoiseSampler",
    "NoiseSchedule",
    "Selector",
    "Solver",
    "Step",
    "TextEncoder",
    "level_at",
]

Condition = Mapping[str, Any]
"""What a denoiser is conditioned on. Tensors lead with b; ``PerFrame`` values lead with (b, f)."""

Denoise = Callable[["Tensor", "Level"], "Tensor"]
"""``(x_t (b c f h w), level) -> x_0``: already selected, bridged and conditioned."""

Noise = Callable[[str], "Tensor"]
"""``key -> z (b c f h w)``, standard normal at each element. Lazy: an ODE solver never calls it."""

Draw = Callable[[str, Sequence[int]], "Tensor"]
"""``(name, shape) -> N(0, 1)``, shape leading with b. The same name gives the same draw."""

Memory = TypeVar("Memory")


def _read_only(weights: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(weights))


@attrs.frozen
class Level:
    """One noise level of the reference schedule: ``x = alpha x_0 + sigma eps``.

    ``t`` is the reference schedule's time in [0, 1], 0 clean and 1 noise. All three are Python
    floats, double precision.
    """

    t: float
    alpha: float
    sigma: float

    @property
    def angle(self) -> float:
        """``atan2(sigma, alpha)`` in radians: 0 is clean, pi/2 is pure noise; always finite."""
        return math.atan2(self.sigma, self.alpha)


def level_at(schedule: NoiseSchedule, t: float) -> Level:
    """The level of ``schedule`` at time t in [0, 1], in double precision."""
    import torch

    alpha, sigma = schedule(torch.tensor(t, dtype=torch.float64))
    return Level(t=float(t), alpha=float(alpha), sigma=float(sigma))


@attrs.frozen
class Step:
    """One transition of a plan, from ``start`` to ``end``.

    ``weights`` are the experts that predict (empty before a selector has spoken); ``switched``
    informs a multistep solver that others predict than at the step before (weights that move among
    the same experts are no switch). ``schedule`` is the reference, for solvers that evaluate between the ends.
    """

    index: int
    count: int
    start: Level
    end: Level
    weights: Mapping[str, float] = attrs.field(factory=dict, converter=_read_only, hash=False)
    switched: bool = False
    schedule: NoiseSchedule | None = attrs.field(default=None, eq=False, repr=False)

    def __reduce__(self) -> tuple[type[Step], tuple[object, ...]]:
        # A mapping proxy does not pickle, and a state that is resumed elsewhere holds steps.
        values = (self.index, self.count, self.start, self.end, dict(self.weights), self.switched)
        return Step, (*values, self.schedule)

    def level_at(self, t: float) -> Level:
        """The level of the reference schedule at time t in [0, 1], for a solver with inner stages.

        Raises:
            InputError: the step knows no schedule (a sampler's steps do).
        """
        if self.schedule is None:
            raise InputError(
                f"step {self.index} has no schedule to find the level at t {t:g} on: build it with Step(..., schedule=...)"
            )
        return level_at(self.schedule, t)

    @property
    def progress(self) -> float:
        """``u = 1 - t`` of ``start``: 0 at pure noise, 1 at the end, whatever the grid."""
        return 1.0 - self.start.t

    @property
    def expert(self) -> str:
        """The expert with the largest weight (the first named, at a tie)."""
        return max(self.weights, key=self.weights.__getitem__)

    @property
    def active(self) -> frozenset[str]:
        """The names of the experts that predict at this step."""
        return frozenset(self.weights)


@attrs.frozen
class Expert:
    """A denoiser that a selector may choose, and the noise of the steps that it predicts.

    ``noise=None`` is independent noise. r and gamma of the paper belong to an expert's own
    steps, therefore they are its noise sampler's.
    """

    denoiser: Denoiser
    noise: NoiseSampler | None = None


@runtime_checkable
class NoiseSchedule(Protocol):
    """How much signal and noise ``x_t = alpha x_0 + sigma eps`` holds at time t.

    The angle ``atan2(sigma, alpha)`` never falls as t goes from 0 (clean) to 1 (noise).
    Schedules compare by value: equal schedules need no bridge.
    """

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` in [0, 1] -> ``alpha (*)``, ``sigma (*)``, in the dtype and device of t."""
        ...

    def time_at(self, angle: Tensor) -> Tensor:
        """Inverse of the angle: ``atan2(sigma, alpha)`` ``(*)`` -> t ``(*)``, clamped to [0, 1]."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """``E[x_0 | x_t]``, in its *own* schedule's scale and time.

    It may also have ``space``, the ``LatentSpace`` that it denoises: experts of different spaces are
    not mixed. A wrapper of a denoiser forwards ``schedule`` and ``space``, and may be a ``DeclaresEvaluations``.
    """

    @property
    def schedule(self) -> NoiseSchedule:
        """The schedule that x and t of a call are expressed in."""
        ...

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` in [0, 1] -> x_0 of x's shape and dtype."""
        ...


@runtime_checkable
class Selector(Protocol):
    """Which experts predict at a step. Pure: the uniform number is handed in.

    It may also be a ``DeclaresExperts`` and a ``DeclaresShares``; a plan then shows both and the conformance kit measures them.
    """

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """``u ~ U[0, 1)`` -> weights >= 0 that sum to 1, by expert; absent is not evaluated."""
        ...


@runtime_checkable
class NoiseSampler(Protocol):
    """Shapes keyed draws across frames; each element is N(0, std^2)."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        """shape ``(b c f h w)`` -> noise of that shape, made of calls of ``draw`` alone."""
        ...


@runtime_checkable
class Solver(Protocol[Memory]):
    """One transition of the reverse process. What it remembers is passed in and handed back.

    It may also be a ``DeclaresCost`` and a ``DeclaresNoise``. Inner stages find their levels with ``step.level_at(t)``.
    """

    @property
    def order(self) -> int:
        """The order of convergence that it claims; measured by the conformance kit."""
        ...

    def init(self) -> Memory:
        """The memory before the first step."""
        ...

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """x at ``step.start`` -> x at ``step.end`` (same shape and dtype), and the new memory."""
        ...


@runtime_checkable
class LatentPostprocessor(Protocol):
    """Latents to latents, clip by clip."""

    def __call__(self, x: Tensor) -> Tensor:
        """x ``(b c f h w)`` -> the same shape, dtype and device."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Latents and pixels of one latent space."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)`` -> video ``(b 3 f H W)`` in [-1, 1]."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Prompts to what denoisers are conditioned on."""

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """b prompts -> ``{"text": (b n w), "null": {"text": (b n w)}}``; "" is the empty sentence.

        Raises:
            InputError: a prompt that it cannot encode.
        """
        ...


@runtime_checkable
class DeclaresExperts(Protocol):
    """A selector that declares which experts it chooses among."""

    @property
    def experts(self) -> Sequence[str]:
        """Their names."""
        ...


@runtime_checkable
class DeclaresShares(Protocol):
    """A selector that declares the mean of its weights over u."""

    def shares(self, step: Step) -> Mapping[str, float]:
        """The mean weight of each expert at a step."""
        ...


@runtime_checkable
class DeclaresCost(Protocol):
    """A solver that declares how often a step evaluates the denoiser; one that does not evaluates it once."""

    def evaluations(self, step: Step) -> int:
        """Calls of ``denoise`` in a step."""
        ...


@runtime_checkable
class DeclaresNoise(Protocol):
    """A solver that declares whether a step draws noise that changes the latents; one that does not may draw at each."""

    def draws_noise(self, step: Step) -> bool:
        """Whether a step draws noise."""
        ...


@attrs.frozen(eq=False)
class Evaluation:
    """How often a call of a denoiser evaluates one network, for one clip.

    Attributes:
        denoiser: the network's denoiser.
        rows: of its batch that one clip makes: 2 where guidance evaluates both conditions at once.
        frames: of each row, in latents.
        count: evaluations in a call.
    """

    denoiser: Denoiser
    rows: int
    frames: int
    count: int = 1


@runtime_checkable
class DeclaresEvaluations(Protocol):
    """A denoiser around others that declares what a call evaluates; any other counts as one network."""

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """What a call at time t of its own schedule evaluates, for a clip of ``frames`` latent frames."""
        ...
