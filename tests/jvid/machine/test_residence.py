"""Moves decided of plans alone: present when called, no more at once than fits, and no more moves than need be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.machine.residence import Move, Residence

SIZES = {"a": 3, "b": 4, "c": 2}


class Device:
    """A mover that holds what it got, and refuses what cannot be."""

    def __init__(self, fails: str = "") -> None:
        self.held: set[str] = set()
        self.coming: set[str] = set()
        self.fails = fails

    def fetch(self, unit: str, ahead: bool) -> None:
        assert unit not in self.held | self.coming
        if unit == self.fails:
            raise MemoryError(unit)
        self.coming.add(unit)

    def wait(self, unit: str) -> None:
        self.coming.discard(unit)
        self.held.add(unit)

    def drop(self, unit: str) -> None:
        assert unit in self.held | self.coming
        self.held.discard(unit)
        self.coming.discard(unit)


def run(uses: Sequence[Sequence[str]], room: int | None, ahead: bool = False) -> tuple[Residence, Device]:
    device = Device()
    made = Residence(SIZES, device, ahead)
    made.follow(uses, room)
    for step, used in enumerate(uses):
        made.begin(step)
        for unit in used:
            made.call(unit)
            assert unit in device.held
        made.end()
    return made, device


plans = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), min_size=1, max_size=12)


def needed(uses: Sequence[Sequence[str]]) -> int:
    return max(sum(SIZES[unit] for unit in set(used)) for used in uses)


@given(plans, st.integers(0, 12), st.booleans())
def test_units_are_there_when_called_and_fit_in_the_room(
    uses: list[list[str]], more: int, ahead: bool
) -> None:
    room = needed(uses) + more
    made, device = run(uses, room, ahead)
    assert made.peak <= room
    assert device.held == device.coming == set()  # behind the last use everything is out
    assert [m.into for m in made.moves if m.unit == "a"] == [
        i % 2 == 0 for i in range(sum(m.unit == "a" for m in made.moves))
    ]
    # At most once for each stretch of steps that call it.
    for unit in SIZES:
        stretches = sum(unit in used and (i == 0 or unit not in uses[i - 1]) for i, used in enumerate(uses))
        assert sum(move.unit == unit and move.into for move in made.moves) <= stretches


@given(plans, st.booleans())
def test_with_room_for_all_each_unit_is_moved_in_once(uses: list[list[str]], ahead: bool) -> None:
    made, _ = run(uses, None, ahead)
    assert sorted(move.unit for move in made.moves if move.into) == sorted({u for used in uses for u in used})
    # Out at the end of its last step, and not before.
    last = {unit: step for step, used in enumerate(uses) for unit in used}
    assert {move.unit: move.step for move in made.moves if not move.into} == last


def fewest(uses: Sequence[str], count: int) -> int:
    """Fewest arrivals where so many units fit, by every choice of what leaves."""
    states: dict[frozenset[str], int] = {frozenset(): 0}
    for unit in uses:
        following: dict[frozenset[str], int] = {}
        for held, cost in states.items():
            if unit in held:
                options = [(held, cost)]
            elif len(held) < count:
                options = [(held | {unit}, cost + 1)]
            else:
                options = [((held - {out}) | {unit}, cost + 1) for out in held]
            for state, price in options:
                following[state] = min(price, following.get(state, price))
        states = following
    return min(states.values())


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=14), st.integers(1, 3))
def test_no_choice_of_what_makes_room_moves_less(uses: list[str], count: int) -> None:
    made = Residence(dict.fromkeys("abcd", 1))
    made.follow([[unit] for unit in uses], count)
    for step, unit in enumerate(uses):
        made.begin(step)
        made.call(unit)
        made.end()
    assert sum(move.into for move in made.moves) == fewest(uses, count)


def test_a_boundary_takes_the_room_of_one_expert() -> None:
    made, _ = run(["a", "a", "b", "b"], 4)
    assert made.peak == 4
    assert made.moves == [Move(0, "a", True), Move(1, "a", False), Move(2, "b", True), Move(3, "b", False)]


def test_with_more_room_the_next_expert_comes_while_the_other_computes() -> None:
    made, _ = run(["a", "a", "b", "b"], 7, ahead=True)
    assert made.moves == [
        Move(0, "a", True), Move(1, "b", True, ahead=True), Move(1, "a", False), Move(3, "b", False)
    ]  # fmt: skip
    assert run(["a", "a", "b", "b"], 6, ahead=True)[0].peak == 4  # no room beside the other


def test_encoders_come_when_called_and_go_with_their_step() -> None:
    made = Residence({**SIZES, "text": 9}, Device())
    made.follow(["a", "a", "b"], 4)
    made.begin(0)
    made.call("text")
    made.call("a")
    made.end()
    assert made.present == ("a",)
    assert made.peak == 9
    made.follow(["a", "b"], 20)
    made.begin(0)
    made.call("text")
    made.call("a")
    assert made.present == ("a", "text")
    made.end()
    assert made.present == ()


def test_an_error_leaves_nothing_behind() -> None:
    device = Device(fails="b")
    made = Residence(SIZES, device)
    made.follow(["a", "b"], None)
    made.begin(0)
    made.call("a")
    with pytest.raises(MemoryError):
        made.call("b")
    assert made.present == ("a",)
    made.clear()
    assert device.held == set()
