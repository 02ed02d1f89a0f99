"""Hypothesis strategies for the parts of jvid: small values that describe an example completely.

Drawn are shapes, times, seeds, levels, indices and weights, never tensors: a failing example is a
line of numbers that can be pasted, and a big tensor is made from a seed (``Trial.latents``). The
ends of every range are drawn often, because that is where mistakes are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from jvid.core.keyed import keyed_normal
from jvid.core.levels import level_at
from jvid.core.protocols import Level, Step
from jvid.extras import extra
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding

with extra("testing"):  # the oracles are there without it, the checks are not
    from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from jvid.core.protocols import Condition, NoiseSchedule

__all__ = [
    "SCHEDULES", "conditions", "grids", "indices", "levels", "schedules", "seeds", "shapes", "steps", "times",
    "uniforms", "weights",
]  # fmt: skip

SCHEDULES: tuple[NoiseSchedule, ...] = (
    TabulatedSchedule.scaled_linear(),
    FlowMatching(),
    TabulatedSchedule.cosine(),
    VarianceExploding(),
    FlowMatching(shift=3.0),
    TabulatedSchedule.scaled_linear().zero_terminal_snr(),
    TabulatedSchedule.linear(T=50),
)
"""One of each family: variance preserving, flow, exploding, ending in pure noise, of a short table."""


def shapes(
    batch: Collection[int] = range(1, 4),
    channels: Collection[int] = range(1, 5),
    frames: Collection[int] = range(1, 6),
    sides: Collection[int] = range(1, 8),
    heights: Collection[int] = (),
    widths: Collection[int] = (),
) -> SearchStrategy[tuple[int, int, int, int, int]]:
    """Shapes ``(b, c, f, h, w)``: odd sizes and single frames among them; h and w differ as a rule.

    ``heights`` and ``widths`` are those of h and w where they are not ``sides``.
    """
    each = (batch, channels, frames, heights or sides, widths or sides)
    axes = [st.sampled_from(sorted(values)) for values in each]
    return st.tuples(*axes)


_PARTS = 2**30
"""Times are multiples of its inverse: none is so small that its noise could not be computed with, and examples shrink fast."""


def times(low: float = 0.0, high: float = 1.0) -> SearchStrategy[float]:
    """Times in [low, high], 0 clean and 1 noise; often the ends themselves and what is next to them."""
    span = high - low
    special = [low + span * part for part in (0.5, 0.0, 1.0, 0.25, 0.9, 1e-3, 0.999)]
    return st.sampled_from(special) | st.integers(0, _PARTS).map(
        lambda k: min(high, low + span * (k / _PARTS))
    )


def uniforms() -> SearchStrategy[float]:
    """What a selector is handed: numbers of [0, 1), the ends among them."""
    return st.sampled_from([0.0, 0.5, 1.0 - 2.0**-53]) | st.floats(0.0, 1.0, exclude_max=True)


def seeds() -> SearchStrategy[int]:
    """Seeds of clips, also wider than 32 and 64 bits."""
    return st.integers(0, 999) | st.sampled_from([2**32, 2**32 + 1, 2**64 + 1])


def indices(count: int) -> SearchStrategy[int]:
    """Positions 0 to count - 1."""
    return st.integers(0, count - 1)


def schedules() -> SearchStrategy[NoiseSchedule]:
    """Built-in schedules: the families of ``SCHEDULES`` with other parameters as well."""
    shifted = st.floats(0.2, 8.0).map(FlowMatching)
    exploding = st.floats(1.0, 500.0).map(lambda most: VarianceExploding(sigma_max=most))
    return st.sampled_from(SCHEDULES) | shifted | exploding


def levels(schedule: NoiseSchedule, low: float = 0.0, high: float = 1.0) -> SearchStrategy[Level]:
    """Levels of a schedule, at ``times(low, high)``."""
    return times(low, high).map(lambda t: level_at(schedule, t))


@st.composite
def grids(
    draw: Any, least: int = 2, most: int = 12, falling: bool = True, low: float = 0.0, high: float = 1.0
) -> tuple[float, ...]:
    """Times to visit, at least two; distinct and falling, or (``falling=False``) in any order."""
    count = draw(st.integers(least, most))
    drawn = draw(st.lists(times(low, high), min_size=count, max_size=count, unique=falling))
    return tuple(sorted(drawn, reverse=True) if falling else drawn)


@st.composite
def weights(draw: Any, names: Sequence[str]) -> dict[str, float]:
    """Weights of some of the experts ``names``: each above 0, together 1."""
    chosen = draw(st.lists(st.sampled_from(list(names)), min_size=1, max_size=len(names), unique=True))
    parts = [draw(st.integers(1, 9)) for _ in chosen]
    return {name: part / sum(parts) for name, part in zip(chosen, parts, strict=True)}


@st.composite
def steps(
    draw: Any,
    schedule: NoiseSchedule,
    names: Sequence[str] = ("video", "image"),
    rising: bool = False,
    low: float = 0.0,
    high: float = 1.0,
) -> Step:
    """Single steps of a plan on a schedule; noise falls over them unless ``rising``."""
    count = draw(st.integers(1, 20))
    index = draw(st.integers(0, count - 1))
    start, end = draw(grids(2, 2, low=low, high=high))
    if rising:
        start, end = end, start
    given: Mapping[str, float] = draw(weights(names))
    switched = draw(st.booleans()) and index > 0
    return Step(index, count, level_at(schedule, start), level_at(schedule, end), given, switched, schedule)


@st.composite
def conditions(
    draw: Any, b: int, f: int = 1, tokens: Collection[int] = (1, 2, 5), width: int = 3
) -> Condition:
    """``{"text": (b n w), "null": {"text": (b or 1, n, w)}}`` as a text encoder gives them, made from a seed.

    Half of them carry ``"fps"``, a ``PerFrame`` of ``(b, f)``.
    """
    from jvid.core.conditions import PerFrame

    n, seed = draw(st.sampled_from(sorted(tokens))), draw(st.integers(0, 99))
    null_rows = draw(st.sampled_from(sorted({1, b})))
    text = keyed_normal(range(seed, seed + b), ("text",), (n, width), torch.float64)
    null = keyed_normal(range(seed, seed + null_rows), ("null",), (n, width), torch.float64)
    cond: dict[str, Any] = {"text": text, "null": {"text": null}}
    if draw(st.booleans()):
        cond["fps"] = PerFrame(keyed_normal(range(seed, seed + b), ("fps",), (f,), torch.float64))
    return cond
