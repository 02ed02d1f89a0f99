"""A scheduler's levels as a pipeline visits them: what `levels_of_scheduler` declares, and what only the run shows.

    declared    process, output, sigma_data, sign, T
    the run     the times, with shift, mu and sigmas of the pipeline's own, and the end; the clock that its timesteps go by;
                whether latents are x / alpha; where the scheduler's step clips x_0, and whether it is handed x_0

Three values are of the run where the declaration has others. A table is the scheduler's own in float32, for a pipeline's run is
equalled to 1e-5; the declared one is in float64 where it can be, so that a config and a scheduler have one value. A flow's t is
its sigma, for the shift is in the times; a network of flow matching alone has the shift in its schedule. Exploding sigmas
reach as far as those that are visited. A class that is not known is read by what it has, since its visits confirm it; without
a run it is refused. Scales that are not understood are refused here alone, and thresholds of x_0 are the scheduler's own: both
are of a step, not of levels.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.levels import level_at
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid_models.adapters.pipelines.probe import Presented
from jvid_models.adapters.pipelines.timesteps import measured_clock
from jvid_models.adapters.pipelines.visits import Visits
from jvid_models.adapters.scheduler_clocks import NEAR, Clock
from jvid_models.adapters.scheduler_configs import is_known, levels_of_scheduler
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_models.adapters.scheduler_tables import own_table

__all__ = ["VisitedLevels", "declared_levels", "visited_levels"]


@attrs.frozen
class VisitedLevels(SchedulerLevels):
    """The levels of a scheduler as a pipeline uses it, whose sigma is sigma / alpha, or that of flow matching.

    Attributes:
        dtype: of the scheduler's timesteps.
        has_sigmas: whether the scheduler has a sigma for each timestep.
        behind: how many timesteps the scheduler has behind the last turn of a loop.
        thresholds: whether its step thresholds x_0 by its values (Imagen's dynamic thresholding).
    """

    dtype: torch.dtype
    has_sigmas: bool
    behind: int = 0
    thresholds: bool = False

    def x_0(self, scheduler: Any, x: Tensor, output: Tensor, t: float) -> Tensor:
        """x_0 of latents and the model's output at time t, limited as the scheduler's step does.

        Raises:
            InputError: the level does not determine x_0.
        """
        level = level_at(self.schedule, t)
        found = self.kind.x_0(x, output, level.alpha, level.sigma)
        return scheduler._threshold_sample(found) if self.thresholds else found

    def scale(self, t: float) -> float:
        """What latents on the schedule are multiplied by for the pipeline."""
        if self.clock.name != "ratio":
            return 1.0
        alpha = level_at(self.schedule, t).alpha
        if alpha == 0.0:
            raise InputError(
                "a scheduler that divides by alpha was evaluated where alpha = 0: start the grid lower"
            )
        return 1.0 / alpha

    def advanced(self, scheduler: Any, sample: Tensor, output: Tensor, t: float, s: float) -> Tensor:
        """A scheduler's latents at time t by a step of first order to time s: alpha_s x_0 + sigma_s eps."""
        x, now, then = sample / self.scale(t), level_at(self.schedule, t), level_at(self.schedule, s)
        x_0 = self.x_0(scheduler, x, output, t)
        eps = (x - now.alpha * x_0) / now.sigma
        return ((then.alpha * x_0 + then.sigma * eps) * self.scale(s)).to(sample)

    def presented(self, t: float) -> Presented:
        """The timestep and the sigma at time t in [0, 1]."""
        level = level_at(self.schedule, t)
        if isinstance(self.schedule, FlowMatching):
            own = level.alpha if self._inverted else level.sigma
        else:
            own = level.sigma / level.alpha if level.alpha > 0.0 else math.inf
        n = float(self.timestep(torch.tensor(t, dtype=torch.float64)))
        value = torch.tensor(n, dtype=torch.float32)
        if not self.clock.of_a_table:
            value = value.to(self.dtype)
        elif abs(n - round(n)) < NEAR:
            # Between entries there is no timestep of a whole dtype.
            value = value.round() if self.dtype.is_floating_point else value.round().to(self.dtype)
        return Presented(value, own if self.has_sigmas else None, self.behind)

    def times(self, visits: Visits) -> tuple[float, ...]:
        """The times of a pipeline's visits, and the one behind the last."""
        if self.clock.name == "time":
            if not visits.behind:
                raise InputError(
                    "a scheduler of continuous time has no timestep behind its last: expected one"
                )
            every = [*visits.timesteps.tolist(), visits.behind[0]]
            return tuple(min(max(float(n) / self.clock.T, 0.0), 1.0) for n in every)
        if self.clock.name == "index":
            inner = [(float(n) + 1.0) / self.clock.T for n in visits.timesteps]
        elif visits.sigmas is None:
            raise InputError(
                "a scheduler whose levels are its sigmas has none: expected one for each timestep"
            )
        else:
            inner = [self._time(sigma) for sigma in visits.sigmas]
        if visits.last is not None:
            return (*inner, self._time(visits.last))
        if visits.behind:  # a loop that leaves its last timesteps out
            return (*inner, (visits.behind[0] + 1.0) / self.clock.T)
        return (*inner, 0.0 if visits.ends_clean else 1.0 / self.clock.T)

    @property
    def _inverted(self) -> bool:
        return self.clock.name == "signal"

    def _time(self, own: float) -> float:
        if isinstance(self.schedule, FlowMatching):
            return min(max(1.0 - own if self._inverted else own, 0.0), 1.0)
        t = float(self.schedule.time_at(torch.tensor(math.atan(own), dtype=torch.float64)))
        if not self.clock.of_a_table:
            return t
        nearest = round(t * self.clock.T) / self.clock.T
        return nearest if abs(t - nearest) * self.clock.T < NEAR else t


def declared_levels(scheduler: Any) -> SchedulerLevels:
    """The levels that a scheduler declares; one of a class that is not known is read by what it has.

    Raises:
        InputError: a scheduler that is not understood; the message names its class or what of its config it is.
    """
    return levels_of_scheduler(scheduler, None if is_known(scheduler) else _like(scheduler))


def visited_levels(scheduler: Any, visits: Visits) -> VisitedLevels:
    """The levels of a scheduler where a pipeline visits it.

    Raises:
        InputError: a scheduler that is not understood; the message names its class or what of its config it is.
    """
    name, config = type(scheduler).__name__, dict(scheduler.config)
    declared = declared_levels(scheduler)
    kind, schedule = declared.kind, declared.schedule
    if isinstance(schedule, TabulatedSchedule):
        schedule = own_table(scheduler)
        clock = Clock("ratio" if _explodes(name, schedule, visits) else "index", schedule.timesteps)
        kind = attrs.evolve(kind, clip=_clip(scheduler) if config.get("clip_sample") else None)
    elif declared.clock.name == "time":
        clock = declared.clock
    elif visits.sigmas is None:
        raise InputError(f"{name} has no sigmas, which its levels are: expected one for each timestep")
    else:
        if isinstance(schedule, VarianceExploding):
            schedule = _exploding(visits, schedule.sigma_min, schedule.sigma_max)
        elif max(visits.sigmas) > 1.0 + 1e-6:
            # dx / d sigma is the output, and x = x_0 + sigma eps.
            schedule = _exploding(visits, config.get("sigma_min"), config.get("sigma_max"))
            kind = OutputKind("eps")
        else:
            schedule = FlowMatching()
        clock = measured_clock(name, declared.clock, schedule, visits)
    kind = OutputKind("x0") if visits.denoised else kind
    return VisitedLevels(
        schedule,
        kind,
        clock,
        visits.timesteps.dtype,
        visits.sigmas is not None,
        len(visits.behind),
        bool(config.get("thresholding")) and _limited(scheduler) is not None,
    )


def _like(scheduler: Any) -> str:
    """The known class as which one that is not known is read: by what it has."""
    name, config = type(scheduler).__name__, dict(scheduler.config)
    if config.get("use_flow_sigmas"):
        return "UniPCMultistepScheduler"
    if name.startswith(("FlowMatch", "FlowMap")) or config.get("prediction_type") == "flow_prediction":
        return "FlowMatchEulerDiscreteScheduler"
    if name.startswith("EDM"):
        return "EDMEulerScheduler"
    if isinstance(getattr(scheduler, "alphas_cumprod", None), Tensor):
        return "DDIMScheduler"
    raise InputError(f"{name} is not understood: expected a table (alphas_cumprod), flow matching or EDM")


def _explodes(name: str, table: TabulatedSchedule, visits: Visits) -> bool:
    """Whether the model's input is scaled by alpha: measured."""
    if all(abs(scale - 1.0) < 1e-6 for scale in visits.scales):
        return False
    wanted = [1.0 / math.hypot(1.0, sigma) for sigma in visits.sigmas or ()]
    if len(wanted) == len(visits.scales) and all(
        abs(a - b) < 1e-5 * b for a, b in zip(visits.scales, wanted, strict=True)
    ):
        bar = table.alphas_cumprod[-1]
        most = math.sqrt((1.0 - bar) / bar) if bar else math.inf
        if max(visits.sigmas or ()) > 1.001 * most:
            raise InputError(
                f"{name} visits sigma {max(visits.sigmas or ()):g}, above the {most:g} of its table: expected sigma_max within it"
            )
        return True
    raise InputError(
        f"{name} scales the model's input by {visits.scales[0]:g}: expected 1 or 1 / sqrt(sigma^2 + 1)"
    )


def _clip(scheduler: Any) -> float | None:
    """What x_0 is clipped to by a scheduler's own step; None where it thresholds x_0 instead."""
    return None if scheduler.config.get("thresholding") else _limited(scheduler)


def _limited(scheduler: Any) -> float | None:
    """What a large x_0 becomes in a scheduler's own step, measured: not each that has the options limits it."""
    own = type(scheduler).from_config(scheduler.config)
    own.set_timesteps(10)
    large = torch.full((1, 3, 1, 1), 1e3)
    zeros = torch.zeros_like(large)
    learned = own.config.get("variance_type") in ("learned", "learned_range")
    if hasattr(own, "convert_model_output"):
        own.__dict__["_step_index"] = 5
        x_0 = own.convert_model_output(zeros.repeat(1, 2, 1, 1) if learned else zeros, sample=large)
    else:
        given: dict[str, Any] = {
            name: None
            for name, each in inspect.signature(own.step).parameters.items()
            if each.default is each.empty
        }
        given["model_output"] = zeros.repeat(1, 2, 1, 1) if learned else zeros
        with torch.random.fork_rng(devices=[]):  # some steps draw noise
            step = own.step(**{**given, "timestep": own.timesteps[5], "sample": large})
        x_0 = step.pred_original_sample
    limit = float(x_0.flatten()[0])
    return limit if limit < 10.0 else None


def _exploding(visits: Visits, low: float | None, high: float | None) -> VarianceExploding:
    """Exploding sigmas that hold all visited ones."""
    sigmas = [sigma for sigma in visits.sigmas or () if sigma > 0.0]
    return VarianceExploding(min(*sigmas, low or math.inf), max(*sigmas, high or 0.0))
