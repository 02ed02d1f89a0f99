"""Tools to prove a component: ``conforms`` runs the checks of its protocol, oracles know the exact answer.

The oracles need nothing more; the checks need hypothesis (``pip install 'jvid[testing]'``).
"""

from __future__ import annotations

from jvid.testing.checking import Check, check, checks_of, declare
from jvid.testing.conforms import conforms
from jvid.testing.decorator import conformance
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from jvid.testing.report import NonConforming, Outcome, Report
from jvid.testing.samples import DrawnClips
from jvid.testing.trial import Skip, Trial

__all__ = [
    "Check", "DrawnClips", "GaussianOracle", "NonConforming", "Outcome", "Report", "Skip", "Trial", "TwoModeOracle", "check",
    "checks_of", "conformance", "conforms", "declare",
]  # fmt: skip
