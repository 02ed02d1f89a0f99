"""The figures of one set of clips, and their names as objectives of a search.

    clip       FVD[...]         the Frechet distance of clips
    frame      FID[...]         the Frechet distance of frames
    flicker    flicker ratio    to the real clips'; as an objective: how far it is from 1
    accuracy   action[...]      share of clips that are recognised as prompted; higher is better
    cost                        networks, as a share of 50 steps of one expert (`jvid_training.search.cost`)

Full names end in their network and in what departs from the protocol, such as the number of clips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from jvid_training.evaluation.figures import Figure

__all__ = ["PREFIXES", "Scores"]

PREFIXES = {"clip": "FVD", "frame": "FID", "flicker": "flicker ratio", "accuracy": "action["}
"""What the names of figures begin with."""


@attrs.frozen
class Scores:
    """Figures of a set of ``clips`` clips by full name, and its cost; ``cost`` is None where no network was evaluated."""

    figures: Mapping[str, Figure]
    clips: int
    cost: float | None
    seconds: float
    """Time of sampling and evaluation; what was already there took none."""

    def find(self, kind: str) -> tuple[str, Figure] | None:
        """The name and value of the first figure of a kind; None if there is none."""
        return next(((n, f) for n, f in self.figures.items() if n.startswith(PREFIXES[kind])), None)

    def objective(self, kind: str) -> float:
        """The value of an objective of a search; NaN where there is no such figure."""
        if kind == "cost":
            return math.nan if self.cost is None else self.cost
        found = self.find(kind)
        if found is None:
            return math.nan
        return abs(found[1].value - 1.0) if kind == "flicker" else found[1].value

    def objectives(self, kinds: Sequence[str]) -> list[float]:
        """The values of several objectives."""
        return [self.objective(kind) for kind in kinds]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scores:
        """From ``to_dict``'s values."""
        figures = {name: Figure(**figure) for name, figure in values["figures"].items()}
        return cls(figures, values["clips"], values["cost"], values["seconds"])
