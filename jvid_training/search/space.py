"""The space of strategies that a sweep searches: TOML tables, flattened to axes by path.

    [sweep.space.selector.piecewise-affine]     the tables of a kind are its components: "selector" becomes a choice,
    t_v = {low = 0.0, high = 0.8}               and "selector.piecewise-affine.t_v" is used where it was chosen
    [sweep.space]
    steps = [8, 12, 16, 24, 50]
    [sweep.space.guidance.high]                 guidance and noise by expert of the ensemble, whatever it is called
    scale = {low = 1.0, high = 5.0}
    [sweep.space.noise]
    low = ["independent", "mixed:alpha=1"]      a list is of choices; a table is of gamma and ratio
    [sweep.space.wrappers]
    high = ["none", "windowed:size=8"]          the expert's whole stack, of one wrapper or none

What the space does not name stays as in the study's strategy. t_v and t_e, or an interval's low and high, are taken in
rising order whichever is drawn larger: no trial is lost to an order, and the search has two ways to express the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.canonical import canonical
from jvid.ensemble.compose import Composition
from jvid.errors import InputError, JvidError
from jvid.strategy.strategy import Strategy
from jvid_training.search.axes import Axis
from jvid_training.search.expert_axes import guided, shaped, stacked, value_at
from jvid_training.search.families import choice_of
from jvid_training.search.rows import PAPER, is_papers
from jvid_training.search.space_layout import COMPONENTS, KEYS, flattened

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from jvid.ensemble.ensemble import Ensemble

__all__ = ["Space"]


@attrs.frozen
class Space:
    """Axes by path, the strategy that they change, and the ensemble that it is for."""

    base: Strategy
    axes: Mapping[str, Axis]
    ensemble: Ensemble = attrs.field(eq=False, repr=False)

    @classmethod
    def of(
        cls, document: Mapping[str, Any], base: Strategy, ensemble: Ensemble, where: str = "sweep.space"
    ) -> Space:
        """The space of a recipe's tables.

        Raises:
            InputError: an unknown parameter or component, or a value out of range, in one line; nothing has run yet.
        """
        try:
            space = cls(base, dict(flattened(document, ensemble.experts)), ensemble)
            space.check()
        except JvidError as error:
            raise InputError(f"{where}.{error}") from error
        if not any(len(axis.ends()) > 1 for axis in space.axes.values()):
            raise InputError(
                f"{where}: nothing to search, expected a range or a list of some of {', '.join(KEYS)}"
            )
        return space

    @cached_property
    def experts(self) -> Sequence[str]:
        """Those that selectors of several choose among where nothing is stated: the study's strategy's, or all."""
        if is_papers(self.ensemble):
            return PAPER
        used = Composition(self.base, self.ensemble).experts
        return used if len(used) > 1 else self.ensemble.experts

    def suggest(self, trial: BaseTrial, every: bool = False) -> dict[str, Any]:
        """Values by path from an Optuna trial: of the axes that the components drawn have, or of ``every`` axis."""
        values: dict[str, Any] = {}
        # Components first, in whatever order the file has them: the others depend on them.
        for path in sorted(self.axes, key=lambda path: path not in COMPONENTS):
            if every or self._used(path, values):
                values[path] = self.axes[path].suggest(trial, path)
        return values

    def strategy(self, values: Mapping[str, Any]) -> Strategy:
        """The strategy of values by path, in its canonical form.

        Raises:
            InputError: values that do not go together.
        """
        return canonical(self._changed(values), self.ensemble)

    def _changed(self, values: Mapping[str, Any]) -> Strategy:
        """The study's strategy with these values, whose components can be built."""
        changes: dict[str, Any] = {}
        for part, (field, _) in COMPONENTS.items():
            if part not in values:
                continue
            name = values[part]
            prefix = f"{part}.{name}."
            options = {
                path.removeprefix(prefix): value for path, value in values.items() if path.startswith(prefix)
            }
            held = getattr(self.base, field)
            if field == "postprocessors":
                last = held[-1] if held else None
                chosen = () if name == "none" else (choice_of(part, name, options, last, self.experts),)
                changes[field] = chosen
            else:
                changes[field] = choice_of(part, name, options, held, self.experts)
        if "steps" in values:
            changes["steps"] = values["steps"]
        strategy = stacked(attrs.evolve(self.base, **changes), values)
        strategy = guided(shaped(strategy, values), values, self.ensemble)
        Composition(strategy, self.ensemble).check()
        return strategy

    def values(self, strategy: Strategy) -> dict[str, Any] | None:
        """Values by path that make ``strategy``; None if it lies outside of the space."""
        found: dict[str, Any] = {}
        for path in sorted(self.axes, key=lambda path: path not in COMPONENTS):
            if self._used(path, found):
                value = value_at(strategy, path, self.axes[path], self.ensemble)
                if value is None or not self.axes[path].holds(value):
                    return None
                found[path] = value
        try:
            return found if self.strategy(found) == canonical(strategy, self.ensemble) else None
        except JvidError:
            return None

    def check(self) -> None:
        """Build the strategies at the ends of every axis, each beside the least and the greatest of its neighbours.

        Raises:
            InputError: what one of them refuses, after the path that led to it.
        """
        for path, axis in self.axes.items():
            part, _, rest = path.partition(".")
            for end in axis.ends():
                errors = []
                for which in (0, -1):
                    try:
                        self._changed({**self._beside(part, rest.partition(".")[0] or end, which), path: end})
                    except JvidError as error:
                        errors.append(error)
                if len(errors) == 2:
                    raise InputError(f"{path}: {end!r}: {errors[0]}") from errors[0]

    def _beside(self, part: str, name: Any, which: int) -> dict[str, Any]:
        """A component with the first or the last ends of its options, without which it may lack one."""
        if part not in COMPONENTS:
            return {}
        near = f"{part}.{name}."
        ends = {path: axis.ends()[which] for path, axis in self.axes.items() if path.startswith(near)}
        return {part: name, **ends}

    def _used(self, path: str, values: Mapping[str, Any]) -> bool:
        part, _, rest = path.partition(".")
        return part not in COMPONENTS or not rest or rest.partition(".")[0] == values[part]
