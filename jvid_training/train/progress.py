"""The state of a run as it is shown and logged."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

__all__ = ["Progress"]


@attrs.frozen
class Progress:
    """The state of a run at a logged step."""

    step: int
    steps: int
    loss: float
    """Mean over the steps since the last logged one; NaN where all of them were left out."""
    lr: float
    rate: float
    """Steps per second since the run (or its resume) began."""
    validation: float | None = None
    figures: Mapping[str, float] = attrs.field(factory=dict)
    """Other figures on held-out actors, by name (`jvid_training.train.objectives.Measures`)."""
    watched: Mapping[str, float] = attrs.field(factory=dict)
    """Averages since the last logged step, by name (`jvid_training.train.watch.StepWatch`)."""

    @property
    def minutes_left(self) -> float:
        """Of the run, at its rate so far."""
        return (self.steps - self.step) / self.rate / 60

    @property
    def values(self) -> dict[str, float]:
        """What is logged of the step, by name; what is not finite has no number in JSON and is left out."""
        held_out = {} if self.validation is None else {"validation": self.validation}
        values = {
            "loss": self.loss,
            "lr": self.lr,
            "rate": self.rate,
            "minutes_left": round(self.minutes_left, 3),
            **held_out,
            **self.figures,
            **self.watched,
        }
        return {name: value for name, value in values.items() if math.isfinite(value)}
