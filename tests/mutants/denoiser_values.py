"""Wrong denoisers: state that is kept, schedules that are not theirs, parameterizations mistaken."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import require
from jvid.core.protocols import Condition
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from tests.mutants.denoiser_bases import Grey, wrong


@wrong("the_same_each_time")
class dropout(Grey):
    """eval() was not called: its dropout draws at each call."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        return out * (torch.rand(out.shape, generator=self.generator) > 0.1)


@wrong("the_same_each_time")
class averages_with_the_last(Grey):
    """The last prediction of the shape is mixed in, to calm the process."""

    def __init__(self) -> None:
        self.last: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        out = 0.5 * (out + self.last.get(x.shape, out).to(out))
        self.last[x.shape] = out
        return out


@wrong("the_same_each_time")
class a_buffer(Grey):
    """Predictions of a shape are written into one buffer."""

    def __init__(self) -> None:
        self.buffers: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = super().__call__(x, t, cond)
        return self.buffers.setdefault(x.shape, torch.empty_like(out)).copy_(out)


@wrong("conditions_are_read_each_time")
class text_by_its_size(Grey):
    """The text's part is kept by batch size: another prompt of the same size gets it."""

    def __init__(self) -> None:
        self.kept: dict[int, Tensor] = {}

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return self.kept.setdefault(len(x), super().mean(x, cond))


@wrong("conditions_are_read_each_time")
class text_by_its_address(Grey):
    """The text's part is kept by the tensor's identity: what was edited since is not seen."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Any, Tensor]] = {}

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        text = require(cond, "text", "Grey")
        return self.kept.setdefault(id(text), (text, super().mean(x, cond)))[1]


@wrong("any_layout_in_memory")
class as_it_lies(Grey):
    """Latents are read in the order of memory."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x.as_strided((x.numel(),), (1,)).reshape(x.shape), t, cond)


@wrong("any_layout_in_memory")
class views_only(Grey):
    """view() where reshape() is meant."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x.view(-1).view(x.shape), t, cond)


class Doubtful(TabulatedSchedule):
    """A table whose inverse is off."""

    def time_at(self, angle: Tensor) -> Tensor:
        """Somewhat late."""
        return (super().time_at(angle) * 1.05).clamp_max(1.0)


@wrong("bridged_there_and_back")
class an_inverse_that_is_off(Grey):
    """Its schedule's inverse finds another level."""

    schedule = Doubtful(TabulatedSchedule.scaled_linear().alphas_cumprod)


@wrong("bridged_there_and_back")
class half_a_bridge(Grey):
    """It declares a schedule that x is not in: variance is kept inside, and declared to explode."""

    def __init__(self) -> None:
        self.accesses = 0

    @property
    def schedule(self) -> Any:  # type: ignore[override]
        """One of two, by turns."""
        self.accesses += 1
        return FlowMatching() if self.accesses == 1 else VarianceExploding()


@wrong("a_missing_condition_is_named")
class key_error(Grey):
    """The mapping's own error."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        return super().mean(x, {"text": cond["text"]})


@wrong("a_missing_condition_is_named")
class says_nothing_useful(Grey):
    """An error that does not name what is missing."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        if "text" not in cond:
            raise InputError("the condition is incomplete")
        return super().mean(x, cond)


@wrong("predicts_x_0")
class returns_eps(Grey):
    """The network's eps, not x_0."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        alpha, sigma = (level.view(-1, 1, 1, 1, 1).to(x) for level in self.schedule(t))
        return (x - alpha * super().__call__(x, t, cond)) / sigma.clamp_min(1e-3)


@wrong("predicts_x_0")
class the_other_velocity(Grey):
    """v with the sign of flow matching from noise to data."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return 2.0 * x - super().__call__(x, t, cond)


@wrong("predicts_x_0")
class time_turned_round(Grey):
    """t = 1 is taken for clean."""

    def time(self, t: Tensor) -> Tensor:
        return 1.0 - t


@wrong("predicts_x_0")
class latents_unscaled(Grey):
    """x_0 in the autoencoder's own scale, before the factor of the latent space."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond) / 0.18215


@wrong("globals_untouched")
class seeds_the_world(Grey):
    """It seeds torch's generator, to be reproducible."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        torch.manual_seed(0)
        return super().__call__(x, t, cond)
