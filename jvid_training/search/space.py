"""The space of strategies that a sweep searches: TOML tables, flattened to axes by path.

    [sweep.space.selector.piecewise-affine]     the tables of a kind are its components: "selector" becomes a choice,
    t_v = {low = 0.0, high = 0.8}               and "selector.piecewise-affine.t_v" is asked where it was chosen
    [sweep.space]
    steps = [8, 12, 16, 24, 50]

What the space does not name stays as in the study's strategy. t_v and t_e, or an interval's low and high, are taken in
rising order whichever is drawn larger: no trial is lost to an order, and the search sees two ways to say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError, JvidError
from jvid.plugins.choice import Choice
from jvid.strategy.strategy import EXPERTS, NoiseShape, Strategy
from jvid_training.search.axes import Axis, Options, axis_of, is_range
from jvid_training.search.families import choice_of, known_options, options_of
from jvid_training.search.rows import simplest

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["Space"]

COMPONENTS = {"selector": "selector", "solver": "solver", "grid": "grid", "smoothing": "postprocessor"}
"""Parts of a strategy that are components, and their kinds in the registry."""
_KEYS = (*COMPONENTS, "steps", "guidance", "noise")
_GUIDANCE = ("scale", "low", "high", "rescale", "against")
_NOISE = ("gamma", "ratio")


@attrs.frozen
class Space:
    """Axes by path, and the strategy that they change."""

    base: Strategy
    axes: Mapping[str, Axis]

    @classmethod
    def of(cls, document: Mapping[str, Any], base: Strategy, where: str = "sweep.space") -> Space:
        """The space of a recipe's tables.

        Raises:
            InputError: an unknown parameter or component, or a value out of range, in one line; nothing has run yet.
        """
        try:
            space = cls(base, dict(_flattened(document)))
            space.check()
        except JvidError as error:
            raise InputError(f"{where}.{error}") from error
        if not any(len(axis.ends()) > 1 for axis in space.axes.values()):
            raise InputError(
                f"{where}: nothing to search, expected a range or a list of some of {', '.join(_KEYS)}"
            )
        return space

    def suggest(self, trial: BaseTrial, every: bool = False) -> dict[str, Any]:
        """Values by path from an Optuna trial: of the axes that the components drawn have, or of ``every`` axis."""
        values: dict[str, Any] = {}
        # Components first, wherever they stand in the file: the others depend on them.
        for path in sorted(self.axes, key=lambda path: path not in COMPONENTS):
            if every or self._asked(path, values):
                values[path] = self.axes[path].suggest(trial, path)
        return values

    def strategy(self, values: Mapping[str, Any]) -> Strategy:
        """The strategy of values by path.

        Raises:
            InputError: values that do not go together.
        """
        changes: dict[str, Any] = {}
        for part in COMPONENTS:
            if part not in values:
                continue
            name = values[part]
            prefix = f"{part}.{name}."
            options = {
                path.removeprefix(prefix): value for path, value in values.items() if path.startswith(prefix)
            }
            held = getattr(self.base, part)
            changes[part] = None if name == "none" else choice_of(part, name, options, held)
        if "steps" in values:
            changes["steps"] = values["steps"]
        changes["noise"] = self._noise(values)
        changes["guidance"] = self._guidance(values)
        strategy = simplest(attrs.evolve(self.base, **changes))
        strategy.check()
        return strategy

    def values(self, strategy: Strategy) -> dict[str, Any] | None:
        """Values by path that make ``strategy``; None if it lies outside of the space."""
        found: dict[str, Any] = {}
        for path in sorted(self.axes, key=lambda path: path not in COMPONENTS):
            if self._asked(path, found):
                value = _value(strategy, path)
                if value is None or not self.axes[path].holds(value):
                    return None
                found[path] = value
        try:
            return found if self.strategy(found) == simplest(strategy) else None
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
                        self.strategy({**self._beside(part, rest.partition(".")[0] or end, which), path: end})
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

    def _asked(self, path: str, values: Mapping[str, Any]) -> bool:
        part, _, rest = path.partition(".")
        return part not in COMPONENTS or not rest or rest.partition(".")[0] == values[part]

    def _noise(self, values: Mapping[str, Any]) -> dict[str, NoiseShape]:
        noise = dict(self.base.noise)
        for expert in EXPERTS:
            fields = {f: values[key] for f in _NOISE if (key := f"noise.{expert}.{f}") in values}
            if fields:
                noise[expert] = attrs.evolve(noise.get(expert, NoiseShape()), **fields)
        return noise

    def _guidance(self, values: Mapping[str, Any]) -> Any:
        from jvid.strategy.guidance import Guidance, guidance_of

        if "guidance" in values:
            return values["guidance"]
        if not any(path.startswith("guidance.") for path in values):
            return self.base.guidance
        each = {}
        for expert in EXPERTS:
            told = {f: values[key] for f in _GUIDANCE if (key := f"guidance.{expert}.{f}") in values}
            held = guidance_of(self.base.guidance, expert)
            low, high = held.interval or (0.0, 1.0)
            ends = tuple(sorted((told.get("low", low), told.get("high", high))))
            each[expert] = Guidance(
                told.get("scale", held.scale),
                None if ends == (0.0, 1.0) else ends,
                told.get("rescale", held.rescale),
                told.get("against", held.against),
            )
        return each


def _flattened(document: Mapping[str, Any]) -> Iterator[tuple[str, Axis]]:
    """Axes by path, of a recipe's tables; names are looked up in the registry."""
    for key, value in document.items():
        if key not in _KEYS:
            raise InputError(f"{key}: unknown parameter, expected one of {', '.join(_KEYS)}")
        if key in COMPONENTS:
            yield from _components(key, value)
        elif key == "noise" or (key == "guidance" and isinstance(value, Mapping) and not is_range(value)):
            yield from _by_expert(key, value, _NOISE if key == "noise" else _GUIDANCE)
        else:
            yield key, axis_of(key, value)


def _components(part: str, value: Any) -> Iterator[tuple[str, Axis]]:
    tables = value if isinstance(value, Mapping) else {name: {} for name in axis_of(part, value).ends()}
    if not tables:
        raise InputError(f"{part}: no component, expected a table for each")
    for name, options in tables.items():
        known = known_options(part, COMPONENTS[part], name)
        if not isinstance(options, Mapping):
            raise InputError(f"{part}.{name}: got {options!r}, expected a table of its options")
        for option, described in options.items():
            path = f"{part}.{name}.{option}"
            if option not in known:
                raise InputError(f"{path}: unknown parameter, expected {'one of ' if known else ''}"
                                 f"{', '.join(known) or 'none: it has no options'}")  # fmt: skip
            yield path, axis_of(path, described)
    yield part, Options(tuple(tables))


def _by_expert(key: str, value: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, Axis]]:
    if not isinstance(value, Mapping):
        raise InputError(f"{key}: got {value!r}, expected a table for each of {', '.join(EXPERTS)}")
    for expert, table in value.items():
        if expert not in EXPERTS or not isinstance(table, Mapping):
            raise InputError(f"{key}.{expert}: expected a table for {' or '.join(EXPERTS)}")
        for field, described in table.items():
            path = f"{key}.{expert}.{field}"
            if field not in fields:
                raise InputError(f"{path}: unknown parameter, expected one of {', '.join(fields)}")
            yield path, axis_of(path, described)


def _value(strategy: Strategy, path: str) -> Any:
    """What a strategy has at a path; None if nothing."""
    from jvid.strategy.guidance import guidance_of

    part, *rest = path.split(".", 2) if path.split(".")[0] in COMPONENTS else path.split(".")
    if part in COMPONENTS:
        choice: Choice | None = getattr(strategy, part)
        if not rest:
            return "none" if choice is None else choice.name
        return None if choice is None else options_of(part, choice).get(rest[1])
    if part == "noise":
        return getattr(strategy.noise.get(rest[0], NoiseShape()), rest[1])
    if part == "guidance" and rest:
        guide = guidance_of(strategy.guidance, rest[0]) if _guides(strategy, rest[0]) else None
        low, high = (guide and guide.interval) or (0.0, 1.0)
        ends = {"low": low, "high": high}
        return None if guide is None else ends.get(rest[1], getattr(guide, rest[1], None))
    if part == "guidance":
        return None if isinstance(strategy.guidance, Mapping) else strategy.guidance
    return strategy.steps


def _guides(strategy: Strategy, expert: str) -> bool:
    return not isinstance(strategy.guidance, Mapping) or expert in strategy.guidance
