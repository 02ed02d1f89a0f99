"""Other interpreters answer with what a step holds, and import torch where its schedule is used alone."""

from __future__ import annotations

from jvid.schedules import FlowMatching
from jvid.testing.interpreters import answers
from jvid.testing.solving import path
from tests.jvid.testing.salted import Loaded


def test_a_schedule_is_there_where_a_selector_uses_it() -> None:
    step, other = path(FlowMatching(3.0), [0.8, 0.5, 0.0])
    seed = 3  # of an interpreter that no other test has
    assert answers(seed, Loaded(), [(step, 0.1)]) == [{"torch": 0.0}]
    found = answers(seed, Loaded(), [(step, 0.9), (other, 0.9)])
    assert [each["sigma"] for each in found] == [step.start.sigma, other.start.sigma]
    assert found[-1]["torch"] == 1.0
