"""A figure with its interval, and an evaluation: all figures of one source of clips, with the floors beside them.

A figure's full name states what departs from the protocol: its network, and how many clips or frames where the
protocol requires more: "FVD[i3d, 96 clips]". Its base, "FVD[i3d]", is what floors and other sources have in
common with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import cattrs

from jvid.errors import InputError
from jvid.files import read_json, write_json

__all__ = ["ARROWS", "EvaluationResult", "Figure", "base_of", "named", "number"]

FORMAT = 1
ARROWS = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}"}
"""How tables and axes show which direction is better."""

_COUNT = re.compile(r"(, |\[)\d+ (clips|frames)\]$")


@attrs.frozen
class Figure:
    """A value, its 95 % interval (None where it was not computed), which way is better, and what to know of it."""

    value: float
    low: float | None = None
    high: float | None = None
    better: Literal["lower", "higher"] | None = None
    note: str = ""


def named(base: str, count: int, sample_size: tuple[int, str]) -> str:
    """The full name of a figure of ``count`` clips or frames, whose protocol requires ``sample_size``.

    >>> named("FVD[i3d]", 96, (2048, "clips")), named("FID", 50_000, (50_000, "frames"))
    ('FVD[i3d, 96 clips]', 'FID')
    """
    wanted, unit = sample_size
    if count >= wanted:
        return base
    return f"{base[:-1]}, {count} {unit}]" if base.endswith("]") else f"{base}[{count} {unit}]"


def base_of(name: str) -> str:
    """A figure's name without its number of clips.

    >>> base_of("FVD[i3d, 96 clips]"), base_of("FID[1536 frames]"), base_of("flicker")
    ('FVD[i3d]', 'FID', 'flicker')
    """
    return _COUNT.sub(lambda match: "]" if match[1] == ", " else "", name)


def number(value: float) -> str:
    """Three digits, whole numbers in full; powers of ten only where a reader would have to count zeros."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}"
    return f"{value:.2e}"


@attrs.frozen
class EvaluationResult:
    """Figures of a source against a reference; ``floors``: name of the floor -> base name -> figure."""

    source: str
    clips: int
    frames: int
    size: tuple[int, int]
    fps: float
    reference: str
    reference_clips: int
    figures: dict[str, Figure]
    floors: dict[str, dict[str, Figure]] = attrs.field(factory=dict)
    fingerprints: dict[str, str] = attrs.field(factory=dict)
    """Of source, reference and each network."""
    recognition: dict[str, Any] = attrs.field(factory=dict)
    """How good the action classifier is on real clips."""
    settings: dict[str, Any] = attrs.field(factory=dict)
    """Seed, number of resamplings, versions."""
    format: int = FORMAT

    def __getitem__(self, name: str) -> Figure:
        """By full or base name; KeyError names what there is."""
        for full, figure in self.figures.items():
            if name in (full, base_of(full)):
                return figure
        raise KeyError(f"no figure {name!r}: there are {', '.join(self.figures)}")

    def floor(self, name: str, floor: str = "real") -> Figure | None:
        """A floor's figure by a figure's full or base name; None without one."""
        return self.floors.get(floor, {}).get(base_of(name))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        plain: dict[str, Any] = cattrs.unstructure(self)
        return plain

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> EvaluationResult:
        """Of `to_dict`. Raises InputError for anything else."""
        try:
            if document["format"] != FORMAT:
                raise InputError(f"figures of format {document['format']}: expected {FORMAT}, evaluate again")
            return cattrs.structure(dict(document), cls)
        except (cattrs.BaseValidationError, KeyError, TypeError) as error:
            reason = type(error).__name__
            raise InputError(f"these are no figures of `jvid evaluate` ({reason}): evaluate again") from None


def save(evaluations: list[EvaluationResult], path: Path) -> None:
    """As JSON, whole or not at all."""
    write_json(path, {"format": FORMAT, "evaluations": [one.to_dict() for one in evaluations]})


def load(path: Path) -> list[EvaluationResult]:
    """What `save` wrote. Raises InputError for anything else."""
    found: list[EvaluationResult] = read_json(
        path,
        "figures of `jvid evaluate`",
        "evaluate again",
        lambda values: [EvaluationResult.from_dict(one) for one in values["evaluations"]],
    )
    return found
