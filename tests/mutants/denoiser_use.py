"""Wrong denoisers in use: other times, sizes and precisions, and weights that change."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.protocols import NoiseSchedule
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing.oracles import GaussianOracle
from tests.mutants import mutant

DATA = 0.3 + 0.5 * keyed_normal(range(6), ("data",), (4, 4, 8, 8), torch.float64)


@attrs.frozen
class _Exact:
    """Right: N(.3, .5^2); what a mutant changes is the time that the network gets."""

    schedule: NoiseSchedule = attrs.field(factory=TabulatedSchedule.scaled_linear)
    std: float = 0.5

    def given_time(self, t: Tensor) -> Tensor:
        return t

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return GaussianOracle(self.schedule, 0.3, self.std)(x, self.given_time(t), cond)


@mutant("denoiser", "the_true_time_is_best", data=DATA)
class given_a_shifted_time(_Exact):
    """The schedule's shift is applied to the time that the network gets, a second time."""

    def __init__(self) -> None:
        super().__init__(FlowMatching(3.0))

    def given_time(self, t: Tensor) -> Tensor:
        return 3.0 * t / (1.0 + 2.0 * t)


@mutant("denoiser", "the_true_time_is_best", data=DATA)
class given_times_of_a_shorter_table(_Exact):
    """Timesteps are those of a table of 900 entries for a network of 1000."""

    def given_time(self, t: Tensor) -> Tensor:
        return 0.9 * t


@mutant("denoiser", "rows_in_any_order")
class chunks_of_four(_Exact):
    """Rows are denoised four at a time, each chunk with the times of the first."""

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        each = t if t.ndim else t.expand(len(x))
        parts = x.split(4)
        return torch.cat(
            [super(chunks_of_four, self).__call__(part, each[: len(part)], cond) for part in parts]
        )


@mutant("denoiser", "half_precision_agrees")
class time_in_half(_Exact):
    """t is cast to the dtype of x before eps becomes x_0, and a time of bfloat16 is another."""

    def __init__(self) -> None:
        super().__init__(FlowMatching())

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        x_0 = super().__call__(x.double(), t, cond)
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.schedule(t))
        eps = (x.double() - alpha * x_0) / sigma.clamp_min(1e-9)
        rounded = t.bfloat16().double() if x.dtype == torch.bfloat16 else t
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.schedule(rounded))
        return ((x.double() - sigma.clamp_min(1e-9) * eps) / alpha).to(x.dtype)


@mutant("denoiser", "weights_are_read_each_time")
class weights_cast_once:
    """The network's weights are cast at the first call and kept."""

    schedule = FlowMatching()

    def __init__(self) -> None:
        self.network = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.network.weight, 0.5)
        torch.nn.init.constant_(self.network.bias, 0.1)
        self.cast: torch.nn.Linear | None = None

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        if self.cast is None:
            self.cast = torch.nn.Linear(1, 1).double()
            self.cast.load_state_dict(self.network.state_dict())
        out: Tensor = self.cast(x.double().unsqueeze(-1)).squeeze(-1)
        return out.to(x.dtype)


@mutant("denoiser", "holds_for_other_options", ranges={"std": (0.1, 3.0)})
class wide_data(_Exact):
    """Data of a deviation above 1 overflow."""

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return super().__call__(x, t, cond) / (self.std < 1.0)
