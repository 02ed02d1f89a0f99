"""What a search aims at: the network cost, or a metric of the clips in the direction that it declares.

    clip       FVD[...]         the Frechet distance of clips
    frame      FID[...]         the Frechet distance of frames
    flicker    flicker ratio    its distance from 1, that of real clips
    accuracy   action[...]      share of clips that are recognised as prompted; higher is better
    cost                        networks, as a share of 50 steps of one expert (`jvid_training.search.cost`)

These five are the short names of recipes. Any other objective is a metric of ``study.metrics``, named as it is there.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from jvid.core.metrics import Better, DeclaresTarget, Metric
from jvid.errors import InputError

__all__ = ["SHORT", "SearchObjective"]


@attrs.frozen
class SearchObjective:
    """One number of a set of clips, and which direction of it is better.

    ``name`` is the recipe's. ``figure`` is what the figure's name begins with, or its base name; "" for the cost. ``target`` is
    the best value, where it is known; ``is_distance``: the number is the figure's distance from it.
    """

    name: str
    figure: str
    better: Better = "lower"
    target: float | None = None
    is_distance: bool = False

    @classmethod
    def of(cls, name: str, metrics: Mapping[str, Metric]) -> SearchObjective:
        """The objective of a recipe's name; ``metrics`` are those of the study, by their choices.

        Raises:
            InputError: an unknown name, or a metric without a direction.
        """
        if name in SHORT:
            return SHORT[name]
        if name not in metrics:
            known = ", ".join([*SHORT, *metrics])
            raise InputError(
                f"sweep.objectives: {name!r}: expected one of {known}; study.metrics adds metrics"
            )
        metric = metrics[name]
        target = metric.target if isinstance(metric, DeclaresTarget) else None
        if metric.better is None and target is None:
            raise InputError(
                f"sweep.objectives: metric {name!r} has no direction, and no target to come near to: leave it out"
            )
        return cls(name, metric.name, metric.better or "lower", target, metric.better is None)

    def number(self, value: float) -> float:
        """The number of a figure's value."""
        return abs(value - self.target) if self.is_distance and self.target is not None else value

    def loss(self, number: float) -> float:
        """Lower is better; 0 at the target of one that is to rise."""
        if self.better == "lower":
            return number
        return -number if self.target is None else self.target - number

    def label(self, figure: str | None) -> str:
        """The name of axes and columns; ``figure`` is the full name of the figure, where there is one."""
        if not self.figure:
            return "network cost"
        name = figure or self.name
        return f"|{name} - {self.target:g}|" if self.is_distance else name


SHORT = {
    each.name: each
    for each in (
        SearchObjective("clip", "FVD"),
        SearchObjective("frame", "FID"),
        SearchObjective("flicker", "flicker ratio", target=1.0, is_distance=True),
        SearchObjective("accuracy", "action[", "higher", target=1.0),
        SearchObjective("cost", ""),
    )
}
"""Objectives by the short names of recipes; the directions are those of the metrics."""
