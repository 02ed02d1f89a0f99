"""Selectors: which experts predict at a step, one idea a file."""

from __future__ import annotations

from jvid.selectors.affine import Always, PiecewiseAffine
from jvid.selectors.blend import Blend
from jvid.selectors.boundary import Boundary
from jvid.selectors.chance import Random
from jvid.selectors.cycle import Cycle
from jvid.selectors.table import Table

__all__ = ["Always", "Blend", "Boundary", "Cycle", "PiecewiseAffine", "Random", "Table"]
