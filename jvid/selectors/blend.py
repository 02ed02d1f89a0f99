"""Weights of all experts, linear in progress between knots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.selectors.texts import check_names, names

if TYPE_CHECKING:
    from jvid.core.protocols import Step

__all__ = ["Blend"]


Knots = tuple[tuple[float, tuple[float, ...]], ...]


def _knots(value: str | Iterable[tuple[float, Sequence[float]]]) -> Knots:
    """Progress and weights; as text 0:1:0+1:0:1."""
    if isinstance(value, str):
        parts = [[float(number) for number in part.split(":")] for part in value.split("+")]
        return tuple((part[0], tuple(part[1:])) for part in parts)
    return tuple((float(at), tuple(map(float, weights))) for at, weights in value)


@attrs.frozen
class Blend:
    """Weights of all ``experts``, linear in progress between ``knots`` ``(progress, weights)``.

    Before the first and after the last knot the weights are constant. As text: ``knots=0:1:0+1:0:1``.
    """

    experts: tuple[str, ...] = attrs.field(converter=names)
    knots: Knots = attrs.field(converter=_knots)

    def __attrs_post_init__(self) -> None:
        check_names("Blend", self.experts)
        places = [at for at, _ in self.knots]
        if not places or places != sorted(set(places)) or not all(0.0 <= at <= 1.0 for at in places):
            raise InputError(f"Blend got knots at {places}; expected rising progress from 0 to 1")
        for at, weights in self.knots:
            good = len(weights) == len(self.experts) and all(0.0 <= w <= 1.0 for w in weights)
            if not good or abs(sum(weights) - 1.0) > 1e-6:
                raise InputError(
                    f"Blend got weights {list(weights)} at progress {at:g} for {len(self.experts)} experts; expected one each, "
                    "0 or more, that sum to 1"
                )

    def shares(self, step: Step) -> Mapping[str, float]:
        """The weights themselves."""
        return self(step, 0.0)

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The weights at the step's progress, whatever u; those of 0 are left out."""
        progress = step.progress
        below = [knot for knot in self.knots if knot[0] <= progress]
        above = [knot for knot in self.knots if knot[0] > progress]
        if not below or not above:
            weights = (below[-1] if below else above[0])[1]
        else:
            (low, first), (high, second) = below[-1], above[0]
            share = (progress - low) / (high - low)
            weights = tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))
        return {name: weight for name, weight in zip(self.experts, weights, strict=True) if weight > 0.0}
