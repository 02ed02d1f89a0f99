"""How far a reader walks from ``jvid sample`` to the first step: ``python -m benchmarks.moves [ARGUMENTS OF sample]``.

The command runs in this process under ``sys.setprofile`` and is stopped at the first call of the solver's ``step``. Only calls
and returns of Python code in files of ``jvid``, ``jvid_models`` and ``jvid_training`` count; bodies of modules and classes do,
as they run when a file is imported for the first time. Code that has no file, such as what attrs generates, does not.

    move   an event (call or return) in another file than the event before it
    back   a move to a file that an earlier event was in; the others reach a file for the first time

So moves = back + files. At commit ad93fff: 638 moves, 533 of them back, 105 files, 506 at a call and 132 at a return;
with ensembles and strategies of registry choices: 628 moves, 485 of them back, 143 files; with files of at most 400 lines, and
settings of offloading and inputs: 775 moves, 598 of them back, 177 files, since a first visit of each file is a move. A count
by somebody else, whose rule is not known in full, was 603 moves, 543 of them returns.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

from jvid.cli import main

__all__ = ["Moves", "traced"]

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = tuple(f"{ROOT / name}{os.sep}" for name in ("jvid", "jvid_models", "jvid_training"))
SOLVERS = f"{ROOT / 'jvid' / 'solvers'}{os.sep}"


@attrs.define
class Moves:
    """Counts of moves between files."""

    calls: int = 0
    returns: int = 0
    back: int = 0
    files: dict[str, int] = attrs.field(factory=dict)
    """Moves into each file, in the order of the first."""
    _last: str | None = None

    @property
    def total(self) -> int:
        """All moves."""
        return self.calls + self.returns

    def add(self, event: str, file: str) -> None:
        """Count an event, "call" or "return", in a file."""
        if file == self._last:
            return
        self._last = file
        self.back += file in self.files
        self.files[file] = self.files.get(file, 0) + 1
        if event == "call":
            self.calls += 1
        else:
            self.returns += 1

    def __str__(self) -> str:
        return (
            f"{self.total} moves, {self.back} of them back, {len(self.files)} files; "
            f"{self.calls} at a call, {self.returns} at a return"
        )


class _Stopped(BaseException):
    """The first step begins; no handler of errors may take it for one."""


def traced(words: Sequence[str]) -> Moves:
    """The moves of ``jvid`` with these arguments until the solver's first step.

    Raises:
        RuntimeError: the command ended without a step.
    """
    found = Moves()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event not in ("call", "return") or not file.startswith(PACKAGES):
            return
        found.add(event, file)
        if event == "call" and frame.f_code.co_name == "step" and file.startswith(SOLVERS):
            sys.setprofile(None)
            raise _Stopped

    sys.setprofile(profile)
    try:
        main(words)
    except _Stopped:
        return found
    finally:
        sys.setprofile(None)
    raise RuntimeError(f"jvid {' '.join(words)} took no step")


def _report() -> None:
    with tempfile.TemporaryDirectory() as folder:
        given = sys.argv[1:] or ["a person waving two hands", "-o", f"{folder}/clip.safetensors"]
        found = traced(["sample", *given])
    print(found)
    for file, count in found.files.items():
        print(f"{count:5d}  {Path(file).relative_to(ROOT)}")


if __name__ == "__main__":
    _report()
