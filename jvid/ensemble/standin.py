"""A placeholder for an expert's network, where wrappers are checked or priced and nothing is evaluated."""

from __future__ import annotations

from typing import Any

import attrs

from jvid.core.protocols import NoiseSchedule

__all__ = ["StandIn"]


@attrs.frozen(eq=False)
class StandIn:
    """A denoiser of the expert ``name`` that is on a schedule and cannot be evaluated."""

    schedule: NoiseSchedule
    name: str = ""

    def __call__(self, x: Any, t: Any, cond: Any) -> Any:
        """Raises an error in the program: nothing may evaluate it."""
        raise AssertionError(f"a stand-in of expert {self.name!r} is not evaluated")
