"""Solvers: one transition of the reverse process each, one a file."""

from __future__ import annotations

from jvid.solvers.ddim import DDIM
from jvid.solvers.ddpm import DDPM

__all__ = ["DDIM", "DDPM"]
