"""Tools to prove a denoiser, solver or strategy: models whose exact answer is known."""

from __future__ import annotations

from jvid.testing.oracles import GaussianOracle, TwoModeOracle

__all__ = ["GaussianOracle", "TwoModeOracle"]
