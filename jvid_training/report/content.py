"""What a page shows, whatever it was read from: strategies with clips and figures, fronts, commands.

``inputs`` makes one of these of folders, ``page`` makes HTML of it; neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from jvid.ensemble.ensemble import Ensemble
from jvid.strategy.strategy import Strategy
from jvid_training.evaluation.figures import Figure


@attrs.frozen(eq=False)
class ReportClip:
    """A clip that is shown: ``frames`` uint8 ``(f, H, W, 3)``, None where it is not made; ``remark`` is text below it."""

    prompt: str
    seed: int
    frames: np.ndarray | None
    remark: str = ""


@attrs.frozen(eq=False)
class ReportRow:
    """A strategy: its clips, and the figures of its whole set.

    ``strategy`` is None for what is no sampling (real clips, the codec's floor). ``highest`` and ``lowest`` are clips of
    the ends of ``ranked_by``, a figure that each clip has of its own. ``ensemble`` is what made the clips: its experts' places
    are their colours, its schedule is that of the plan; None where it is not here.
    """

    name: str
    strategy: Strategy | None = None
    clips: tuple[ReportClip, ...] = ()
    highest: tuple[ReportClip, ...] = ()
    lowest: tuple[ReportClip, ...] = ()
    ranked_by: str = ""
    figures: Mapping[str, Figure] = attrs.field(factory=dict)
    facts: Mapping[str, str] = attrs.field(factory=dict)
    ensemble: Ensemble | None = None

    def shows(self, prompt: str) -> bool:
        """Whether there are clips of a prompt."""
        return any(clip.prompt == prompt for clip in self.clips)


@attrs.frozen
class ReportObjective:
    """What a search looked for; ``better`` is "lower" or "higher"."""

    name: str
    better: str = "lower"


@attrs.frozen
class Point:
    """A strategy in the plane of objectives: one value for each, in their order."""

    name: str
    values: tuple[float, ...]
    front: bool
    words: str = ""


@attrs.frozen
class Front:
    """Strategies in the plane of objectives, and those that no other beats in every one; ``title`` names whose."""

    objectives: tuple[ReportObjective, ...]
    points: tuple[Point, ...]
    title: str = ""


@attrs.frozen(eq=False)
class Extra:
    """A further table, of rows without clips."""

    title: str
    rows: tuple[ReportRow, ...]
    floors: tuple[ReportRow, ...] = ()


@attrs.frozen(eq=False)
class Content:
    """A page. ``notes`` are what a reader must know before the figures: incomplete sets, unequal numbers of clips."""

    title: str
    rows: tuple[ReportRow, ...]
    fps: float
    floors: tuple[ReportRow, ...] = ()
    fronts: tuple[Front, ...] = ()
    extras: tuple[Extra, ...] = ()
    commands: tuple[str, ...] = ()
    versions: Mapping[str, str] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()
