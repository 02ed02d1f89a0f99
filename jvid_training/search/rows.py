"""The rows of an ablation that lead to a strategy, and the one-parameter grids of section 4.2.

    image AE | video AE | video model | image model | mixture | + reduced entropy (gamma, r) | + smoothing (3.6) | Table 6
    NAME alone, for each expert | mixture | + noise | + POSTPROCESSOR, for each

The first are Table 2's, of ensembles with a video and an image expert; the second are any other ensemble's. Each row of the
mixture adds one part to the row before. A grid changes one parameter of the strategy over the paper's values, or the recipe's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from jvid import paper
from jvid.ensemble.canonical import canonical
from jvid.ensemble.compose import Composition
from jvid.errors import InputError, JvidError
from jvid.paper import SEARCH, TABLE_6
from jvid.plugins.choice import Choice
from jvid.strategy import simple
from jvid.strategy.shorthand import with_guidance, with_noise
from jvid.strategy.strategy import Strategy

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble

__all__ = ["CODECS", "GRIDS", "PAPER", "ablation", "alone", "grid", "grids", "is_papers", "printed", "whole"]

PAPER = ("video", "image")
"""The paper's experts: ensembles that have both have the rows and grids of the paper, under its names."""
CODECS = ("image AE", "video AE")
"""Rows of real clips, encoded and decoded: the codec's own floor."""
TENTHS = tuple(round(0.1 * n, 1) for n in range(1, 10))
"""The paper gives no grid of the selection parameters; Table 6's values are tenths."""

Change = Callable[[Strategy, Any], Strategy]


def is_papers(ensemble: Ensemble | None) -> bool:
    """Whether the paper has names for the experts of an ensemble; None is one that has the paper's two."""
    return ensemble is None or set(PAPER) <= set(ensemble.experts)


def alone(strategy: Strategy, ensemble: Ensemble | None = None) -> dict[str, Strategy]:
    """Each expert at every step, with plain noise and no postprocessor: the paper's two, or all that the strategy may use."""
    papers = is_papers(ensemble)
    names = PAPER if papers else Composition(strategy, ensemble).experts
    return {f"{name} model" if papers else f"{name} alone": simple.alone(strategy, name) for name in names}


def ablation(strategy: Strategy, ensemble: Ensemble | None = None) -> dict[str, Strategy]:
    """The rows that lead to ``strategy``, in order; each adds one part to the row before.

    A part that it does not have adds no row: of a strategy that uses one expert alone, that expert's row is the last.
    """
    rows = {**alone(strategy, ensemble), "mixture": simple.plain(strategy)}
    unfinished = attrs.evolve(strategy, postprocessors=())
    if is_papers(ensemble):
        rows |= {"+ reduced entropy": unfinished, "+ smoothing": strategy}
    else:
        rows["+ noise"] = unfinished
        for count, choice in enumerate(strategy.postprocessors, 1):
            label = f"+ {choice.bare}"
            number = f" {count}" if label in rows else ""
            rows[f"{label}{number}"] = attrs.evolve(strategy, postprocessors=strategy.postprocessors[:count])
    kept: dict[str, Strategy] = {}
    forms: list[Strategy] = []
    for label, row in rows.items():
        if (form := canonical(row, ensemble)) not in forms:
            kept[label] = row
            forms.append(form)
    return kept


def printed(strategy: Strategy, size: int, ensemble: Ensemble | None = None) -> dict[str, Strategy]:
    """The paper's at the tuned resolution nearest to ``size`` pixels, in as many steps; nothing if it is ``strategy``."""
    resolution = min(TABLE_6, key=lambda tuned: abs(tuned - size))
    found = attrs.evolve(paper.strategy(resolution), steps=strategy.steps)
    same = canonical(found, ensemble) == canonical(strategy, ensemble)
    return {} if same else {f"Table 6 at {resolution}": found}


def whole(strategy: Strategy, size: int, ensemble: Ensemble | None = None) -> dict[str, Strategy | None]:
    """Every row by its label; None is a codec's."""
    rows: dict[str, Strategy | None] = {**ablation(strategy, ensemble)}
    if not is_papers(ensemble):
        return rows
    return {**dict.fromkeys(CODECS), **rows, **printed(strategy, size, ensemble)}


def _selection(name: str) -> Change:
    def changed(base: Strategy, value: Any) -> Strategy:
        if base.selector.bare != "piecewise-affine":
            raise InputError(
                f"grid {name} of selector {base.selector}: expected piecewise-affine, whose parameter it is"
            )
        return attrs.evolve(base, selector=base.selector.but(**{name: value}))

    return changed


def _noise(expert: str, field: str) -> Change:
    return lambda base, value: with_noise(base, expert, **{field: value})


def _guidance(expert: str | None = None) -> Change:
    return lambda base, value: with_guidance(base, value if expert is None else {expert: value})


def _smoothing(base: Strategy, value: Any) -> Strategy:
    return attrs.evolve(base, postprocessors=() if value == "none" else (Choice.parse(value),))


def _solver(base: Strategy, value: Any) -> Strategy:
    return attrs.evolve(base, solver=Choice.parse(value))


def grids(ensemble: Ensemble | None = None) -> dict[str, tuple[Sequence[Any], Change]]:
    """The grids of an ensemble: name -> the paper's values (section 4.2), and what a value makes of a strategy."""
    own: dict[str, tuple[Sequence[Any], Change]] = {}
    if ensemble is None or is_papers(ensemble):
        own["gamma"] = (SEARCH.gamma, _noise("image", "gamma"))
        own["gamma-video"] = (SEARCH.gamma, _noise("video", "gamma"))
        own |= {f"r-{name}": (SEARCH.ratio, _noise(name, "ratio")) for name in ("image", "video")}
    else:
        experts = ensemble.experts
        own |= {f"guidance-{name}": (SEARCH.guidance, _guidance(name)) for name in experts}
        own |= {f"gamma-{name}": (SEARCH.gamma, _noise(name, "gamma")) for name in experts}
        own |= {f"r-{name}": (SEARCH.ratio, _noise(name, "ratio")) for name in experts}
    return {
        "guidance": (SEARCH.guidance, _guidance()),
        "solver": (SEARCH.solver, _solver),
        "steps": (SEARCH.steps, lambda base, value: attrs.evolve(base, steps=value)),
        **own,
        **{name: (TENTHS, _selection(name)) for name in ("t_v", "t_e", "p_e", "p_f")},
        "smoothing": (("none", *SEARCH.smoothing), _smoothing),
    }


GRIDS = grids()
"""Those of the paper's two experts."""


def grid(
    name: str, base: Strategy, values: Sequence[Any] | None = None, ensemble: Ensemble | None = None
) -> dict[str, Strategy]:
    """One row for each value, ``steps 20``, that the strategy can have; t_v at or above t_e cannot be.

    Raises:
        InputError: an unknown grid, a value of another form, or none that the strategy can have.
    """
    known = grids(ensemble)
    if name not in known:
        raise InputError(f"grid {name!r}: expected one of {', '.join(known)}")
    usual, changed = known[name]
    rows, refused = {}, []
    for value in usual if values is None else values:
        try:
            strategy = changed(base, value)
            Composition(strategy, ensemble).check()
        except (JvidError, AttributeError, TypeError) as error:
            # A strategy's t_v and t_e rule out some of the paper's values; a value that the recipe names is meant.
            if values is not None:
                raise InputError(f"ablation.values.{name}: {value!r}: {error}") from error
            refused.append(error)
            continue
        rows[f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"] = strategy
    if not rows:
        raise InputError(f"grid {name}: no value can be taken by this strategy: {refused[0]}")
    return rows
