"""What the comparison of a killed run with one that was left alone finds."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.kills import BATCH, KillsError, Life, compare, worlds_of

STEPS = 4


def life(folder: Path, first: int, last: int, change: Any = None) -> Life:
    """One process that consumed the samples of some steps; ``change`` is made to its notes."""
    folder.mkdir()
    lines: list[dict[str, Any]] = [{"begin": first}]
    for step in range(first, last):
        lines += [{"step": step, "place": place, "sums": [100 * step + place]} for place in range(BATCH)]
        lines.append({"done": step})
    if change is not None:
        change(lines)
    (folder / "0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Life(folder, 1)


def test_a_run_that_goes_on_where_it_was_is_the_whole(tmp_path: Path) -> None:
    whole = life(tmp_path / "whole", 0, STEPS)
    lives = [
        life(tmp_path / "one", 0, 3),
        life(tmp_path / "two", 2, STEPS),
    ]  # step 2 was made again, from its checkpoint
    assert compare(lives, whole, STEPS) == STEPS * BATCH


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines.append(lines[1]), "step 0: consumed"),
        (lambda lines: lines.pop(2), "step 0: consumed"),
        (lambda lines: lines[1].update(sums=[7]), "step 0: consumed"),
        (lambda lines: lines[0].update(begin=1), "a life began at step 1, expected 0"),
        (lambda lines: lines.remove({"done": 1}), "steps 0 to 2 were not all made"),
    ],
    ids=["repeated", "missed", "changed", "skipped", "unfinished"],
)
def test_what_is_repeated_missed_or_changed_fails(change: Any, words: str, tmp_path: Path) -> None:
    whole = life(tmp_path / "whole", 0, STEPS)
    lives = [life(tmp_path / "one", 0, 3, change), life(tmp_path / "two", 2, STEPS)]
    with pytest.raises(KillsError, match=words):
        compare(lives, whole, STEPS)


def test_the_number_of_processes_changes_as_often_as_stated() -> None:
    worlds = worlds_of(25, 10, Random(0))
    assert len(worlds) == 26
    assert set(worlds) == {1, 2}
    assert sum(one != other for one, other in itertools.pairwise(worlds)) == 10
