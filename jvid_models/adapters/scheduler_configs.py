"""A diffusers scheduler's config, read as a jvid schedule and a prediction. Needs no diffusers.

beta_schedule, beta_start, beta_end, trained_betas, rescale_betas_zero_snr -> TabulatedSchedule
FlowMatch*, use_flow_sigmas, shift                                         -> FlowMatching
prediction_type epsilon, v_prediction, sample, flow_prediction             -> eps, v, x0, flow
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jvid.core.protocols import NoiseSchedule
from jvid.denoisers.parameterized import Prediction
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule

__all__ = ["schedule_of"]

_PREDICTIONS: Mapping[str, Prediction] = {
    "epsilon": "eps",
    "v_prediction": "v",
    "sample": "x0",
    "flow_prediction": "flow",
}


def schedule_of(config: Mapping[str, Any]) -> tuple[NoiseSchedule, Prediction]:
    """The schedule and the prediction that a diffusers scheduler's config states.

    What the config leaves out has diffusers' default. Tables are in float64 (diffusers: float32).
    Raises InputError for a schedule that jvid has no equal of.
    """
    if not isinstance(config, Mapping):
        raise InputError(
            f"got a {type(config).__name__} for a scheduler: expected a diffusers scheduler, its config or a jvid schedule"
        )
    if config.get("use_dynamic_shifting"):
        raise InputError(
            "the scheduler's shift depends on the resolution (use_dynamic_shifting): "
            'give jvid.FlowMatching(shift) and prediction="flow" instead'
        )
    stated = config.get("prediction_type", "epsilon")
    flow = stated == "flow_prediction" or bool(config.get("use_flow_sigmas"))
    if flow or str(config.get("_class_name", "")).startswith("FlowMatch"):
        return FlowMatching(float(config.get("flow_shift") or config.get("shift") or 1.0)), "flow"
    if stated not in _PREDICTIONS:
        raise InputError(f"prediction_type {stated!r}: expected one of {', '.join(_PREDICTIONS)}")
    if str(config.get("_class_name", "")).startswith("EDM"):
        raise InputError("EDM schedulers precondition their network: wrap it in jvid.Parameterized yourself")
    T = int(config.get("num_train_timesteps", 1000))
    start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
    name = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        schedule = TabulatedSchedule.from_betas(config["trained_betas"])
    elif name == "linear":
        schedule = TabulatedSchedule.linear(start, end, T)
    elif name == "scaled_linear":
        schedule = TabulatedSchedule.scaled_linear(start, end, T)
    elif name == "squaredcos_cap_v2":
        schedule = TabulatedSchedule.cosine(T)
    else:
        raise InputError(
            f"beta_schedule {name!r}: expected linear, scaled_linear, squaredcos_cap_v2 or trained_betas; "
            "or give a jvid.TabulatedSchedule of its betas"
        )
    if config.get("rescale_betas_zero_snr"):
        schedule = schedule.zero_terminal_snr()
    return schedule, _PREDICTIONS[stated]
