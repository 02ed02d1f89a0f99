"""What ``--guidance`` says: a scale for all experts, scales by expert, or the whole of one expert's.

    2                                          all, and nothing but the scale
    video=2,image=3                            by expert
    video:scale=2,low=.2,high=.8,rescale=.5    with an interval of t, and rescale
    video:scale=2,against=early                away from another denoiser of the pair, not from the empty prompt

May be repeated; what names an expert goes before the scale of all, in any order. What is said of an expert is the
whole of its guidance, and an expert of which nothing is said keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.strategy.guidance import AnyGuidance, Guidance

__all__ = ["guided"]

_FORMS = "expected a number, video=2,image=3, or video:scale=2,low=.2,high=.8,rescale=.5,against=image"
_OPTIONS = ("scale", "low", "high", "rescale", "against")


def guided(base: AnyGuidance, texts: Sequence[str]) -> AnyGuidance:
    """``base`` with what the texts say.

    Raises:
        InputError: a text of another form, an unknown expert, a value out of range, or something said twice.
    """
    from jvid.ensemble import EXPERTS
    from jvid.strategy.guidance import Guidance, as_guidance

    said: dict[str, float | Guidance] = {}
    for text in texts:
        for expert, value in _parsed(text):
            if expert in said:
                raise InputError(
                    f"--guidance {text!r}: {expert or 'the scale of all'} is said twice, say it once"
                )
            said[expert] = value
    try:
        start = as_guidance(said.pop("", base))
        if not said:
            return start
        each = start if isinstance(start, Mapping) else dict.fromkeys(EXPERTS, Guidance(start))
        return as_guidance({**each, **said})
    except InputError as error:
        raise InputError(f"--guidance {' '.join(texts)!r}: {error}") from error


def _parsed(text: str) -> list[tuple[str, float | Guidance]]:
    """What a text says by expert; "" stands for all."""
    from jvid.strategy.choice import parse_value

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
    from jvid.strategy.choice import Choice
    from jvid.strategy.guidance import Guidance

    try:
        choice = Choice.parse(text)
        options = dict(choice.options)
        if unknown := [name for name in options if name not in _OPTIONS]:
            raise InputError(f"no option {unknown[0]!r}, expected {', '.join(_OPTIONS)}")
        if "scale" not in options:
            raise InputError("no scale, which is needed")
        ends = (options.pop("low", None), options.pop("high", None))
        interval = (
            None
            if ends == (None, None)
            else tuple(d if e is None else e for e, d in zip(ends, (0.0, 1.0), strict=True))
        )
        return choice.name, Guidance(**options, interval=interval)
    except InputError as error:
        raise InputError(f"--guidance {text!r}: {error}; {_FORMS}") from error
