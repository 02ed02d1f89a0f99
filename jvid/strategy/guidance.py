"""How experts are guided, as plain values: one scale for all of them, or by expert with interval and rescale.

    2.0                                                     all experts, scale 2
    {"video": Guidance(2, (.2, .8)), "image": Guidance(3)}  each its own; a number in a mapping is a scale

``jvid.denoisers.guided`` holds the mathematics; here are the numbers, which need no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from jvid.core.levels import check_interval
from jvid.ensemble import EXPERTS
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import Denoiser
    from jvid.denoisers.guided import Guided

__all__ = ["AnyGuidance", "Guidance", "as_guidance", "guidance_of"]


def _scale(value: Any) -> float:
    number = _number(value)
    if number is None or not math.isfinite(number):
        raise InputError(f"Guidance got scale={value!r}; expected a finite number (1 is unguided)")
    return number


def _interval(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    ends = [_number(end) for end in value] if isinstance(value, (list, tuple)) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        raise InputError(f"Guidance got interval={value!r}; expected two numbers, low and high, or none")
    check_interval("Guidance", (ends[0], ends[1]))
    return ends[0], ends[1]


def _rescale(value: Any) -> float:
    number = _number(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise InputError(f"Guidance got rescale={value!r}; expected a number from 0 (none) to 1")
    return number


def _check_against(self: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise InputError(f"Guidance got against={value!r}; expected the name of a denoiser, or ''")


@attrs.frozen
class Guidance:
    """What ``jvid.Guided`` is told for one expert.

    Attributes:
        scale: g of equation (4); 1 is unguided, 0 unconditional.
        interval: (low, high) of the expert's own t within which guidance acts, ends included; None is everywhere.
        rescale: 0 to 1, how far the guided x_0's deviation is drawn back to the conditional's.
        against: what guidance leads away from: "" the null condition, or another denoiser of the pair, asked with the same
            condition: "video", "image", or one of the pair's ``guides``.

    Raises:
        InputError: a value of another form or out of range.
    """

    scale: float = attrs.field(converter=_scale)
    interval: tuple[float, float] | None = attrs.field(default=None, converter=_interval)
    rescale: float = attrs.field(default=0.0, converter=_rescale)
    against: str = attrs.field(default="", validator=_check_against)

    def guided(self, denoiser: Denoiser, against: Denoiser | None = None) -> Guided:
        """``denoiser``, guided so; ``against`` is the denoiser of that name, None where there is no name.

        Raises:
            InputError: one without the other.
        """
        from jvid.denoisers.guided import Guided

        if (against is not None) != bool(self.against):
            raise InputError(
                f"Guidance(against={self.against!r}) got {'a' if against else 'no'} denoiser to lead away from: give both or none"
            )
        return Guided(denoiser, self.scale, interval=self.interval, rescale=self.rescale, against=against)


AnyGuidance: TypeAlias = float | Mapping[str, Guidance]
"""One scale for all experts, or a ``Guidance`` by expert."""


def as_guidance(value: float | Guidance | Mapping[str, float | Guidance]) -> AnyGuidance:
    """The value in one of its two forms; a single ``Guidance`` becomes every expert's.

    Raises:
        InputError: a value of another form, or an unknown expert.
    """
    if isinstance(value, Guidance):
        value = dict.fromkeys(EXPERTS, value)
    if not isinstance(value, Mapping):
        return _scale(value)
    if unknown := [name for name in value if name not in EXPERTS]:
        raise InputError(f"guidance for expert {unknown[0]!r}: expected one of {', '.join(EXPERTS)}")
    if not value:
        raise InputError(f"guidance by expert names none: expected a number, or some of {', '.join(EXPERTS)}")
    # In the experts' order, so that equal guidance is written as equal text.
    each = {name: value[name] for name in EXPERTS if name in value}
    return MappingProxyType(
        {name: given if isinstance(given, Guidance) else Guidance(given) for name, given in each.items()}
    )


def guidance_of(guidance: AnyGuidance, expert: str) -> Guidance:
    """That of one expert.

    Raises:
        InputError: guidance by expert that does not name this one.
    """
    if not isinstance(guidance, Mapping):
        return Guidance(guidance)
    if expert not in guidance:
        raise InputError(
            f"guidance is given for {', '.join(guidance)} and not for {expert!r}, which the selector may choose: "
            "give its scale too (1 is unguided)"
        )
    return guidance[expert]


def _number(value: Any) -> float | None:
    """The value as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number beyond every float
        return math.inf
