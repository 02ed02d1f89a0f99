"""The levels of a diffusers scheduler: alpha and sigma by time, what the network's output is, and the network's own time.

`scheduler_configs.levels_of_scheduler` reads them of a scheduler or its config, for all of jvid. A pipeline of diffusers adds
what only its run shows (`pipelines.levels.visited_levels`): which of the clocks agrees with its timesteps, how its latents are
scaled, where x_0 is clipped, and the times themselves.
"""

from __future__ import annotations

import attrs
from torch import Tensor

from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.denoisers.parameterized import Network, Parameterized, Prediction
from jvid.denoisers.preconditioned import Preconditioned
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_outputs import OutputKind

__all__ = ["SchedulerLevels"]


@attrs.frozen
class SchedulerLevels:
    """The levels of one scheduler; compares by value.

    Attributes:
        schedule: alpha and sigma of the latents that the pipeline hands to ``scale_model_input``.
        kind: what the network's output is.
        clock: the number that the network is given as time.
    """

    schedule: NoiseSchedule
    kind: OutputKind
    clock: Clock = attrs.field()

    @clock.validator
    def _has_entries(self, attribute: object, value: Clock) -> None:
        if value.of_a_table and not isinstance(self.schedule, TabulatedSchedule):
            raise InputError(
                f"clock {value.name!r} on {type(self.schedule).__name__}: expected a TabulatedSchedule, which has entries"
            )

    def timestep(self, t: Tensor) -> Tensor:
        """The network's time at t ``(*)``, float64; a preconditioned network's is ``Preconditioned``'s c_noise."""
        if self.clock.of_a_table:
            assert isinstance(self.schedule, TabulatedSchedule)  # by the validator
            return self.clock.entry(self.schedule, t)
        if self.clock.name == "time":
            return t.double() * self.clock.T
        return self.clock.at(*self.schedule(t.double()))

    def denoiser(
        self, network: Network, space: LatentSpace | None = None, prediction: Prediction | None = None
    ) -> Parameterized | Preconditioned:
        """The denoiser of ``network``; ``prediction`` in place of the declared one.

        A preconditioned network is called with c_noise in place of t.

        Raises:
            InputError: a prediction of a preconditioned network, whose preconditioning has its own; or a scheduler that
                clips x_0.
        """
        kind = self.kind
        if kind.clip is not None:
            raise InputError(
                f"the scheduler clips x_0 to {kind.clip:g}, which a denoiser alone does not: expected clip_sample=False"
            )
        if kind.std is not None:
            if prediction is not None:
                raise InputError(
                    f"prediction={prediction!r} of a preconditioned network: expected none, for its scheduler has it"
                )
            return Preconditioned(network, self.schedule, kind.std, kind.sign, space)
        inner = network if kind.sign == 1 else _Negative(network)
        return Parameterized(inner, self.schedule, prediction or kind.prediction, space)


@attrs.frozen(eq=False)
class _Negative:
    """A network with the sign of its output changed."""

    network: Network

    @property
    def denoises(self) -> str:
        return str(getattr(self.network, "denoises", "clips"))

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return -self.network(x, t, cond)
