"""A strategy in words: guidance, gamma and r where a choice is the paper's, else the component with its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jvid.ensemble.compose import Composition
from jvid.errors import InputError, JvidError
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import Guidance, is_guided
from jvid.strategy.shape import noise_numbers
from jvid.strategy.strategy import EVERY, Strategy

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble

__all__ = ["choice", "one_line", "words"]

_SMOOTHINGS = ("temporal", "gaussian", "uniform")
_UNKNOWN = "the ensemble's own"
Stack = tuple[Choice, ...] | None
"""Wrappers of an expert, the innermost first; None where they are the ensemble's, which is not here."""


def words(strategy: Strategy, ensemble: Ensemble | None = None) -> dict[str, str]:
    """The strategy's parts by name, in words; with its ensemble, the default wrappers too."""
    steps = f"{strategy.steps} step{'s' * (strategy.steps != 1)}"
    grid = "" if strategy.grid == Choice("leading") else f", {choice(strategy.grid)} grid"
    stacks, noises = _by_expert(strategy, ensemble)
    found = {"selector": choice(strategy.selector), "solver": f"{choice(strategy.solver)}, {steps}{grid}"}
    if strategy.schedule is not None:
        found["schedule"] = choice(strategy.schedule)
    found["guidance"] = _joined({name: _guidance(stack) for name, stack in stacks.items()})
    if any(not is_guided(wrapper) for stack in stacks.values() for wrapper in stack or ()):
        found["wrappers"] = _joined({name: _wrappers(stack) for name, stack in stacks.items()})
    found["noise"] = _noise(noises)
    if strategy.initial is not None:
        found["first noise"] = _shape(strategy.initial)
    finishing = strategy.postprocessors
    alone = len(finishing) < 2 and all(each.bare in _SMOOTHINGS for each in finishing)
    found["smoothing" if alone else "postprocessors"] = ", then ".join(map(choice, finishing)) or "none"
    return found


def one_line(strategy: Strategy, ensemble: Ensemble | None = None) -> str:
    """The same in a line; what is not there is left out."""
    found = words(strategy, ensemble)
    parts = [found.pop("solver"), found.pop("selector")]
    return "; ".join([*parts, *(f"{name} {text}" for name, text in found.items() if text != "none")])


def choice(value: Choice) -> str:
    """``piecewise-affine (t_v 0.6, t_e 0.9)``."""
    options = ", ".join(f"{key} {_plain(option)}" for key, option in value.options.items())
    return f"{value.name} ({options})" if options else value.name


def _plain(value: object) -> str:
    if isinstance(value, Choice):
        return choice(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "+".join(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)


def _by_expert(
    strategy: Strategy, ensemble: Ensemble | None
) -> tuple[dict[str, Stack], dict[str, Choice | None]]:
    """Wrappers and noise of the experts that the strategy may use."""
    composition = Composition(strategy, ensemble)
    try:
        names = composition.experts
    except JvidError:  # a component that is not installed here, or an expert that is not there
        names = tuple(name for name in strategy.experts if name != EVERY) or (EVERY,)

    def stack(name: str) -> Stack:
        stated = strategy.of(name).wrappers
        known = ensemble is not None and name in ensemble.members
        return composition.wrappers(name) if stated is None and known else stated

    return {name: stack(name) for name in names}, {name: strategy.of(name).noise for name in names}


def _joined(texts: Mapping[str, str]) -> str:
    """One text where it is that of all experts, else each with its expert."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


def _guidance(stack: Stack) -> str:
    if stack is None:
        return _UNKNOWN
    return ", then ".join(_guide(wrapper) for wrapper in stack if is_guided(wrapper)) or "none"


def _guide(wrapper: Choice) -> str:
    try:
        guide = Guidance.of(wrapper)
    except InputError:
        return choice(wrapper)
    interval = "" if guide.interval is None else " for t from {:g} to {:g}".format(*guide.interval)
    against = f" away from {guide.against}" if guide.against else ""
    return f"scale {guide.scale:g}{against}{interval}" + (
        f", rescaled by {guide.rescale:g}" if guide.rescale else ""
    )


def _wrappers(stack: Stack) -> str:
    if stack is None:
        return _UNKNOWN
    return ", then ".join("guidance" if is_guided(each) else choice(each) for each in stack) or "none"


def _noise(noises: Mapping[str, Choice | None]) -> str:
    """gamma and r by expert; plain noise is gamma 1, r 0."""
    shaped = {name: _shape(noise) for name, noise in noises.items() if noise_numbers(noise) != (1.0, 0.0)}
    if len(shaped) == len(noises) > 1 and len(set(shaped.values())) == 1:
        return f"all steps: {next(iter(shaped.values()))}"
    return "; ".join(f"{name} steps: {text}" for name, text in shaped.items()) or f"plain ({_shape(None)})"


def _shape(noise: Choice | None) -> str:
    numbers = noise_numbers(noise)
    if numbers is None:
        assert noise is not None  # plain noise has numbers
        return choice(noise)
    return "\N{GREEK SMALL LETTER GAMMA} {:g}, r {:g}".format(*numbers)
