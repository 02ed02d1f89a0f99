"""A diffusers scheduler, or its config, read as diffusers reads it: never guessed, else refused by name.

tables of betas                                     -> TabulatedSchedule; eps, v, x0
FlowMatch*, use_flow_sigmas                         -> FlowMatching(shift); flow
    use_dynamic_shifting: FlowMatching(1), for the shift is the grid's; invert_sigmas: 1 - sigma, x_0 - eps
    sigma_data (Cosmos 2)                           -> VarianceExploding; eps
EDM*, timestep_type "continuous" with v_prediction  -> VarianceExploding; preconditioned
DDPMWuerstchen; SCM                                 -> CosineSchedule; eps; v, at an angle in place of a timestep

A config that states all that its levels depend on needs no diffusers; else the scheduler is built of it, and what
it leaves out has the class's own defaults. A config without ``_class_name`` is one of plain betas or flow sigmas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jvid.core.protocols import NoiseSchedule
from jvid.denoisers.parameterized import Prediction
from jvid.errors import InputError, one_line
from jvid.extras import extra
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid_models.adapters.cosine_schedule import CosineSchedule
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import PREDICTIONS, OutputKind
from jvid_models.adapters.scheduler_tables import TABLES, computed_table, object_table
from jvid_models.adapters.scheduler_values import check_values

__all__ = ["is_known", "levels_of_scheduler", "schedule_of"]

_FLOWS = {"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler"}
_EDMS = {"EDMDPMSolverMultistepScheduler", "EDMEulerScheduler"}
# Configs carry keys along for other classes, as `from_config` does; these classes read them.
_FLOW_SIGMAS = {
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
}
_SHIFTED = {"FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler"}
_COSINES = {"DDPMWuerstchenScheduler", "SCMScheduler"}
_CONTINUOUS = "EulerDiscreteScheduler"
# Keys that change levels, with the value that changes nothing; a config without a class must not have others.
_NEUTRAL: Mapping[str, Any] = {
    "invert_sigmas": False,
    "shift": None,
    "sigma_data": None,
    "sigma_schedule": None,
    "snr_shift_scale": None,
    "timestep_type": "discrete",
    "use_dynamic_shifting": False,
}


def levels_of_scheduler(scheduler: Any, like: str | None = None) -> SchedulerLevels:
    """The levels of a live diffusers scheduler, or of a scheduler's config.

    Args:
        scheduler: the scheduler, or its config.
        like: the known class as which a live scheduler of another one is read; default: it is refused.

    Raises:
        InputError: no scheduler, a class whose levels jvid does not have, a value of another type, or a key that changes
            the meaning of the network's output; the message names it.
    """
    given = getattr(scheduler, "config", scheduler)
    if not isinstance(given, Mapping):
        raise InputError(
            f"got a {type(scheduler).__name__} for a scheduler: expected a diffusers scheduler, its config or a jvid schedule"
        )
    config: dict[str, Any] = dict(given)
    check_values(config)
    live = scheduler if given is not scheduler else None
    name = config.get("_class_name")
    if live is not None:
        name = _class(live) or like or type(live).__name__
    if config.get("predict_epsilon") is False:
        raise InputError(
            "the scheduler has predict_epsilon=False, which diffusers no longer reads: "
            'replace it by prediction_type="sample" where its network predicts x_0'
        )
    if name is None:
        return _plain(config)
    if name in _FLOWS:
        return _flow(config, live, name)
    if name in _EDMS:
        return _edm(config if live is not None else dict(_built(config, name).config))
    if name in _COSINES:
        return _cosine(config, name)
    if name not in TABLES:
        raise InputError(
            f"a {name} has levels that jvid does not read: expected a scheduler on a table of betas, of flow matching or EDM; "
            "or give a jvid schedule and prediction="
        )
    return _table(config, live, name)


def schedule_of(scheduler: Any) -> tuple[NoiseSchedule, Prediction]:
    """The schedule and the prediction of a scheduler, or its config, whose network is not preconditioned.

    Computed tables are in float64 (diffusers: float32).
    Raises InputError for what a schedule and a prediction do not express; ``levels_of_scheduler`` does.
    """
    levels = levels_of_scheduler(scheduler)
    kind = levels.kind
    if kind.std is not None or kind.sign != 1:
        what = (
            "a preconditioned network (EDM)" if kind.std is not None else "the negative flow (invert_sigmas)"
        )
        raise InputError(
            f"the scheduler is of {what}: expected levels_of_scheduler(scheduler).denoiser(network), which holds it"
        )
    return levels.schedule, kind.prediction


def is_known(scheduler: Any) -> bool:
    """Whether the class of a live scheduler, or one that it is derived from, is one whose levels are read."""
    return _class(scheduler) is not None


def _class(scheduler: Any) -> str | None:
    """The nearest class that is known, so that a subclass of it is read too; None where there is none."""
    names = (kind.__name__ for kind in type(scheduler).__mro__)
    return next((name for name in names if name in TABLES | _FLOWS | _EDMS | _COSINES), None)


def _built(config: Mapping[str, Any], name: str) -> Any:
    """diffusers' scheduler of a config, which fills in what it leaves out."""
    with extra("models"):
        import diffusers
    try:
        return getattr(diffusers, name).from_config(dict(config))
    except (AttributeError, ImportError, NotImplementedError, TypeError, ValueError) as error:
        reason = one_line(error)
        raise InputError(f"diffusers makes no {name} of this config: {reason}") from None


def _prediction(config: Mapping[str, Any], name: str | None) -> Prediction:
    stated = config.get("prediction_type", "epsilon")
    if stated not in PREDICTIONS:
        raise InputError(f"{_of(name)}prediction_type {stated!r}: expected one of {', '.join(PREDICTIONS)}")
    return PREDICTIONS[stated]


def _of(name: str | None) -> str:
    """The scheduler's class in front of what of its config is refused."""
    return f"{name} with " if name else ""


def _plain(config: dict[str, Any]) -> SchedulerLevels:
    """The levels of a config without a class: plain betas, or flow sigmas."""
    if config.get("use_flow_sigmas"):
        return _flow_sigmas(config, None)
    for key, neutral in _NEUTRAL.items():
        if key in config and config[key] not in (None, neutral):
            raise InputError(
                f"a scheduler's config with {key}={config[key]!r} and without _class_name: give the scheduler itself, "
                "or its config with _class_name"
            )
    table = computed_table(config)
    assert table is not None  # only a class has a table of its own
    return _of_table(table, config, None)


def _of_table(table: TabulatedSchedule, config: Mapping[str, Any], name: str | None) -> SchedulerLevels:
    prediction = _prediction(config, name)
    if prediction == "flow":
        raise InputError(
            f'{_of(name)}prediction_type "flow_prediction" without use_flow_sigmas, on a table of betas: '
            "expected use_flow_sigmas=True"
        )
    return SchedulerLevels(table, OutputKind(prediction), Clock("index", table.timesteps))


def _table(config: dict[str, Any], live: Any, name: str) -> SchedulerLevels:
    continuous = name == _CONTINUOUS and config.get("timestep_type") == "continuous"
    table = None
    if live is None:
        table = computed_table(config, name)
        if table is None or continuous:
            live = _built(config, name)
            config = dict(live.config)
    if name in _FLOW_SIGMAS and config.get("use_flow_sigmas"):
        return _flow_sigmas(config, name)
    if live is not None:
        table = object_table(live, config, name)
    assert table is not None  # computed, or the object's
    if continuous and config.get("prediction_type") == "v_prediction":
        return _continuous(table, config)
    return _of_table(table, config, name)


def _flow_sigmas(config: Mapping[str, Any], name: str | None) -> SchedulerLevels:
    prediction = _prediction(config, name)
    if prediction == "v":
        raise InputError(
            f"{_of(name)}use_flow_sigmas and prediction_type 'v_prediction': expected flow_prediction, epsilon or sample"
        )
    shift = 1.0 if config.get("use_dynamic_shifting") else float(config.get("flow_shift") or 1.0)
    T = int(config.get("num_train_timesteps", 1000))
    return SchedulerLevels(FlowMatching(shift), OutputKind(prediction), Clock("sigma", T, whole=True))


def _flow(config: dict[str, Any], live: Any, name: str) -> SchedulerLevels:
    T = int(config.get("num_train_timesteps", 1000))
    if config.get("sigma_data") is not None:
        low, high = float(config.get("sigma_min", 0.002)), float(config.get("sigma_max", 80.0))
        return SchedulerLevels(VarianceExploding(low, high), OutputKind("eps"), Clock("sigma", T))
    shift = float(getattr(live, "shift", None) or config.get("shift") or 1.0)
    # The shift for a resolution is the grid's: the network is trained on every sigma.
    flow = FlowMatching(1.0 if name in _SHIFTED and config.get("use_dynamic_shifting") else shift)
    if name in _SHIFTED and config.get("invert_sigmas"):
        return SchedulerLevels(flow, OutputKind("flow", sign=-1), Clock("signal", T))
    return SchedulerLevels(flow, OutputKind("flow"), Clock("sigma", T))


def _edm(config: Mapping[str, Any]) -> SchedulerLevels:
    kind = config.get("prediction_type")
    if kind not in ("epsilon", "v_prediction"):
        raise InputError(f"prediction_type {kind!r} of an EDM scheduler: expected epsilon or v_prediction")
    schedule = VarianceExploding(config["sigma_min"], config["sigma_max"])
    output = OutputKind(PREDICTIONS[kind], float(config["sigma_data"]), 1 if kind == "epsilon" else -1)
    return SchedulerLevels(schedule, output, Clock("log", int(config["num_train_timesteps"])))


def _cosine(config: Mapping[str, Any], name: str) -> SchedulerLevels:
    if name == "SCMScheduler":
        kind = config.get("prediction_type", "trigflow")
        if kind != "trigflow":
            raise InputError(f"{name} with prediction_type {kind!r}: expected trigflow")
        return SchedulerLevels(CosineSchedule(), OutputKind("v"), Clock("time", math.pi / 2))
    s, scaler = float(config.get("s", 0.008)), float(config.get("scaler", 1.0))
    return SchedulerLevels(CosineSchedule(s, scaler, 1e-4, 0.9999), OutputKind("eps"), Clock("time", 1.0))


def _continuous(table: TabulatedSchedule, config: Mapping[str, Any]) -> SchedulerLevels:
    """v at ln(sigma) / 4: EDM's preconditioning with sigma_data 1 and the other sign (Stable Video Diffusion)."""
    ends = [((1.0 - bar) / bar) ** 0.5 for bar in (table.alphas_cumprod[0], table.alphas_cumprod[-1])]
    low = min(ends[0], float(config.get("sigma_min") or ends[0]))
    high = max(ends[1], float(config.get("sigma_max") or ends[1]))
    return SchedulerLevels(
        VarianceExploding(low, high), OutputKind("v", 1.0, -1), Clock("log", table.timesteps)
    )
