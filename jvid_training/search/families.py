"""How a search speaks of components whose options are not plain numbers.

    selector blend     t_v, t_e, p_e, p_f: the first expert's weight follows the paper's P_V instead of being drawn by it
    selector boundary, random, cycle, blend      experts = "video+image", those of the ensemble, where nothing is stated

Every other component is searched by its own options, as the registry knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jvid.errors import InputError, UnknownNameError
from jvid.plugins.choice import Choice

__all__ = ["choice_of", "known_options", "options_of"]

_CURVE = ("t_v", "t_e", "p_e", "p_f")
_OF_MANY = ("blend", "boundary", "cycle", "random")
_OUTSIDE = ("steps",)
"""Options that a strategy sets itself."""


def known_options(part: str, kind: str, name: str) -> tuple[str, ...]:
    """The options that a component can be searched by; ``smoothing.none`` has none.

    Raises:
        InputError: a component that no plugin registers.
    """
    from jvid.plugins.options import parameters
    from jvid.plugins.registry import current

    if part == "smoothing" and name == "none":
        return ()
    if (part, _bare(name)) == ("selector", "blend"):
        return _CURVE
    try:
        factory = current().find(kind, name).factory()
    except UnknownNameError as error:
        raise InputError(f"{part}.{name}: {error}") from error
    return tuple(option for option in parameters(factory) if option not in _OUTSIDE)


def choice_of(
    part: str, name: str, options: Mapping[str, Any], held: Choice | None, experts: Sequence[str]
) -> Choice:
    """The component of searched options; others are ``held``'s, where it is the same component.

    Args:
        part: of the strategy.
        name: of the component.
        options: that were searched.
        held: what the strategy has there now.
        experts: of selectors of several, where nothing is stated.
    """
    chosen = dict(options)
    if held is not None and held.name == name:
        chosen = {**options_of(part, held), **chosen}
    if part != "selector":
        return Choice(name, chosen)
    if chosen.get("t_e") is not None and chosen.get("t_v") is not None:
        chosen["t_v"], chosen["t_e"] = sorted((chosen["t_v"], chosen["t_e"]))
    if _bare(name) == "blend":
        chosen = {"knots": _knots(chosen, experts), "experts": "+".join(experts)}
    elif _bare(name) in _OF_MANY:
        chosen.setdefault("experts", "+".join(experts))
    return Choice(name, chosen)


def options_of(part: str, choice: Choice) -> dict[str, Any]:
    """A component's options as the axes of a search name them; a blend that no curve describes has none."""
    if (part, _bare(choice.name)) != ("selector", "blend"):
        return dict(choice.options)
    try:
        (_, _), (t_v, _), (t_e, p_e), (_, p_f) = (
            (float(at), float(weight))
            for at, weight, _ in (knot.split(":") for knot in choice.options["knots"].split("+"))
        )
    except (KeyError, ValueError, AttributeError):
        return {}
    return dict(zip(_CURVE, (t_v, t_e, p_e, p_f), strict=True))


def _knots(curve: Mapping[str, float], experts: Sequence[str]) -> str:
    """P_V as knots of a blend, in text: weight 1 until t_v, p_e at t_e, p_f at the end."""
    if missing := [name for name in _CURVE if name not in curve]:
        raise InputError(
            f"selector blend needs {' and '.join(missing)}: it is searched by {', '.join(_CURVE)}"
        )
    if len(experts) != 2:
        raise InputError(
            f"selector blend of {', '.join(experts)}: its curve is of two experts; search another selector"
        )
    t_v, t_e, p_e, p_f = (float(curve[name]) for name in _CURVE)
    # Knots rise: one at 0 or at 1 replaces the curve's own there.
    knots = [(0.0, 1.0), (max(t_v, 1e-6), 1.0), (min(t_e, 1.0 - 1e-6), p_e), (1.0, p_f)]
    return "+".join(f"{at!r}:{weight!r}:{1.0 - weight!r}" for at, weight in knots)


def _bare(name: str) -> str:
    return name.rpartition("/")[2]
