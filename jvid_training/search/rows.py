"""The rows of Table 2 that lead to a strategy, and the one-parameter grids of section 4.2.

    image AE | video AE | video model | image model | mixture | + reduced entropy (gamma, r) | + smoothing (3.6) | Table 6

Each row of the mixture adds one part to the row before. A grid changes one parameter of the strategy over the paper's
values, or the recipe's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError, JvidError
from jvid.paper import SEARCH, TABLE_6
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import Guidance
from jvid.strategy.strategy import EXPERTS, NoiseShape, Strategy

if TYPE_CHECKING:
    from jvid.core.protocols import NoiseSchedule

__all__ = ["CODECS", "GRIDS", "ablation", "grid", "printed", "simplest", "whole"]

CODECS = ("image AE", "video AE")
"""Rows of real clips, encoded and decoded: the codec's own floor."""
TENTHS = tuple(round(0.1 * n, 1) for n in range(1, 10))
"""The paper gives no grid of the selection parameters; Table 6's values are tenths."""


def simplest(strategy: Strategy, schedule: NoiseSchedule | None = None) -> Strategy:
    """The strategy without what changes nothing: plain noise that is named, equal plain guidance by expert.

    Clips of equal strategies are made once, however they were written. With the pair's schedule, noise that the solver
    never draws is left out as well.
    """
    inert = {} if schedule is None else strategy.inert(schedule)
    noise = {k: shape for k, shape in strategy.noise.items() if shape != NoiseShape() and k not in inert}
    guidance = strategy.guidance
    if isinstance(guidance, Mapping) and set(guidance) == set(EXPERTS):
        first, *others = guidance.values()
        if first == Guidance(first.scale) and all(other == first for other in others):
            guidance = first.scale
    return attrs.evolve(strategy, noise=noise, guidance=guidance)


def ablation(strategy: Strategy) -> dict[str, Strategy]:
    """Table 2's rows that lead to ``strategy``, in its order; each adds one part to the row before.

    A part that it does not have adds no row: of a strategy that asks one expert alone, that expert's row is the last.
    """
    plain = attrs.evolve(strategy, noise={}, smoothing=None)
    rows = {
        "video model": attrs.evolve(plain, selector=Choice("always", {"name": "video"})),
        "image model": attrs.evolve(plain, selector=Choice("always", {"name": "image"})),
        "mixture": plain,
        "+ reduced entropy": attrs.evolve(strategy, smoothing=None),
    }
    if strategy.smoothing is not None:
        rows["+ smoothing"] = strategy
    kept: dict[str, Strategy] = {}
    for label, row in rows.items():
        if all(simplest(row) != simplest(other) for other in kept.values()):
            kept[label] = row
    return kept


def printed(strategy: Strategy, size: int) -> dict[str, Strategy]:
    """The paper's at the tuned resolution nearest to ``size`` pixels, in as many steps; nothing if it is ``strategy``."""
    resolution = min(TABLE_6, key=lambda tuned: abs(tuned - size))
    paper = attrs.evolve(Strategy.paper(resolution), steps=strategy.steps)
    return {} if paper == strategy else {f"Table 6 at {resolution}": paper}


def whole(strategy: Strategy, size: int) -> dict[str, Strategy | None]:
    """Every row by its label; None is a codec's."""
    return {**dict.fromkeys(CODECS), **ablation(strategy), **printed(strategy, size)}


def _selection(name: str) -> Callable[[Strategy, Any], Strategy]:
    def changed(base: Strategy, value: Any) -> Strategy:
        if base.selector.name.rpartition("/")[2] != "piecewise-affine":
            raise InputError(
                f"grid {name} of selector {base.selector}: expected piecewise-affine, whose parameter it is"
            )
        return attrs.evolve(base, selector=Choice(base.selector.name, {**base.selector.options, name: value}))

    return changed


def _noise(expert: str, field: str) -> Callable[[Strategy, Any], Strategy]:
    def changed(base: Strategy, value: Any) -> Strategy:
        shape = attrs.evolve(base.noise.get(expert, NoiseShape()), **{field: value})
        return attrs.evolve(base, noise={**base.noise, expert: shape})

    return changed


def _smoothing(base: Strategy, value: Any) -> Strategy:
    return attrs.evolve(base, smoothing=None if value == "none" else Choice.parse(value))


def _solver(base: Strategy, value: Any) -> Strategy:
    return attrs.evolve(base, solver=Choice.parse(value))


GRIDS: Mapping[str, tuple[Sequence[Any], Callable[[Strategy, Any], Strategy]]] = {
    "guidance": (SEARCH.guidance, lambda base, value: attrs.evolve(base, guidance=value)),
    "solver": (SEARCH.solver, _solver),
    "steps": (SEARCH.steps, lambda base, value: attrs.evolve(base, steps=value)),
    "gamma": (SEARCH.gamma, _noise("image", "gamma")),
    "gamma-video": (SEARCH.gamma, _noise("video", "gamma")),
    "r-image": (SEARCH.ratio, _noise("image", "ratio")),
    "r-video": (SEARCH.ratio, _noise("video", "ratio")),
    **{name: (TENTHS, _selection(name)) for name in ("t_v", "t_e", "p_e", "p_f")},
    "smoothing": (("none", *SEARCH.smoothing), _smoothing),
}
"""Grid -> the paper's values (section 4.2), and what a value makes of a strategy."""


def grid(name: str, base: Strategy, values: Sequence[Any] | None = None) -> dict[str, Strategy]:
    """One row for each value, ``steps 20``, that the strategy can have; t_v at or above t_e cannot be.

    Raises:
        InputError: an unknown grid, a value of another form, or none that the strategy can have.
    """
    if name not in GRIDS:
        raise InputError(f"grid {name!r}: expected one of {', '.join(GRIDS)}")
    usual, changed = GRIDS[name]
    rows, refused = {}, []
    for value in usual if values is None else values:
        try:
            strategy = changed(base, value)
            strategy.check()
        except (JvidError, AttributeError, TypeError) as error:
            # A pair's t_v and t_e rule out some of the paper's values; a value that the recipe names is meant.
            if values is not None:
                raise InputError(f"ablation.values.{name}: {value!r}: {error}") from error
            refused.append(error)
            continue
        rows[f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"] = strategy
    if not rows:
        raise InputError(f"grid {name}: no value can be taken by this strategy: {refused[0]}")
    return rows
