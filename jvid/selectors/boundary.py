"""k experts, each for a stated range of noise: Wan 2.2, eDiff-I, SDXL base and refiner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import attrs

from jvid.errors import InputError
from jvid.selectors.texts import check_names, names, numbers

if TYPE_CHECKING:
    from jvid.core.protocols import Step

__all__ = ["Boundary"]

By = Literal["progress", "noise", "angle", "timestep"]


@attrs.frozen
class Boundary:
    """``experts`` from the noisiest on, each until the step's start reaches the next boundary.

    ``at``: k - 1 boundaries for k experts, in the coordinate ``by``. A step that starts at a boundary is the next expert's;
    by noise it is still the earlier one's, as in Wan 2.2's pipeline.

    "progress"    1 - t, rising; t is the reference schedule's time, before a shift of flow matching
    "noise"       sigma / (alpha + sigma), falling: the sigma of flow matching, after its shift
    "angle"       atan2(sigma, alpha) in radians, falling
    "timestep"    of a table of ``T`` steps, falling; before a shift, as progress

    Wan 2.2's pipeline compares shifted timesteps, so its ``boundary_ratio`` is a "noise":
    https://github.com/huggingface/diffusers, ``pipelines/wan/pipeline_wan.py``.
    """

    experts: tuple[str, ...] = attrs.field(converter=names)
    at: tuple[float, ...] = attrs.field(converter=numbers)
    by: By = "progress"
    T: int = 1000

    def __attrs_post_init__(self) -> None:
        check_names("Boundary", self.experts, distinct=False)
        if self.by not in get_args(By):
            raise InputError(f"Boundary got by={self.by!r}; expected progress, noise, angle or timestep")
        if len(self.at) != len(self.experts) - 1:
            raise InputError(
                f"Boundary got {len(self.at)} boundaries for {len(self.experts)} experts; expected {len(self.experts) - 1}, "
                "joined by +, as at=.2+.7"
            )
        top = {"progress": 1.0, "noise": 1.0, "angle": math.pi / 2, "timestep": float(self.T)}[self.by]
        if not all(0.0 <= boundary <= top for boundary in self.at):
            raise InputError(f"Boundary got at={list(self.at)}; expected {self.by} from 0 to {top:g}")
        ordered = sorted(self.at, reverse=self.by != "progress")
        if list(self.at) != ordered or len(set(self.at)) < len(self.at):
            way = "rising" if self.by == "progress" else "falling"
            raise InputError(f"Boundary got at={list(self.at)}; expected {way} values, from noise to clean")

    def _expert(self, step: Step) -> str:
        if self.by == "progress":
            passed = sum(step.progress >= boundary - 1e-12 for boundary in self.at)
        elif self.by == "noise":
            start = step.start
            passed = sum(start.sigma / (start.alpha + start.sigma) < boundary - 1e-9 for boundary in self.at)
        elif self.by == "angle":
            passed = sum(step.start.angle <= boundary + 1e-12 for boundary in self.at)
        else:
            passed = sum(step.start.t * self.T - 1.0 <= boundary + 1e-9 for boundary in self.at)
        return self.experts[passed]

    def shares(self, step: Step) -> Mapping[str, float]:
        """All for one expert."""
        return {self._expert(step): 1.0}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The expert of the step's start, whatever u."""
        return {self._expert(step): 1.0}
