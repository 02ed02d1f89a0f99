"""The strategy that clips are measured with: the paper's form in 50 steps of DDPM, whatever an ensemble recommends."""

from __future__ import annotations

from pathlib import Path

from jvid.strategy.strategy import Strategy

__all__ = ["FILE", "paper_strategy"]

FILE = Path(__file__).parents[1] / "recipes" / "actions-64" / "strategy.json"


def paper_strategy() -> Strategy:
    """That of the recipe which actions-64 was first shipped with: its selection, gamma .02, smoothing, guidance 2."""
    return Strategy.load(FILE)
