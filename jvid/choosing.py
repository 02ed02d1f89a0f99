"""Selectors beside the paper's: any number of experts, at random, at boundaries, in turn, by a table, or blended.

    Random     one of k experts at each step, with fixed probabilities
    Boundary   k experts, each for a stated range of noise (Wan 2.2, eDiff-I, SDXL's base and refiner)
    Cycle      experts in turn by step, each for a stated number of steps
    Table      an expert, or weights, for each step by its index
    Blend      weights of all, linear in progress between knots

On the command line sequences are written with "+": ``cycle:experts=video+image``, ``boundary:experts=video+image,at=0.5``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.step import Step

__all__ = ["Blend", "Boundary", "Cycle", "Random", "Table"]

By = Literal["progress", "angle", "timestep"]


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(value.split("+")) if isinstance(value, str) else tuple(value)


def _numbers(value: str | float | Sequence[float]) -> tuple[float, ...]:
    parts = (
        value.split("+") if isinstance(value, str) else [value] if isinstance(value, (int, float)) else value
    )
    try:
        return tuple(map(float, parts))
    except (TypeError, ValueError):
        raise InputError(f"{value!r}: expected numbers, as text .2+.8") from None


def _check_names(who: str, names: Sequence[str], distinct: bool = True) -> None:
    if not names or not all(names):
        raise InputError(f"{who} got experts={list(names)!r}; expected at least one name")
    if distinct and len(set(names)) < len(names):
        raise InputError(f"{who} got experts={list(names)!r}; expected each expert once")


@attrs.frozen
class Random:
    """One of ``experts`` at each step, with ``probabilities`` (equal ones if None)."""

    experts: tuple[str, ...] = attrs.field(converter=_names)
    probabilities: tuple[float, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_numbers)
    )

    def __attrs_post_init__(self) -> None:
        _check_names("Random", self.experts)
        told = self.probabilities
        if told is None:
            return
        if (
            len(told) != len(self.experts)
            or not all(0.0 <= p <= 1.0 for p in told)
            or abs(sum(told) - 1.0) > 1e-6
        ):
            raise InputError(
                f"Random got probabilities={list(told)} for {len(self.experts)} experts; expected one each, 0 or more, that "
                "sum to 1"
            )

    def shares(self, step: Step) -> Mapping[str, float]:
        """The probabilities, at any step."""
        told = self.probabilities or (1.0 / len(self.experts),) * len(self.experts)
        return dict(zip(self.experts, told, strict=True))

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The expert in whose part of [0, 1) u falls, with weight 1."""
        reached = 0.0
        for name, share in self.shares(step).items():
            reached += share
            if u < reached:
                return {name: 1.0}
        # Rounding may leave the sum below u: the last expert that can be chosen.
        return {[name for name, share in self.shares(step).items() if share > 0.0][-1]: 1.0}


@attrs.frozen
class Boundary:
    """``experts`` from the noisiest on, each until the step's start reaches the next boundary.

    ``at``: k - 1 boundaries for k experts, in the coordinate ``by``: "progress" (1 - t, rising), "angle" (radians of
    atan2(sigma, alpha), falling) or "timestep" (of a table of ``T``, falling). A step that starts at a boundary is the next
    expert's.
    """

    experts: tuple[str, ...] = attrs.field(converter=_names)
    at: tuple[float, ...] = attrs.field(converter=_numbers)
    by: By = "progress"
    T: int = 1000

    def __attrs_post_init__(self) -> None:
        _check_names("Boundary", self.experts, distinct=False)
        if self.by not in get_args(By):
            raise InputError(f"Boundary got by={self.by!r}; expected progress, angle or timestep")
        if len(self.at) != len(self.experts) - 1:
            raise InputError(
                f"Boundary got {len(self.at)} boundaries for {len(self.experts)} experts; expected {len(self.experts) - 1}"
            )
        top = {"progress": 1.0, "angle": math.pi / 2, "timestep": float(self.T)}[self.by]
        if not all(0.0 <= boundary <= top for boundary in self.at):
            raise InputError(f"Boundary got at={list(self.at)}; expected {self.by} from 0 to {top:g}")
        ordered = sorted(self.at, reverse=self.by != "progress")
        if list(self.at) != ordered or len(set(self.at)) < len(self.at):
            way = "rising" if self.by == "progress" else "falling"
            raise InputError(f"Boundary got at={list(self.at)}; expected {way} values, from noise to clean")

    def _expert(self, step: Step) -> str:
        if self.by == "progress":
            passed = sum(step.progress >= boundary - 1e-12 for boundary in self.at)
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


@attrs.frozen
class Cycle:
    """``experts`` in turn by the step's index, each for its number of steps of ``lengths`` (1 each if None)."""

    experts: tuple[str, ...] = attrs.field(converter=_names)
    lengths: tuple[float, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_numbers)
    )

    def __attrs_post_init__(self) -> None:
        _check_names("Cycle", self.experts, distinct=False)
        if self.lengths is not None and (
            len(self.lengths) != len(self.experts) or not all(n >= 1 and n == int(n) for n in self.lengths)
        ):
            raise InputError(
                f"Cycle got lengths={list(self.lengths)} for {len(self.experts)} experts; expected a whole number of steps each"
            )

    def _expert(self, step: Step) -> str:
        lengths = self.lengths or (1.0,) * len(self.experts)
        turn = [name for name, n in zip(self.experts, lengths, strict=True) for _ in range(int(n))]
        return turn[step.index % len(turn)]

    def shares(self, step: Step) -> Mapping[str, float]:
        """All for one expert."""
        return {self._expert(step): 1.0}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The expert whose turn the step is, whatever u."""
        return {self._expert(step): 1.0}


def _row(value: str | Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType({value: 1.0} if isinstance(value, str) else dict(value))


def _rows(value: str | Iterable[str | Mapping[str, float]]) -> tuple[Mapping[str, float], ...]:
    """Names or weights by step; as text video*10+image*5."""
    if not isinstance(value, str):
        return tuple(map(_row, value))
    out: list[Mapping[str, float]] = []
    for part in value.split("+"):
        name, star, count = part.partition("*")
        if star and not count.isdigit():
            raise InputError(f"Table got {part!r}; expected an expert and a number of steps, video*10")
        out += [_row(name)] * (int(count) if star else 1)
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

    Before the first and after the last knot the weights stand still. As text: ``knots=0:1:0+1:0:1``.
    """

    experts: tuple[str, ...] = attrs.field(converter=_names)
    knots: Knots = attrs.field(converter=_knots)

    def __attrs_post_init__(self) -> None:
        _check_names("Blend", self.experts)
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
