"""A diffusers scheduler's levels: jvid's time to the timestep and sigma that the scheduler has there, and back.

    tables        alphas_cumprod of the scheduler itself; latents x, or x / alpha where it scales the model's input
    flow          x = (1 - s) x_0 + s eps; timesteps T s, whole ones, those before the shift, or of 1 - s (Mochi)
    exploding     x = x_0 + s eps (EDM; Stable Video Diffusion's continuous timesteps; Cosmos): log(s) / 4, T s

The scheduler's own objects are read, after the pipeline itself has set its timesteps: nothing is concluded from a class's
defaults. What timestep belongs to a sigma is measured on the pairs that the pipeline visits; see `timesteps`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid_models.adapters.pipelines.predictions import OutputKind
from jvid_models.adapters.pipelines.probe import Presented
from jvid_models.adapters.pipelines.sigma_levels import SigmaLevels
from jvid_models.adapters.pipelines.table_levels import TableLevels
from jvid_models.adapters.pipelines.timesteps import rule_of
from jvid_models.adapters.pipelines.visits import Visits
from jvid_models.adapters.scheduler_configs import PREDICTIONS

__all__ = ["Levels", "levels_of"]


class Levels(Protocol):
    """The levels of one scheduler as a pipeline uses it."""

    @property
    def schedule(self) -> NoiseSchedule:
        """The schedule that the latents of a denoiser are on."""
        ...

    @property
    def kind(self) -> OutputKind:
        """What the model's output is."""
        ...

    def scale(self, t: float) -> float:
        """What latents on the schedule are multiplied by for the pipeline."""
        ...

    def presented(self, t: float) -> Presented:
        """The timestep and the sigma at time t in [0, 1]."""
        ...

    def times(self, visits: Visits) -> tuple[float, ...]:
        """The times of a pipeline's visits, and the one behind the last."""
        ...


def levels_of(scheduler: Any, visits: Visits) -> Levels:
    """The levels of a scheduler, and what the model's output is, measured where the pipeline visits it.

    Raises:
        InputError: a scheduler that is not understood; the message names its class.
    """
    name, config = type(scheduler).__name__, dict(scheduler.config)
    if config.get("thresholding"):
        raise InputError(f"{name} thresholds x_0 by its values: expected a scheduler without thresholding")
    dtype = visits.timesteps.dtype
    flow = (
        name.startswith("FlowMatch")
        or config.get("use_flow_sigmas")
        or config.get("prediction_type") == "flow_prediction"
    )
    stated = PREDICTIONS.get(str(config.get("prediction_type", "epsilon")))
    if name.startswith("EDM"):
        kind = OutputKind("edm" if stated == "eps" else "edm-v", float(config["sigma_data"]))
        kind = OutputKind("x0") if visits.denoised else kind
        return SigmaLevels(_exploding(visits, config), kind, rule_of(name, visits, config), dtype)
    if flow and visits.sigmas is not None:
        rule = rule_of(name, visits, config)
        if max(visits.sigmas) > 1.0 + 1e-6:
            # dx / d sigma is the output, and x = x_0 + sigma eps.
            return SigmaLevels(_exploding(visits, config), OutputKind("eps"), rule, dtype)
        back = bool(config.get("invert_sigmas"))
        kind = OutputKind("back" if back else _of_flow_sigmas(name, config, stated))
        return SigmaLevels(FlowMatching(), kind, rule, dtype, back)
    if stated is None:
        raise InputError(
            f"{name} with prediction_type {config.get('prediction_type')!r}: expected one of {', '.join(PREDICTIONS)}"
        )
    if config.get("timestep_type") == "continuous" and visits.sigmas is not None:
        return SigmaLevels(
            _exploding(visits, config), OutputKind(stated), rule_of(name, visits, config), dtype
        )
    table = getattr(scheduler, "alphas_cumprod", None)
    if not isinstance(table, Tensor) or flow:
        raise InputError(f"{name} is not understood: expected a table (alphas_cumprod), flow matching or EDM")
    kind = OutputKind(stated, clip=_clip(scheduler) if config.get("clip_sample") else None)
    levels = TableLevels(TabulatedSchedule(_table(table)), kind, False, visits.sigmas is not None, dtype)
    return attrs.evolve(levels, explodes=_explodes(name, levels, visits))


def _of_flow_sigmas(name: str, config: Mapping[str, Any], stated: str | None) -> str:
    """What the output is at x = (1 - s) x_0 + s eps: flow where the scheduler knows no other kind, else what it states."""
    if not config.get("use_flow_sigmas"):
        return "flow"
    if stated not in ("flow", "eps", "x0"):
        raise InputError(
            f"{name} with use_flow_sigmas and prediction_type {config.get('prediction_type')!r}: expected flow_prediction, "
            "epsilon or sample"
        )
    return stated


def _explodes(name: str, levels: TableLevels, visits: Visits) -> bool:
    """Whether the model's input is scaled by alpha: measured."""
    if all(abs(scale - 1.0) < 1e-6 for scale in visits.scales):
        return False
    wanted = [1.0 / math.hypot(1.0, sigma) for sigma in visits.sigmas or ()]
    if len(wanted) == len(visits.scales) and all(
        abs(a - b) < 1e-5 * b for a, b in zip(visits.scales, wanted, strict=True)
    ):
        return True
    raise InputError(
        f"{name} scales the model's input by {visits.scales[0]:g}: expected 1 or 1 / sqrt(sigma^2 + 1)"
    )


def _clip(scheduler: Any) -> float | None:
    """What x_0 is clipped to by a scheduler's own step, measured: not each that has the option does it."""
    own = type(scheduler).from_config(scheduler.config)
    own.set_timesteps(10)
    large = torch.full((1, 1, 1, 1), 1e3)
    x_0 = own.step(torch.zeros_like(large), own.timesteps[5], large).pred_original_sample
    return float(x_0) if float(x_0) < 10.0 else None


def _exploding(visits: Visits, config: Mapping[str, Any]) -> VarianceExploding:
    sigmas = [sigma for sigma in visits.sigmas or () if sigma > 0.0]
    low = min(*sigmas, float(config.get("sigma_min") or min(sigmas)))
    high = max(*sigmas, float(config.get("sigma_max") or max(sigmas)))
    return VarianceExploding(low, high)


def _table(alphas_cumprod: Tensor) -> list[float]:
    values = alphas_cumprod.double().tolist()
    return [min(max(value, 0.0), 1.0) for value in values]
