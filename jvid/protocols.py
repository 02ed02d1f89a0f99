"""The six protocols of jvid, and the callables that pass between them.

    x_t = alpha_t x_0 + sigma_t eps            (every schedule, Gaussian perturbation)

A *denoiser* estimates E[x_0 | x_t] on its own schedule; a *selector* says at each step which
denoisers are asked; a *solver* turns their x_0 into the next x_t; a *noise sampler* shapes the
keyed draws that a stochastic solver adds; a *postprocessor* edits latents.

Every latent video is a tensor ``(b, c, f, h, w)``: batch, channels, frames, height, width.
Objects that implement a protocol need not inherit from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from jvid.step import Level, Step

__all__ = [
    "Condition",
    "Denoise",
    "Denoiser",
    "Draw",
    "LatentPostprocessor",
    "Noise",
    "NoiseSampler",
    "NoiseSchedule",
    "Selector",
    "Solver",
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
    not mixed. A wrapper of a denoiser forwards ``schedule`` and ``space``.
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

    It may also have ``experts``, the names that it chooses among, and ``shares(step) -> Mapping[str, float]``,
    the mean of its weights over u; a plan then shows them and the conformance kit measures them.
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

    It may also have ``evaluations(step) -> int``, how often a step calls ``denoise`` (else once): a
    plan is priced by it. Inner stages find their levels with ``step.level_at(t)``.
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
