"""Selectors with a slip."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from jvid.core.protocols import Step
from jvid.selectors import Blend, PiecewiseAffine
from jvid.testing.references import selectors
from tests.mutants.unseen import unseen

PAPER = partial(selectors.piecewise_affine, t_v=0.2, t_e=0.7, p_e=0.3, p_f=0.1)


@attrs.frozen
class _Paper:
    """P_V of the paper, with its parts to be changed."""

    experts = ("video", "image")

    def share(self, step: Step) -> float:
        return PiecewiseAffine(0.2, 0.7, 0.3, 0.1).probability(step.progress)

    def shares(self, step: Step) -> Mapping[str, float]:
        return {"video": self.share(step), "image": 1.0 - self.share(step)}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video" if u < self.share(step) else "image": 1.0}


@unseen("selector", reference=PAPER)
class ProgressByIndex(_Paper):
    """Progress is index / count, and not 1 - t."""

    def share(self, step: Step) -> float:
        return PiecewiseAffine(0.2, 0.7, 0.3, 0.1).probability(step.index / step.count)


@unseen("selector", reference=PAPER)
class TheOtherHalf(_Paper):
    """The image model is chosen where u is below the video model's share."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"image" if u < self.share(step) else "video": 1.0}


@unseen("selector", reference=PAPER)
class FlatAfterTheKnee(_Paper):
    """From t_e on the share stays p_e, and never comes to p_f."""

    def share(self, step: Step) -> float:
        return max(0.3, super().share(step))


@unseen("selector", reference=partial(selectors.boundary, experts="a+b", at=0.5, by="angle"))
@attrs.frozen
class BoundaryOfTheEnd:
    """The level that a step ends at decides, not the one that it starts at."""

    experts = ("a", "b")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"b" if step.end.angle <= 0.5 else "a": 1.0}


@unseen("selector", reference=partial(selectors.random, experts="a+b+c", probabilities="0.25+0.25+0.5"))
@attrs.frozen
class NotAddedUp:
    """u is compared with each probability by itself, and not with their sums."""

    experts = ("a", "b", "c")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        for name, probability in zip(self.experts, (0.25, 0.25, 0.5), strict=True):
            if u < probability:
                return {name: 1.0}
        return {"c": 1.0}


@unseen("selector", reference=partial(selectors.cycle, experts="a+b", lengths="2+1"))
@attrs.frozen
class LengthsExchanged:
    """The first expert has the second one's number of steps."""

    experts = ("a", "b")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"a" if step.index % 3 < 1 else "b": 1.0}


@unseen("selector", reference=partial(selectors.cycle, experts="a+b"))
class TurnsCounted:
    """Turns are counted by calls, and not by the step's index."""

    experts = ("a", "b")

    def __init__(self) -> None:
        self.turn = -1

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        self.turn = 0 if step.index == 0 else self.turn + 1
        return {"ab"[self.turn % 2]: 1.0}


@unseen("selector", reference=partial(selectors.blend, experts="a+b", knots="0:1:0+0.5:0.4:0.6+1:0:1"))
@attrs.frozen
class EarlierKnot:
    """Weights stay those of the knot before, and are not interpolated."""

    experts = ("a", "b")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        share = 1.0 if step.progress < 0.5 else 0.4 if step.progress < 1.0 else 0.0
        return {"a": share, "b": 1.0 - share}


@unseen("selector", reference=partial(selectors.blend, experts="a+b", knots="0:1:0+0.5:0.4:0.6+1:0:1"))
@attrs.frozen
class BlendOverT:
    """Knots are at t, and not at progress."""

    experts = ("a", "b")

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        turned = attrs.evolve(step, start=attrs.evolve(step.start, t=1.0 - step.start.t))
        made: Any = Blend(("a", "b"), "0:1:0+0.5:0.4:0.6+1:0:1")(turned, u)
        return dict(made)
