"""The reproducing line of a report fails again where it is pasted: of a sample of the mutants.

``python -m tests.mutants.reproduce`` runs those of all.
"""

from __future__ import annotations

import pytest

from jvid.testing import conforms
from jvid.testing.checking import KINDS
from tests.mutants import mutants_of
from tests.mutants.reproduce import unreproduced

EVERY = {"schedule": 4, "solver": 20, "sampler": 8, "wrapper": 14, "plugin": 5}
"""One of so many mutants is tried, by kind."""
EXAMPLES = {"schedule": 12}
"""Examples that a check gets, by kind; six elsewhere."""
NAMED = {
    ("schedule", "always_double"), ("selector", "later_by_a_step"), ("selector", "open_end"), ("noise", "single_precision"),
}  # fmt: skip
"""Whose examples hold a dtype, a schedule or a step."""


@pytest.mark.parametrize("kind", KINDS)
def test_reproducing_lines_paste(kind):
    mutants = mutants_of(kind)
    sample = [one for one in mutants[1 :: EVERY.get(kind, 10)]] + [
        m for m in mutants if (kind, m.name) in NAMED
    ]
    assert sample
    failed = {one.name: why for one in sample if (why := unreproduced(one, EXAMPLES.get(kind, 6)))}
    assert not failed


class Remembers:
    """The second clip that it sees is the first again."""

    def __init__(self):
        self.seen = None

    def __call__(self, x):
        if self.seen is not None and self.seen.shape == x.shape:
            return self.seen.to(x.dtype)
        self.seen = x.clone()
        return x


def test_what_fails_by_earlier_examples_is_run_with_them():
    context = {"frames": 2, "sides": 3, "batch": 1, "channels": 1, "examples": 7, "only": "one_frame_stays"}
    outcome = conforms("postprocessor", Remembers(), **context)["one_frame_stays"]
    assert outcome.status == "failed"
    assert "at=" not in outcome.reproduce
    assert "examples=7" in outcome.reproduce
    again = eval(outcome.reproduce, {"conforms": conforms, "subject": Remembers()})
    assert again["one_frame_stays"].status == "failed"
