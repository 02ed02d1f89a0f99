"""The picture of a comparison: where frames and colours are, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from jvid.core.plan import Plan
from jvid.ensemble import Composition
from jvid.errors import InputError
from jvid.strategy import Strategy
from jvid.views.colours import expert_colours
from jvid.views.comparison import GAP, MARGIN, STRIP, Column, playing, still
from tests.toy import toy_ensemble

EXPERTS = ("video", "image")
COLOURS = {name: np.array(ImageColor.getrgb(colour)) for name, colour in expert_colours(EXPERTS).items()}


def plan_of(selector: str, steps: int = 8) -> Plan:
    return Composition(Strategy(selector, steps=steps), toy_ensemble()).plan()


def column(label: str, selector: str, seed: int, f: int = 5, side: int = 16) -> Column:
    frames = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (f, side, side, 3), np.uint8)
    return Column(label, frames, plan_of(selector))


def found_at(page: np.ndarray, frame: np.ndarray, scale: int) -> list[tuple[int, int]]:
    """Where the enlarged frame is on the page, (top, left)."""
    wanted = frame.repeat(scale, 0).repeat(scale, 1)
    height, width, _ = wanted.shape
    corners = np.argwhere((page == wanted[0, 0]).all(-1))
    return [
        (int(top), int(left))
        for top, left in corners
        if page[top : top + height, left : left + width].shape == wanted.shape
        and np.array_equal(page[top : top + height, left : left + width], wanted)
    ]


def test_frames_are_enlarged_pixel_by_pixel_in_a_column_each() -> None:
    columns = [column("one", "always:name=video", 1), column("two", "always:name=image", 2)]
    pages = playing("a prompt (seed 0)", columns, EXPERTS, 4)[0]
    assert len(pages) == 5
    places = set()
    for number, page in enumerate(pages):
        at = [found_at(page, each.frames[number], 4) for each in columns]
        assert [len(each) for each in at] == [1, 1]
        (top, left), (other, right) = at[0][0], at[1][0]
        assert top == other
        assert left == MARGIN
        assert right >= left + 64 + GAP
        places.add((top, left, right))
    assert len(places) == 1, "columns stay where they are"


def test_a_still_has_frames_from_the_first_to_the_last() -> None:
    columns = [column("one", "always:name=video", 1), column("two", "always:name=image", 2)]
    (page,) = still("a prompt", columns, EXPERTS, 2, rows=3)[0]
    for each in columns:
        tops = [found_at(page, each.frames[at], 2) for at in (0, 2, 4)]
        assert all(len(at) == 1 for at in tops)
        assert tops == sorted(tops)
        assert not any(found_at(page, each.frames[at], 2) for at in (1, 3))
    (every,) = still("a prompt", columns, EXPERTS, 2, rows=99)[0]
    assert all(found_at(every, frame, 2) for frame in columns[0].frames)


@pytest.mark.parametrize("steps", [1, 3, 8, 50])
def test_each_step_of_the_plan_has_its_experts_colour(steps: int) -> None:
    """Read back from the pixels of the strip, in the middle of each step's cell."""
    plan = plan_of("cycle:experts=video+image", steps)
    shown = Column("mixture", np.full((2, 80, 80, 3), 200, np.uint8), plan)
    (page, _) = playing("a prompt", [shown], EXPERTS)[0]
    (top, left), *_ = found_at(page, shown.frames[0], 1)
    middle = page[top + 80 + GAP // 2 + STRIP // 2, left : left + 80]
    for number, step in enumerate(plan.steps):
        cell = middle[min(int((number + 0.4) * 80 / steps), 79)]
        assert np.array_equal(cell, COLOURS[step.expert]), number


def test_a_blended_step_is_divided_by_weight() -> None:
    plan = plan_of("blend:experts=video+image,knots=0:.75:.25")
    shown = Column("blend", np.full((1, 80, 80, 3), 200, np.uint8), plan)
    (page,) = playing("a prompt", [shown], EXPERTS)[0]
    (top, left), *_ = found_at(page, shown.frames[0], 1)
    cell = page[top + 80 + GAP // 2 : top + 80 + GAP // 2 + STRIP, left + 2]
    counts = {name: int((cell == colour).all(-1).sum()) for name, colour in COLOURS.items()}
    assert counts["video"] + counts["image"] == STRIP
    assert abs(counts["video"] - 0.75 * STRIP) <= 1


def test_long_labels_and_prompts_are_not_cut() -> None:
    frames = np.full((1, 8, 8, 3), 200, np.uint8)
    plan = plan_of("always:name=video")
    short, long = (
        playing("word " * 12, [Column(label, frames, plan), Column("b", frames, plan)], EXPERTS)[0, 0]
        for label in ("a", "a strategy of a very long name")
    )
    assert long.shape[1] > short.shape[1] + 100
    assert short.shape[0] > long.shape[0], "the prompt takes more lines where they are shorter"


def test_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="a comparison of nothing"):
        playing("a", [], EXPERTS)
    with pytest.raises(InputError, match="expected equal ones"):
        playing("a", [column("a", "always:name=video", 1), column("b", "always:name=video", 1, f=4)], EXPERTS)
