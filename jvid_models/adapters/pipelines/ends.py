"""Schedulers whose steps end at other levels than those at which the next ones begin.

diffusers' DDIM steps from timestep n to n - T // N, whatever it visits next: with N steps of its "linspace" spacing, and of
"trailing" where N does not divide T, the next evaluation is told another timestep than the latents have. jvid steps to the next
time itself. Source: https://github.com/huggingface/diffusers, ``schedulers/scheduling_ddim.py``, ``step``.
"""

from __future__ import annotations

import warnings
from typing import Any

from jvid.errors import JvidWarning

__all__ = ["warn_of_ends"]

_BY_STRIDE = ("DDIMScheduler", "DDIMParallelScheduler", "CogVideoXDDIMScheduler")


def warn_of_ends(scheduler: Any, who: str) -> None:
    """Warn (`JvidWarning`) of a scheduler whose own run jvid's does not equal; ``who`` has it."""
    kind = type(scheduler).__name__
    if kind in _BY_STRIDE and scheduler.config.get("timestep_spacing", "leading") == "linspace":
        warnings.warn(
            f"{who}: its {kind} with timestep_spacing 'linspace' steps to levels that it does not visit next; jvid steps to the "
            "next one, so results differ from diffusers' own run: give it 'leading' or 'trailing' for equal ones",
            JvidWarning,
            stacklevel=2,
        )
