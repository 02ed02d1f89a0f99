"""The page: one HTML file that makes no request, the same bytes for the same content.

Templates are filled with everything escaped; the page's policy (CSP) allows no request, and no script or style but its
own two, by their hashes: a prompt or a name can bring in nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jvid.files import whole_file
from jvid_training.evaluation.figures import ARROWS, number
from jvid_training.report import scatter
from jvid_training.report.commands import file_name
from jvid_training.report.content import Content, Front, ReportRow
from jvid_training.report.sprites import sprite
from jvid_training.report.strips import COLOURS, experts_of, strip
from jvid_training.report.tables import FigureTable, figures_table
from jvid_training.report.words import words

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: Path, content: Content) -> int:
    """Write the page, whole or not at all; returns its bytes.

    Raises:
        InputError: the system refuses, as with a full disk.
    """
    data = page(content).encode("utf-8")
    with whole_file(path) as part:
        part.write_bytes(data)
    return len(data)


def page(content: Content) -> str:
    """The HTML."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sprite": sprite, "number": number}
    style, script = _style(content), (_TEMPLATES / "player.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        content=content,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        **_parts(content),
    )


def _style(content: Content) -> str:
    """The sheet, with as many columns of clips as any strategy has of one prompt."""
    columns = max(
        (sum(c.prompt == p for c in row.clips) for row in content.rows for p in _prompts(content)), default=1
    )
    sheet = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    height, width = next((frames.shape[1:3] for frames in _shown(content)), (1, 1))
    return f"{sheet}:root {{ --clips: {columns}; --card: {max(10, 7 * columns)}rem; --shape: {width} / {height}; }}\n"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _prompts(content: Content) -> list[str]:
    return list(dict.fromkeys(clip.prompt for row in content.rows for clip in row.clips))


def _parts(content: Content) -> dict[str, Any]:
    """What the template shows, worked out; it only sets it."""
    experts = _experts(content)
    strips = [
        None if row.strategy is None else strip(row.strategy, row.ensemble, experts) for row in content.rows
    ]
    seen = {cell.expert for strip_ in strips if strip_ for cell in strip_.cells}
    shown = _shown(content)
    return {
        "strips": strips,
        "experts": [(place, name) for place, name in enumerate(experts) if place in seen],
        "colour": _colour,
        "descriptions": [
            {} if row.strategy is None else words(row.strategy, row.ensemble) for row in content.rows
        ],
        "files": [_file(row) for row in content.rows],
        "frames": max(map(len, shown), default=1),
        "subtitle": _subtitle(content, shown),
        "prompts": _prompts(content),
        "ranked": [row for row in content.rows if row.highest or row.lowest],
        "tables": _tables(content),
        "file_name": file_name,
        "fronts": [drawn for front in content.fronts if (drawn := _front(front))["planes"]],
        "arrows": ARROWS,
        **{name: getattr(scatter, name.upper()) for name in ("width", "height", "left", "right", "top", "bottom")},
    }  # fmt: skip


def _experts(content: Content) -> tuple[str, ...]:
    """The experts of all strategies: one of a name is one colour, its place among them."""
    known = (experts_of(row.strategy, row.ensemble) for row in content.rows if row.strategy is not None)
    return tuple(dict.fromkeys(name for names in known for name in names))


def _colour(place: int) -> str:
    """The class of an expert's colour."""
    return f"e{place % COLOURS}" + (" pale" if place >= COLOURS else "")


def _front(front: Front) -> dict[str, Any]:
    return {
        "title": front.title,
        "objectives": front.objectives,
        "planes": scatter.planes(front),
        "best": sorted((p for p in front.points if p.front), key=lambda p: p.values),
        "beaten": [p for p in front.points if not p.front],
    }


def _file(row: ReportRow) -> str:
    return "" if row.strategy is None else json.dumps(row.strategy.to_dict(), indent=1)


def _shown(content: Content) -> list[np.ndarray]:
    clips = (clip for row in content.rows for clip in (*row.clips, *row.highest, *row.lowest))
    return [clip.frames for clip in clips if clip.frames is not None]


def counted(content: Content) -> str:
    """How many strategies the page is about: its rows, or where it has none those of its front."""
    count = len(content.rows) or sum(len(front.points) for front in content.fronts)
    searched = " of a search" if not content.rows and content.fronts else ""
    return f"{count} strateg{'y' if count == 1 else 'ies'}{searched}"


def _subtitle(content: Content, shown: list[np.ndarray]) -> str:
    parts = [counted(content)]
    if shown:
        frames, height, width, _ = shown[0].shape
        parts.append(f"clips of {frames} frames, {width}x{height} pixels, {content.fps:g} frames a second")
    return "; ".join(parts)


def _tables(content: Content) -> list[tuple[str, FigureTable]]:
    """The page's own, then the others under their titles; none of nothing."""
    every = [("", content.rows, content.floors), *((e.title, e.rows, e.floors) for e in content.extras)]
    made = [(title, figures_table(rows, floors)) for title, rows, floors in every]
    return [(title, table) for title, table in made if table is not None]
