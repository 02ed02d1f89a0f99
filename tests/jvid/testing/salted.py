"""Selectors for other interpreters; in a module without torch, since another process imports it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


class Salted:
    """Depends on the hash of text: orders its experts by it."""

    experts = ("a", "b", "c")

    def __call__(self, step: Any, u: float) -> Mapping[str, float]:
        return {sorted(self.experts, key=hash)[int(3 * u)]: 1.0}


class Loaded:
    """Whether torch is imported where it is evaluated; above u = 0.5 also the schedule's noise where the step begins."""

    def __call__(self, step: Any, u: float) -> Mapping[str, float]:
        loaded = {"torch": float("torch" in sys.modules)}
        return loaded | {"sigma": step.level_at(step.start.t).sigma} if u > 0.5 else loaded
