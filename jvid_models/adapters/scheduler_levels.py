"""What a diffusers scheduler declares about its network: the levels, the prediction and the number given as time.

clock    the network's time at (alpha, sigma)            schedulers
index    n, the table's entry, between entries too       tables of betas
sigma    sigma T                                         flow matching; exploding flow (Cosmos 2)
signal   alpha T                                         inverted flow (Mochi), whose output is x_0 - eps
log      ln(sigma / alpha) / 4                           EDM, continuous v (Stable Video Diffusion)
"""

from __future__ import annotations

from typing import Literal, get_args

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.denoisers.parameterized import Network, Parameterized, Prediction
from jvid.denoisers.preconditioned import Preconditioned
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule

__all__ = ["Clock", "SchedulerLevels"]

Clock = Literal["index", "sigma", "signal", "log"]

WHOLE = 1e-6
"""Below a whole number by less than this, a time that is cut counts as that number: float noise."""


@attrs.frozen
class SchedulerLevels:
    """The levels of one scheduler; compares by value.

    Attributes:
        schedule: alpha and sigma of the latents that the pipeline hands to ``scale_model_input``.
        prediction: what the network's output is; of a preconditioned network it is unused.
        clock: the number that the network is given as time.
        T: the number of training timesteps.
        std: EDM's sigma_data where the network is preconditioned (``Preconditioned``); None where it is not.
        sign: -1 where the network's output is the negative one.
        whole: whether the network's time is cut to a whole number, as UniPC and DPM++ do on flow sigmas.
    """

    schedule: NoiseSchedule
    prediction: Prediction
    clock: Clock = attrs.field()
    T: int = 1000
    std: float | None = None
    sign: int = 1
    whole: bool = False

    @clock.validator
    def _known(self, attribute: object, value: str) -> None:
        if value not in get_args(Clock):
            raise InputError(f"clock {value!r}: expected one of {', '.join(get_args(Clock))}")
        if value == "index" and not isinstance(self.schedule, TabulatedSchedule):
            raise InputError(
                f"clock 'index' on {type(self.schedule).__name__}: expected a TabulatedSchedule, which has entries"
            )

    def timestep(self, t: Tensor) -> Tensor:
        """The network's time at t ``(*)``, float64; a preconditioned network's is ``Preconditioned``'s c_noise."""
        if self.clock == "index":
            assert isinstance(self.schedule, TabulatedSchedule)  # by the validator
            n = self.schedule.timestep(t)
        else:
            alpha, sigma = self.schedule(t.double())
            if self.clock == "log":
                n = (sigma / alpha).log() / 4.0
            else:
                n = (sigma if self.clock == "sigma" else alpha) * self.T
        return torch.floor(n + WHOLE) if self.whole else n

    def denoiser(
        self, network: Network, space: LatentSpace | None = None, prediction: Prediction | None = None
    ) -> Parameterized | Preconditioned:
        """The denoiser of ``network``; ``prediction`` in place of the declared one.

        A preconditioned network is called with c_noise in place of t.

        Raises:
            InputError: a prediction of a preconditioned network, whose preconditioning has its own.
        """
        if self.std is not None:
            if prediction is not None:
                raise InputError(
                    f"prediction={prediction!r} of a preconditioned network: expected none, for its scheduler has it"
                )
            return Preconditioned(network, self.schedule, self.std, self.sign, space)
        inner = network if self.sign == 1 else _Negative(network)
        return Parameterized(inner, self.schedule, prediction or self.prediction, space)


@attrs.frozen(eq=False)
class _Negative:
    """A network with the sign of its output changed."""

    network: Network

    @property
    def denoises(self) -> str:
        return str(getattr(self.network, "denoises", "clips"))

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return -self.network(x, t, cond)
