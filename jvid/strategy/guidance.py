"""Guidance of one expert as plain values: shorthand for the wrapper ``guided`` of the registry.

    Guidance(2, (.2, .8))    guided:scale=2.0,low=0.2,high=0.8

``jvid.denoisers.guided`` holds the mathematics; here are the numbers, which need no tensors.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.plugins.choice import Choice, as_choice

if TYPE_CHECKING:
    from jvid.core.protocols import Denoiser

__all__ = ["Guidance", "as_guidance", "is_guided"]


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
    from jvid.core.levels import check_interval  # it loads torch

    check_interval("Guidance", (ends[0], ends[1]))
    # From 0 to 1 is everywhere, which has one form.
    return None if (ends[0], ends[1]) == (0.0, 1.0) else (ends[0], ends[1])


def _rescale(value: Any) -> float:
    number = _number(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise InputError(f"Guidance got rescale={value!r}; expected a number from 0 (none) to 1")
    return number


def _check_against(self: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise InputError(f"Guidance got against={value!r}; expected the name of an expert, or ''")


@attrs.frozen
class Guidance:
    """The numbers of the wrapper ``guided``.

    Attributes:
        scale: g of equation (4); 1 is unguided, 0 unconditional.
        interval: (low, high) of the expert's own t within which guidance acts, ends included; None is everywhere.
        rescale: 0 to 1, how far the guided x_0's deviation is drawn back to the conditional's.
        against: "" for classifier-free guidance; or another expert of the ensemble, evaluated with the same condition
            (autoguidance).

    Raises:
        InputError: a value of another form or out of range.
    """

    scale: float = attrs.field(converter=_scale)
    interval: tuple[float, float] | None = attrs.field(default=None, converter=_interval)
    rescale: float = attrs.field(default=0.0, converter=_rescale)
    against: str = attrs.field(default="", validator=_check_against)

    @classmethod
    def of(cls, choice: Choice) -> Guidance:
        """The numbers of a choice of the wrapper ``guided``.

        Raises:
            InputError: a choice of another wrapper, or an option that ``Guidance`` does not have.
        """
        if not is_guided(choice):
            raise InputError(f"wrapper {choice}: expected guided")
        options = dict(choice.options)
        low, high = options.pop("low", 0.0), options.pop("high", 1.0)
        if unknown := [name for name in options if name not in ("scale", "rescale", "against")]:
            raise InputError(f"guided got {unknown[0]!r}: expected scale, low, high, rescale, against")
        return cls(
            options.get("scale", 2.0), (low, high), options.get("rescale", 0.0), options.get("against") or ""
        )

    def choice(self) -> Choice:
        """The wrapper of the registry with these numbers; those that change nothing are left out."""
        options: dict[str, Any] = {"scale": self.scale}
        if self.interval is not None:
            options |= {"low": self.interval[0], "high": self.interval[1]}
        if self.rescale:
            options["rescale"] = self.rescale
        if self.against:
            options["against"] = self.against
        return Choice("guided", options)

    def guided(self, denoiser: Denoiser, against: Denoiser | None = None) -> Denoiser:
        """``denoiser``, guided by these numbers; ``against`` is the expert of that name, None where there is no name.

        Raises:
            InputError: a name without a denoiser, or a denoiser without a name.
        """
        from jvid.denoisers.guided import Guided

        if (against is not None) != bool(self.against):
            raise InputError(
                f"Guidance(against={self.against!r}) got {'a' if against else 'no'} denoiser to guide against: give both or none"
            )
        return Guided(denoiser, self.scale, interval=self.interval, rescale=self.rescale, against=against)


def as_guidance(value: float | Guidance | Choice | str) -> Guidance:
    """A scale, a guidance, or a choice of ``guided`` as ``Guidance``.

    Raises:
        InputError: a value of another form, or out of range.
    """
    if isinstance(value, Guidance):
        return value
    if isinstance(value, Choice | str):
        return Guidance.of(as_choice(value))
    return Guidance(value)


def is_guided(choice: Choice) -> bool:
    """Whether a choice is of the built-in wrapper ``guided``."""
    return choice.name in ("guided", "builtin/guided")


def _number(value: Any) -> float | None:
    """The value as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number beyond every float
        return math.inf
