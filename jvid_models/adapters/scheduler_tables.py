"""Tables of betas from a scheduler's config: computed in float64 where the config states all, else diffusers' own.

beta_schedule, beta_start, beta_end, trained_betas, rescale_betas_zero_snr -> TabulatedSchedule

diffusers computes its tables in float32. A table that jvid computes is used where it agrees with the object's, so that
a config and a live scheduler give one value; any other (CogVideoX' shifted one, an edited one) is read from the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule

__all__ = ["TABLES", "computed_table", "object_table", "own_table"]

TABLES = frozenset(
    {
        "CogVideoXDDIMScheduler", "CogVideoXDPMScheduler", "DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler",
        "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSDEScheduler",
        "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LCMScheduler", "LMSDiscreteScheduler",
        "PNDMScheduler", "SASolverScheduler", "TCDScheduler", "UnCLIPScheduler",
        "UniPCMultistepScheduler",
    }
)  # fmt: skip
"""Schedulers of diffusers on a table of betas."""

# Classes that rescale as `zero_terminal_snr` does. For others the last entry is 2^-24, so that sigma / alpha is finite, or
# the key is one that a config carries along for other classes.
_RESCALED = {
    "DDIMParallelScheduler", "DDIMScheduler", "DDPMParallelScheduler", "DDPMScheduler", "LCMScheduler", "TCDScheduler",
}  # fmt: skip
_OWN = {"CogVideoXDDIMScheduler", "CogVideoXDPMScheduler", "UnCLIPScheduler"}  # tables of other arithmetic
_STATED = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


def computed_table(config: Mapping[str, Any], name: str | None = None) -> TabulatedSchedule | None:
    """The table of ``config`` in float64; None where only the scheduler of the class ``name`` has it.

    Args:
        config: a scheduler's; without a class, what it leaves out has the defaults of DDPM.
        name: the scheduler's class, whose own defaults fill in what is left out.

    Raises:
        InputError: betas that are none, or a beta schedule of no class that is not known.
    """
    if name is not None and (name in _OWN or any(key not in config for key in _STATED)):
        return None
    if config.get("rescale_betas_zero_snr") and name is not None and name not in _RESCALED:
        return None
    kind = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        table = TabulatedSchedule.from_betas(config["trained_betas"])
    elif kind not in _SCHEDULES:
        if name is not None:
            return None
        raise InputError(
            f"beta_schedule {kind!r}: expected {', '.join(_SCHEDULES)} or trained_betas; "
            "give the scheduler itself, or a jvid.TabulatedSchedule of its betas"
        )
    else:
        T = int(config.get("num_train_timesteps", 1000))
        start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
        if kind == "linear":
            table = TabulatedSchedule.linear(start, end, T)
        elif kind == "scaled_linear":
            table = TabulatedSchedule.scaled_linear(start, end, T)
        else:
            table = TabulatedSchedule.cosine(T)
    return table.zero_terminal_snr() if config.get("rescale_betas_zero_snr") else table


def object_table(scheduler: Any, config: Mapping[str, Any], name: str) -> TabulatedSchedule:
    """The table of a live scheduler of the class ``name``: ``computed_table`` where both agree, else its own."""
    own, table = own_table(scheduler), computed_table(config, name)
    if table is None or table.timesteps != own.timesteps:
        return own
    one, other = (torch.tensor(each.alphas_cumprod, dtype=torch.float64) for each in (table, own))
    return table if torch.allclose(one, other, rtol=2e-4, atol=1e-7) else own


def own_table(scheduler: Any) -> TabulatedSchedule:
    """The table that a live scheduler itself computes with, to the bit."""
    own = torch.as_tensor(scheduler.alphas_cumprod).detach().cpu().double()
    return TabulatedSchedule(own.clamp(0.0, 1.0))
