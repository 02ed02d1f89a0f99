"""A short run of a fixed seed; `python -m tests.fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.cases import Cases

COUNT = 40


def test_bad_input_is_one_line_and_does_nothing_else(tmp_path: Path) -> None:
    faults = []
    # Memory is not bounded here: other tests of the process may have taken address space that they give back.
    with Cases(tmp_path, seed=20, seconds=None, bound=False, trained=False) as cases:
        for number in range(COUNT):
            faults += [
                f"case {number}: jvid {' '.join(outcome.words)!r}: {cases.described[:400]}\n{outcome.fault}"
                for outcome in cases.run(number)
                if outcome.fault
            ]
    assert not faults, "\n\n".join(faults)
