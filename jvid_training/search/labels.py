"""Places of numbers beside the points of a plot, where each covers the least of what is drawn already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import BboxBase

__all__ = ["number_points"]

# Points (1/72 inch): a marker's size, a digit's width and height, and how far a number may be without a line.
MARKER = 10.0
DIGIT = (5.0, 8.0)
NEAR = 16.0
# Where a number may be, from its point's centre: the earlier the better.
OFFSETS = [
    (radius * across, radius * up)
    for radius in (9.0, 14.0, 22.0, 30.0)
    for across, up in ((1, 0.8), (-1, 0.8), (1, -0.8), (-1, -0.8), (0, 1.1), (0, -1.1), (1.2, 0), (-1.2, 0))
]


def number_points(
    axes: Axes, numbers: Sequence[str], places: Sequence[tuple[float, float]]
) -> list[Annotation]:
    """Write ``numbers[i]`` beside ``places[i]`` (the axes' units); an empty one is left out, its point is kept free.

    Call it last: it makes the figure's layout, and the axes' limits must not move after it.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # places are known once the layout is made
    pixels = figure.dpi / 72.0
    centres = [(float(x), float(y)) for x, y in axes.transData.transform(list(places))]
    taken = [_box(centre, (0.0, 0.0), (MARKER, MARKER), pixels) for centre in centres]
    written = []
    for number, place, centre in zip(numbers, places, centres, strict=True):
        if not number:
            continue
        size = (DIGIT[0] * len(number) + 1.0, DIGIT[1])
        boxes = [_box(centre, offset, size, pixels) for offset in OFFSETS]
        strays = [_strays(box, centre, centres) for box in boxes]
        costs = [(_covered(box, taken, axes.bbox), stray) for box, stray in zip(boxes, strays, strict=True)]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        far = strays[best] or max(map(abs, OFFSETS[best])) > NEAR
        written.append(
            axes.annotate(
                number, place, OFFSETS[best], textcoords="offset points", ha="center", va="center", fontsize=8,
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "shrinkA": 5, "shrinkB": 5} if far else None,
            )
        )  # fmt: skip
    return written


def _box(
    centre: tuple[float, float], offset: tuple[float, float], size: tuple[float, float], pixels: float
) -> BboxBase:
    """A box of ``size`` points, ``offset`` points from ``centre``, in pixels."""
    from matplotlib.transforms import Bbox

    (a, b), (width, height) = offset, size
    x, y = centre[0] + (a - width / 2) * pixels, centre[1] + (b - height / 2) * pixels
    return Bbox.from_bounds(x, y, width * pixels, height * pixels)


def _strays(box: BboxBase, centre: tuple[float, float], centres: Sequence[tuple[float, float]]) -> bool:
    """Whether ``box`` is hardly farther from another point than from its own, so that it is read as the other's."""
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    own = math.dist((x, y), centre)
    return any(math.dist((x, y), other) < 1.2 * own for other in centres if other != centre)


def _covered(box: BboxBase, taken: Sequence[BboxBase], inside: BboxBase) -> float:
    """The area that ``box`` shares with others, and that lies outside of the axes."""
    shared = [both for other in taken if (both := box.intersection(box, other)) is not None]
    within = box.intersection(box, inside)
    return sum(map(_area, shared)) + _area(box) - (_area(within) if within is not None else 0.0)


def _area(box: BboxBase) -> float:
    return float(box.width * box.height)
