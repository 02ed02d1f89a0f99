"""The figures of one set of clips, found by an objective's short name or by their base name.

Full names end in their network and in what departs from the protocol, such as the number of clips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from jvid_training.evaluation.figures import Figure, base_of
from jvid_training.search.objectives import SHORT, SearchObjective

__all__ = ["PREFIXES", "Scores"]

PREFIXES = {name: objective.figure for name, objective in SHORT.items() if objective.figure}
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
        """The name and value of the first figure of a short name, or of a base name; None if there is none."""
        if kind in PREFIXES:
            return next(((n, f) for n, f in self.figures.items() if n.startswith(PREFIXES[kind])), None)
        return next(((n, f) for n, f in self.figures.items() if base_of(n) == kind), None)

    def found(self, objective: SearchObjective) -> tuple[str, Figure] | None:
        """The name and value of an objective's figure; None if there is none."""
        return self.find(objective.name if objective.name in PREFIXES else objective.figure)

    def objective(self, objective: SearchObjective) -> float:
        """The value of an objective of a search; NaN where there is no such figure."""
        if not objective.figure:
            return math.nan if self.cost is None else self.cost
        found = self.found(objective)
        return math.nan if found is None else objective.number(found[1].value)

    def objectives(self, objectives: Sequence[SearchObjective | str]) -> list[float]:
        """The values of several objectives; a name is a short name of `SHORT`."""
        return [self.objective(SHORT[each] if isinstance(each, str) else each) for each in objectives]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return attrs.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scores:
        """From ``to_dict``'s values."""
        figures = {name: Figure(**figure) for name, figure in values["figures"].items()}
        return cls(figures, values["clips"], values["cost"], values["seconds"])
