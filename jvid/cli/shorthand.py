"""Texts of ``--guidance``, ``--gamma``, ``--ratio``, ``--wrapper`` and ``--noise`` as changes of a strategy.

    --guidance 2                                         all experts
    --guidance video=2,image=3                           by expert
    --guidance video:scale=2,low=.2,high=.8,rescale=.5   with an interval of t, and rescale
    --guidance video:scale=2,against=early               autoguidance against another expert of the ensemble

``--guidance`` may be repeated; a scale of all goes before scales by expert, in any order of the options.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.plugins.choice import Choice
    from jvid.strategy.guidance import Guidance
    from jvid.strategy.strategy import Strategy

__all__ = ["by_expert", "guided", "named_experts", "stacked"]

_FORMS = "expected a number, video=2,image=3, or video:scale=2,low=.2,high=.8,rescale=.5,against=image"


def guided(
    base: Strategy, texts: Sequence[str], defaults: Mapping[str, tuple[Choice, ...]] | None = None
) -> Strategy:
    """``base`` with the guidance of the texts; an expert's default wrappers stay beside it.

    Raises:
        InputError: a text of another form, a value out of range, or an expert that is named twice.
    """
    from jvid.strategy.shorthand import with_guidance

    given: dict[str, float | Guidance] = {}
    for text in texts:
        for expert, value in _parsed(text):
            if expert in given:
                raise InputError(
                    f"--guidance {text!r}: {expert or 'the scale of all'} is given twice, expected it once"
                )
            given[expert] = value
    try:
        strategy = with_guidance(base, given.pop(""), defaults) if "" in given else base
        return with_guidance(strategy, given, defaults) if given else strategy
    except InputError as error:
        raise InputError(f"--guidance {' '.join(texts)!r}: {error}") from error


def by_expert(field: str, text: str, default: Sequence[str]) -> list[tuple[str, float]]:
    """``0.1`` is that of each ``default`` expert; ``video=1,image=.1`` names them.

    Raises:
        InputError: another form, or a number alone where there is no default expert.
    """
    from jvid.plugins.choice import parse_value

    found: list[tuple[str, float]] = []
    for part in text.split(","):
        expert, equals, value = part.rpartition("=")
        number = parse_value(value.strip())
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise InputError(f"--{field} {text!r}: expected a number, or video=1,image=.1")
        if not equals and not default:
            raise InputError(
                f"--{field} {text!r}: the ensemble has no expert of frames, name one as NAME={value}"
            )
        if abs(number) > sys.float_info.max:
            raise InputError(f"--{field} {text[:60]!r}: expected a smaller number")
        names = [expert.strip()] if equals else list(default)
        found += [(name, float(number)) for name in names]
    return found


def stacked(base: Strategy, wrappers: Sequence[str], noises: Sequence[str]) -> Strategy:
    """``base`` with other stacks of wrappers and other noise of the experts that the texts name.

    Raises:
        InputError: a text of another form, or noise that is given twice.
    """
    from jvid.cli.ensembles import named
    from jvid.plugins.choice import Choice
    from jvid.strategy.strategy import ExpertStrategy

    stacks: dict[str, list[Choice]] = {}
    for text in wrappers:
        expert, choice = named(text)
        stack = stacks.setdefault(expert, [])
        if choice != "none":
            stack.append(Choice.parse(choice))
    noise: dict[str, Choice | None] = {}
    for text in noises:
        expert, choice = named(text)
        if expert in noise:
            raise InputError(f"--noise {text!r}: the noise of {expert} is given twice, expected it once")
        noise[expert] = None if choice == "none" else Choice.parse(choice)
    for expert in {**stacks, **noise}:
        stated = base.experts.get(expert, ExpertStrategy())
        if expert in stacks:
            stated = attrs.evolve(stated, wrappers=tuple(stacks[expert]))
        if expert in noise:
            stated = attrs.evolve(stated, noise=noise[expert])
        base = base.with_expert(expert, stated)
    return base


def named_experts(guidance: Sequence[str], stacks: Sequence[str]) -> list[str]:
    """The experts that texts of ``--guidance``, and of ``--wrapper`` and ``--noise``, name."""
    from jvid.cli.ensembles import named

    found = [expert for text in guidance for expert, _ in _parsed(text) if expert]
    return list(dict.fromkeys([*found, *(named(text)[0] for text in stacks)]))


def _parsed(text: str) -> list[tuple[str, float | Guidance]]:
    """What a text states by expert; "" is all."""
    from jvid.plugins.choice import parse_value

    if ":" in text:
        return [_whole(text)]
    found: list[tuple[str, float | Guidance]] = []
    for part in text.split(","):
        expert, equals, value = (piece.strip() for piece in part.rpartition("="))
        number = parse_value(value)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or bool(equals) != bool(expert):
            raise InputError(f"--guidance {text!r}: {_FORMS}")
        found.append((expert, number))
    return found


def _whole(text: str) -> tuple[str, Guidance]:
    """An expert with its guidance, from ``video:scale=2,low=.2``."""
    from jvid.plugins.choice import Choice
    from jvid.strategy.guidance import Guidance

    try:
        choice = Choice.parse(text)
        if "scale" not in choice.options:
            raise InputError("no scale, which is needed")
        return choice.name, Guidance.of(Choice("guided", choice.options))
    except InputError as error:
        raise InputError(f"--guidance {text!r}: {error}; {_FORMS}") from error
