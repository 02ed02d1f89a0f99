"""A comparison as a picture that plays: a labelled column for each strategy, above its plan coloured by expert.

    a woman casts a spell (seed 0)
    video alone    image alone    mixture
    [   clip   ]   [   clip   ]   [   clip   ]      enlarged pixel by pixel
    |vvvvvvvvvv|   |iiiiiiiiii|   |vvvviiiivv|      a cell a step, divided by weight where experts are blended
    50 video       50 image       30 video, 20 image

As a still, a column has several frames of its clip, from the first to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.extras import extra
from jvid.views.colours import expert_colours

if TYPE_CHECKING:
    from PIL.Image import Image

    from jvid.core.plan import Plan
    from jvid.media.frames import Frames

__all__ = ["Column", "playing", "still", "wrapped"]

MARGIN = 12
GAP = 12
STRIP = 14
"""Height of a plan."""
_TITLE, _LABEL, _NOTE = 16, 14, 12
"""Sizes of letters."""
_LINE = 1.4
"""Height of a line, in letters."""


@attrs.frozen(eq=False)
class Column:
    """One strategy's clip: ``frames`` ``(f H W 3)`` of bytes, and the plan that it was sampled with."""

    label: str
    frames: Frames
    plan: Plan


def playing(title: str, columns: Sequence[Column], experts: Sequence[str], scale: int = 1) -> Frames:
    """The comparison as one clip.

    Args:
        title: written above the columns.
        columns: whose clips have equally many frames of the same size.
        experts: names in the order that gives them their colours.
        scale: whole factor by which frames are enlarged, pixel by pixel.

    Returns:
        Frames ``(1 f H W 3)``.

    Raises:
        InputError: no columns, or clips of different sizes.
    """
    import numpy as np

    page = _Page(title, columns, experts, scale, rows=1)
    count = len(columns[0].frames)
    return np.stack(
        [np.asarray(page.drawn([[column.frames[at]] for column in columns])) for at in range(count)]
    )[None]


def still(
    title: str, columns: Sequence[Column], experts: Sequence[str], scale: int = 1, rows: int = 4
) -> Frames:
    """The comparison as one picture, with ``rows`` frames of each clip, or all where it has fewer.

    Other arguments, and errors, are those of ``playing``.

    Returns:
        One frame ``(1 1 H W 3)``.
    """
    import numpy as np

    count = len(columns[0].frames) if columns else 0
    chosen = np.linspace(0, count - 1, min(rows, count)).round().astype(int)
    page = _Page(title, columns, experts, scale, len(chosen))
    return np.asarray(page.drawn([[column.frames[at] for at in chosen] for column in columns]))[None, None]


class _Page:
    """What is the same in every frame, drawn once, and where the frames go."""

    def __init__(
        self, title: str, columns: Sequence[Column], experts: Sequence[str], scale: int, rows: int
    ) -> None:
        if not columns:
            raise InputError("a comparison of nothing: expected at least one column")
        sizes = {column.frames.shape for column in columns}
        if len(sizes) > 1 or columns[0].frames.ndim != 4:
            raise InputError(f"clips of {sorted(sizes)}: expected equal ones, (frames, height, width, 3)")
        with extra("media"):
            from PIL import Image, ImageDraw

        self.scale = scale
        _, height, width, _ = columns[0].frames.shape
        self.height, self.width = height * scale, width * scale
        notes = [_counts(column.plan) for column in columns]
        texts = [*((column.label, _LABEL) for column in columns), *((note, _NOTE) for note in notes)]
        # Labels are not cut: a column is as wide as the widest.
        across = max(self.width, *(_width(text, size) for text, size in texts))
        whole = len(columns) * (across + GAP) - GAP
        heading = wrapped(title, _TITLE, whole)
        colours = expert_colours(experts)
        used = [name for name in experts if any(column.plan.counts.get(name) for column in columns)]
        top = MARGIN + _rows(_TITLE, len(heading)) + GAP // 2
        self.top = top + _rows(_LABEL)
        below = self.top + rows * (self.height + GAP) - GAP // 2
        end = below + STRIP + GAP // 2 + _rows(_NOTE)
        self.page = Image.new("RGB", (whole + 2 * MARGIN, end + _rows(_NOTE) + MARGIN), "white")
        draw = ImageDraw.Draw(self.page)
        _write(draw, (MARGIN, MARGIN), "\n".join(heading), _TITLE)
        self.lefts = [MARGIN + number * (across + GAP) for number in range(len(columns))]
        for left, column, note in zip(self.lefts, columns, notes, strict=True):
            _write(draw, (left, top), column.label, _LABEL)
            _draw_plan(draw, (left, below, left + self.width - 1, below + STRIP - 1), column.plan, colours)
            _write(draw, (left, below + STRIP + GAP // 3), note, _NOTE, "#555555")
        _draw_legend(draw, (MARGIN, end), {name: colours[name] for name in used})

    def drawn(self, columns: Sequence[Sequence[Any]]) -> Image:
        """A copy with the frames of each column, from the top to the bottom."""
        from jvid.media.frames import enlarged

        page = self.page.copy()
        for left, frames in zip(self.lefts, columns, strict=True):
            for row, frame in enumerate(frames):
                page.paste(
                    enlarged(frame, self.scale, smooth=False), (left, self.top + row * (self.height + GAP))
                )
        return page


def _draw_plan(draw: Any, box: tuple[int, int, int, int], plan: Plan, colours: dict[str, str]) -> None:
    """A cell a step; its parts are as high as the weights of its experts."""
    left, top, right, bottom = box
    edges = [left + round(n * (right + 1 - left) / len(plan)) for n in range(len(plan) + 1)]
    gap = 1 if (right - left) / len(plan) >= 5 else 0
    for step, start, end in zip(plan.steps, edges, edges[1:], strict=False):
        done = 0.0
        for name in colours:
            if weight := step.weights.get(name, 0.0):
                low, high = (top + round(share * (bottom + 1 - top)) for share in (done, done + weight))
                if end - gap > start and high > low:
                    draw.rectangle((start, low, end - 1 - gap, high - 1), fill=colours[name])
                done += weight


def _draw_legend(draw: Any, at: tuple[int, int], colours: dict[str, str]) -> None:
    left, top = at
    for name, colour in colours.items():
        draw.rectangle((left, top + 2, left + _NOTE - 2, top + _NOTE), fill=colour)
        _write(draw, (left + _NOTE + 4, top), name, _NOTE)
        left += _NOTE + 4 + _width(name, _NOTE) + 2 * GAP


def _counts(plan: Plan) -> str:
    """How many steps each expert predicts at: ``30 video, 20 image``."""
    return ", ".join(f"{count} {name}" for name, count in plan.counts.items() if count)


def _font(size: int) -> Any:
    with extra("media"):
        from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(text) + 1)


def _rows(size: int, count: int = 1) -> int:
    return round(_LINE * size * count)


def _write(draw: Any, at: tuple[int, int], text: str, size: int, colour: str = "black") -> None:
    spacing = _rows(size) - size
    draw.multiline_text(at, text, fill=colour, font=_font(size), spacing=spacing)


def wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines that fit into ``width`` pixels at a size of letters, broken between words."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
