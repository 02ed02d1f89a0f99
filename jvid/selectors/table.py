"""An expert, or weights, for each step by its index."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.limits import MOST_ROWS, check_most, whole_number

if TYPE_CHECKING:
    from jvid.core.protocols import Step

__all__ = ["Table"]


def _row(value: str | Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType({value: 1.0} if isinstance(value, str) else dict(value))


def _rows(value: str | Iterable[str | Mapping[str, float]]) -> tuple[Mapping[str, float], ...]:
    """Names or weights by step; as text video*10+image*5."""
    if not isinstance(value, str):
        return tuple(map(_row, value))
    out: list[Mapping[str, float]] = []
    for part in value.split("+"):
        name, star, text = part.partition("*")
        count = whole_number(text) if star else 1
        if not name or count is None:
            raise InputError(f"Table got {part!r}; expected an expert and a number of steps, video*10")
        check_most("Table: rows", len(out) + count, MOST_ROWS, "a row is a step")
        out += [_row(name)] * count
    return tuple(out)


@attrs.frozen
class Table:
    """``rows``: for each step of the plan an expert's name, or weights by name. As text, video*10+image*5."""

    rows: tuple[Mapping[str, float], ...] = attrs.field(converter=_rows, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.rows:
            raise InputError("Table got no rows; expected one for each step")
        for i, row in enumerate(self.rows):
            if not all(0.0 <= w < math.inf for w in row.values()) or abs(sum(row.values()) - 1.0) > 1e-6:
                raise InputError(
                    f"Table got {dict(row)} in row {i}; expected weights, 0 or more, that sum to 1"
                )

    def __reduce__(self) -> tuple[Callable[..., Table], tuple[Any, ...]]:
        # A mapping proxy does not pickle.
        return Table, (tuple(map(dict, self.rows)),)

    @property
    def experts(self) -> tuple[str, ...]:
        """The names of all rows."""
        return tuple({name: None for row in self.rows for name in row})

    def shares(self, step: Step) -> Mapping[str, float]:
        """The row of the step."""
        return self(step, 0.0)

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The weights of the step's row.

        Raises:
            InputError: a plan of another number of steps.
        """
        if step.count != len(self.rows):
            raise InputError(
                f"Table has {len(self.rows)} rows for a plan of {step.count} steps; expected a row for each"
            )
        return dict(self.rows[step.index])
