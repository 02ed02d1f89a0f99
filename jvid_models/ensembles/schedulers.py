"""The solver that does what a diffusers scheduler does, with a warning where none does quite that.

diffusers' DDIM steps from timestep n to n - T // N, whatever it visits next: with N steps of its "linspace" spacing the next
evaluation gets another timestep than the latents have. jvid steps to the next time itself. Source:
https://github.com/huggingface/diffusers, ``schedulers/scheduling_ddim.py``, ``step``.
"""

from __future__ import annotations

import warnings
from typing import Any

from jvid.errors import JvidWarning
from jvid.plugins.choice import Choice

__all__ = ["clips_x_0", "solver_of"]

_EXACT = {
    "DDIMScheduler": "ddim", "DDIMParallelScheduler": "ddim", "CogVideoXDDIMScheduler": "ddim", "PNDMScheduler": "pndm",
    "UniPCMultistepScheduler": "unipc", "DPMSolverMultistepScheduler": "dpmpp-2m", "HeunDiscreteScheduler": "heun",
    "EulerDiscreteScheduler": "euler", "FlowMatchEulerDiscreteScheduler": "euler", "EDMEulerScheduler": "euler",
    "FlowMapEulerDiscreteScheduler": "euler",
}  # fmt: skip
_NOISY = {
    "DDPMScheduler": "ddpm", "DDPMWuerstchenScheduler": "ddpm", "EulerAncestralDiscreteScheduler": "euler-ancestral",
}  # fmt: skip
_STRIDING = ("DDIMScheduler", "DDIMParallelScheduler", "CogVideoXDDIMScheduler")


def clips_x_0(scheduler: Any) -> bool:
    """Whether a scheduler clips or thresholds the x_0 that its network predicts."""
    return bool(scheduler.config.get("clip_sample") or scheduler.config.get("thresholding"))


def solver_of(scheduler: Any, who: str) -> Choice:
    """The solver of a pipeline's own run; ``who`` has the scheduler.

    Warns:
        JvidWarning: jvid has no solver that does the same, or steps to other levels.
    """
    kind, config = type(scheduler).__name__, scheduler.config
    name = _EXACT.get(kind) or _NOISY.get(kind) or "euler"
    differs = None
    if kind in _STRIDING and config.get("timestep_spacing", "leading") == "linspace":
        differs = "with timestep_spacing 'linspace' steps to levels that it does not visit next, and jvid to the next time"
    elif clips_x_0(scheduler) and kind in _STRIDING:
        verb = "thresholds" if config.get("thresholding") else "clips"
        differs = f"{verb} x_0 and keeps the eps of the network, and jvid's eps is that of the limited x_0"
    elif kind in _NOISY:
        differs = "draws noise, and jvid's is keyed by seed and step"
    elif kind == "DPMSolverMultistepScheduler":
        algorithm = str(config.get("algorithm_type", "dpmsolver++"))
        if algorithm == "sde-dpmsolver++":
            name, differs = "dpmpp-2m-sde", "draws noise, and jvid's is keyed by seed and step"
        elif algorithm != "dpmsolver++" or config.get("use_karras_sigmas"):
            differs = f"with algorithm_type {algorithm!r} or Karras' sigmas has no equal solver"
    elif kind not in _EXACT:
        differs = f"has no equal solver, and {name} takes its place"
    if differs is not None:
        warnings.warn(
            f"{who}: its {kind} {differs}: the recommended strategy is not diffusers' own run",
            JvidWarning,
            stacklevel=2,
        )
    # A pipeline's scheduler does not know which network predicts.
    return (
        Choice(name, {"history": "ignore"})
        if name in ("dpmpp-2m", "dpmpp-2m-sde", "unipc", "pndm")
        else Choice(name)
    )
