"""Numbers beside points: none covers another, or leaves the axes, while there is room."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("matplotlib", reason="plots need matplotlib")

from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from jvid_training.search.labels import number_points

# Six points, as crowded as they like; corners too.
PLACES = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None)
@given(PLACES)
def test_numbers_do_not_cover_one_another_and_stay_inside(places: list[tuple[float, float]]) -> None:
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    texts = number_points(axes, [str(i + 10) for i in range(len(places))], places)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in texts]
    assert [text.get_text() for text in texts] == [str(i + 10) for i in range(len(places))]
    for i, box in enumerate(boxes):
        inside = Bbox.intersection(box, axes.bbox)
        assert inside is not None
        assert inside.width > 0.9 * box.width
        assert inside.height > 0.9 * box.height
        for other in boxes[:i]:
            both = Bbox.intersection(box, other)
            assert both is None or both.width * both.height < 0.1 * box.width * box.height, (i, places)


def test_an_unnamed_point_has_no_number_but_keeps_its_place() -> None:
    figure = Figure(figsize=(5.0, 5.0))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0))
    beside = 9.0 / 72.0 / 5.0 / 0.77  # where the first place of the other's number would be
    texts = number_points(axes, ["7", ""], [(0.5, 0.5), (0.5 + beside, 0.5 + 0.8 * beside)])
    canvas.draw()
    assert [text.get_text() for text in texts] == ["7"]
    x, y = axes.transData.transform((0.5 + beside, 0.5 + 0.8 * beside))
    assert not Text.get_window_extent(texts[0]).contains(x, y)


def test_a_number_is_read_as_its_own_points_where_two_stand_close() -> None:
    figure = Figure(figsize=(5.0, 5.0))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0))
    # The second stands where the first place of the first number is free, yet nearer to the second point.
    places = [(0.5, 0.5), (0.565, 0.536)]
    texts = number_points(axes, ["7", "8"], places)
    canvas.draw()
    centres = axes.transData.transform(places)
    for text, own, other in zip(texts, centres, centres[::-1], strict=True):
        box = Text.get_window_extent(text)
        x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        assert math.dist((x, y), own) < math.dist((x, y), other)
