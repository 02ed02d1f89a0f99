"""Strategies as plain values: choices of the registry, their shorthand, and files of older versions."""

from jvid.strategy.guidance import Guidance as Guidance
from jvid.strategy.strategy import EVERY as EVERY
from jvid.strategy.strategy import ExpertStrategy as ExpertStrategy
from jvid.strategy.strategy import Strategy as Strategy

__all__ = ["EVERY", "ExpertStrategy", "Guidance", "Strategy"]
