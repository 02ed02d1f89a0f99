"""Sets of clips as rows of a page: which clips are shown, and what is missing.

For each prompt the first seeds that all sets have, in their order; none is chosen. A clip that is not
made yet keeps its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from jvid.ensemble.ensemble import Ensemble
from jvid.errors import InputError
from jvid.strategy.strategy import Strategy
from jvid_training.evaluation.figures import Figure
from jvid_training.generation.sets import ClipSet
from jvid_training.report.content import ReportClip, ReportRow
from jvid_training.report.ranking import ranked


@attrs.frozen(eq=False)
class Named:
    """A row as it was found: its name on the page, its clips (None where they are not here) and what is known of them."""

    name: str
    strategy: Strategy | None
    clips: ClipSet | None
    figures: Mapping[str, Figure] = attrs.field(factory=dict)
    features: Path | None = None
    """Cache of what networks saw in the clips."""
    ensemble: Ensemble | None = None
    """That made the clips; None where it is not here."""


def check_alike(sets: Sequence[ClipSet]) -> None:
    """Refuse sets that cannot be shown side by side: other size, frames, rate or prompts.

    Raises:
        InputError: what differs, and where.
    """
    first, *others = sets
    for other in others:
        for what, one, another in (
            ("size", *(f"{each.size[1]}x{each.size[0]}" for each in (first, other))),
            ("frames", first.frames, other.frames),
            ("frames a second", first.fps, other.fps),
            ("prompts", first.spec.prompts, other.spec.prompts),
        ):
            if one != another:
                raise InputError(
                    f"sets of other {what}: {_short(one)} in {first.folder}, {_short(another)} in {other.folder}; "
                    "report them apart"
                )


def _short(value: object) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def chosen(rows: Sequence[Named], count: int) -> list[tuple[str, int]]:
    """The (prompt, seed) that are shown, prompt by prompt: ``count`` of each at most, in the order of their seeds.

    Raises:
        InputError: sets that are not alike, or that have no clip in common.
    """
    sets = [one.clips for one in rows if one.clips is not None]
    if not sets:
        return []
    check_alike(sets)
    common = set.intersection(*({(prompt, seed) for _, prompt, seed in _requested(clips)} for clips in sets))
    if not common:
        first, other = next((a, b) for a in sets for b in sets if not set(_requested(a)) & set(_requested(b)))
        raise InputError(
            f"sets without a prompt and seed in common: from seed {first.spec.seed} in {first.folder}, "
            f"{other.spec.seed} in {other.folder}; report them apart"
        )
    ordered = sorted(common, key=lambda clip: clip[1])
    prompts = dict.fromkeys(sets[0].spec.prompts)
    return [clip for prompt in prompts for clip in [each for each in ordered if each[0] == prompt][:count]]


def _requested(clips: ClipSet) -> list[tuple[int, str, int]]:
    spec = clips.spec
    return [(i, spec.prompts[i % len(spec.prompts)], spec.seed + i) for i in range(len(clips))]


def row(one: Named, shown: Sequence[tuple[str, int]], extremes: int) -> ReportRow:
    """The page's row: the clips ``shown``, and ``extremes`` of each end where the clips can be ranked.

    Raises:
        InputError: a file of the set that is damaged.
    """
    if one.clips is None:
        return ReportRow(one.name, one.strategy, figures=one.figures, ensemble=one.ensemble)
    places = {(prompt, seed): i for i, prompt, seed in _requested(one.clips)}
    made = tuple(_clip(one.clips, places[clip], *clip) for clip in shown)
    found = ranked(one.features, one.clips) if one.features and extremes else None
    by, highest, lowest = _ends(one.clips, *found, extremes) if found else ("", (), ())
    return ReportRow(
        one.name,
        one.strategy,
        made,
        highest,
        lowest,
        by,
        one.figures,
        _facts(one.clips),
        one.ensemble,
    )


def _clip(clips: ClipSet, index: int, prompt: str, seed: int, remark: str = "") -> ReportClip:
    absent = index // clips.spec.batch in clips.missing()
    return ReportClip(prompt, seed, None if absent else clips.clip(index), remark)


def _ends(
    clips: ClipSet, name: str, values: np.ndarray, count: int
) -> tuple[str, tuple[ReportClip, ...], tuple[ReportClip, ...]]:
    """The clips of the highest and of the lowest values, the outermost first; no clip is in both."""
    order = np.argsort(-values, kind="stable").tolist()
    count = min(count, len(order) // 2)

    def clip(place: int) -> ReportClip:
        index, prompt, seed = _requested(clips)[place]
        return _clip(clips, index, prompt, seed, f"{prompt or 'unconditional'}, {values[place]:.3f}")

    highest, lowest = (tuple(map(clip, part)) for part in (order[:count], order[::-1][:count]))
    return name, highest, lowest


def missing(one: Named) -> str | None:
    """A note on a row whose clips are not all there; None where they are."""
    clips = one.clips
    if clips is None:
        return f"{one.name}: its clips are not here"
    if clips.complete:
        return None
    gone = sum(min(clips.spec.batch, len(clips) - k * clips.spec.batch) for k in clips.missing())
    return f"{one.name} is incomplete: {gone} of its {len(clips)} clips are not made yet"


def _facts(clips: ClipSet) -> dict[str, str]:
    first, count = clips.spec.seed, len(clips)
    facts = {"clips": f"{count:,}, seeds {first} to {first + count - 1}"}
    seconds = clips.seconds
    if seconds and clips.made:
        facts["networks"] = ", ".join(
            f"{name} {each / clips.made:.2g} s a clip" for name, each in seconds.items()
        )
    return facts


def names(folders: Sequence[Path]) -> list[str]:
    """The folders' names; with as many parents as make them different."""
    parts = [folder.resolve().parts for folder in folders]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        found = ["/".join(part[-depth:]) for part in parts]
        if len(set(found)) == len(found):
            break
    return found
