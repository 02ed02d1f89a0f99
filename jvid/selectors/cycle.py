"""Experts in turn by the index of the step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError
from jvid.selectors.texts import check_names, names, numbers

if TYPE_CHECKING:
    from jvid.core.protocols import Step

__all__ = ["Cycle"]


@attrs.frozen
class Cycle:
    """``experts`` in turn by the step's index, each for its number of steps of ``lengths`` (1 each if None)."""

    experts: tuple[str, ...] = attrs.field(converter=names)
    lengths: tuple[float, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(numbers)
    )

    def __attrs_post_init__(self) -> None:
        check_names("Cycle", self.experts, distinct=False)
        if self.lengths is not None and (
            len(self.lengths) != len(self.experts) or not all(n >= 1 and n.is_integer() for n in self.lengths)
        ):
            raise InputError(
                f"Cycle got lengths={list(self.lengths)} for {len(self.experts)} experts; expected a whole number of steps each"
            )

    def _expert(self, step: Step) -> str:
        lengths = self.lengths or (1.0,) * len(self.experts)
        ends = list(accumulate(map(int, lengths)))
        return self.experts[bisect_right(ends, step.index % ends[-1])]

    def shares(self, step: Step) -> Mapping[str, float]:
        """All for one expert."""
        return {self._expert(step): 1.0}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The expert whose turn the step is, whatever u."""
        return {self._expert(step): 1.0}
