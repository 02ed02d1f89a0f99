"""Ensembles: named experts and what surrounds them, and the sampler that a strategy makes of them."""

from jvid.ensemble.compose import Composition as Composition
from jvid.ensemble.compose import compose as compose
from jvid.ensemble.deferred import Deferred as Deferred
from jvid.ensemble.ensemble import Ensemble as Ensemble
from jvid.ensemble.ensemble import Member as Member
from jvid.ensemble.frames import FrameRule as FrameRule
from jvid.ensemble.source import Source as Source

__all__ = ["Composition", "Deferred", "Ensemble", "FrameRule", "Member", "Source", "compose"]
