"""gamma and r of section 3.5 as a choice of the registry, and back.

gamma 1, r 0      plain independent noise: nothing is stated
gamma 1, r 0.3    shared:ratio=0.3
gamma 0.1, r 0.3  scaled:gamma=0.1,ratio=0.3
"""

from __future__ import annotations

import math
from typing import Any

from jvid.errors import InputError
from jvid.plugins.choice import Choice

__all__ = ["noise_choice", "noise_numbers"]


def noise_choice(gamma: Any = 1.0, ratio: Any = 0.0) -> Choice | None:
    """The noise of gamma and r; None where it is plain independent noise.

    Raises:
        InputError: gamma is negative or not finite, or r lies outside of [0, 1].
    """
    if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not 0.0 <= gamma < math.inf:
        raise InputError(f"gamma {gamma!r}: expected a finite number, 0 or more")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0.0 <= ratio <= 1.0:
        raise InputError(f"ratio {ratio!r}: expected a number from 0 to 1")
    if gamma != 1.0:
        return Choice("scaled", {"gamma": float(gamma)} | ({"ratio": float(ratio)} if ratio else {}))
    return Choice("shared", {"ratio": float(ratio)}) if ratio else None


def noise_numbers(choice: Choice | None) -> tuple[float, float] | None:
    """gamma and r of a noise; None where it is another kind of noise, which they do not describe."""
    if choice is None or (choice.bare == "independent" and not choice.options):
        return 1.0, 0.0
    options = choice.options
    if choice.bare == "shared" and set(options) == {"ratio"}:
        return 1.0, options["ratio"]
    if choice.bare == "scaled" and "gamma" in options and set(options) <= {"gamma", "ratio"}:
        return options["gamma"], options.get("ratio", 0.0)
    return None
