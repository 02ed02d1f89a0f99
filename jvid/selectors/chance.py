"""One of k experts at each step, at random; the number that decides is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.selectors.texts import check_names, names, numbers

if TYPE_CHECKING:
    from jvid.core.protocols import Step

__all__ = ["Random"]


@attrs.frozen
class Random:
    """One of ``experts`` at each step, with ``probabilities`` (equal ones if None)."""

    experts: tuple[str, ...] = attrs.field(converter=names)
    probabilities: tuple[float, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(numbers)
    )

    def __attrs_post_init__(self) -> None:
        check_names("Random", self.experts)
        given = self.probabilities
        if given is None:
            return
        if (
            len(given) != len(self.experts)
            or not all(0.0 <= p <= 1.0 for p in given)
            or abs(sum(given) - 1.0) > 1e-6
        ):
            raise InputError(
                f"Random got probabilities={list(given)} for {len(self.experts)} experts; expected one each, 0 or more, that "
                "sum to 1"
            )

    def shares(self, step: Step) -> Mapping[str, float]:
        """The probabilities, at any step."""
        given = self.probabilities or (1.0 / len(self.experts),) * len(self.experts)
        return dict(zip(self.experts, given, strict=True))

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The expert in whose part of [0, 1) u falls, with weight 1."""
        reached = 0.0
        for name, share in self.shares(step).items():
            reached += share
            if u < reached:
                return {name: 1.0}
        # Rounding may leave the sum below u: the last expert that can be chosen.
        return {[name for name, share in self.shares(step).items() if share > 0.0][-1]: 1.0}
