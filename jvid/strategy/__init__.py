"""A strategy: named choices and numbers that together make a sampler. Names are exported lazily."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvid.strategy.choice import Choice as Choice
    from jvid.strategy.strategy import NoiseShape as NoiseShape
    from jvid.strategy.strategy import Strategy as Strategy

_HOME = {"Choice": "choice", "NoiseShape": "strategy", "Strategy": "strategy"}

__all__ = ["Choice", "NoiseShape", "Strategy"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jvid.strategy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jvid.strategy.{_HOME[name]}"), name)
