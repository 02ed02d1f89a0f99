"""What a run logs: its curve, ``log.jsonl`` and the trackers of accelerate.

The curve is also in each checkpoint, so that a resumed run has it whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator

from jvid.errors import InputError
from jvid.files import whole_file
from jvid.refusals import refused
from jvid_training.train.progress import Progress
from jvid_training.train.trackers import log_values, start_trackers

__all__ = ["LOG", "Journal"]

LOG = "log.jsonl"


class Journal:
    """The log of a run in ``out``; the main process writes."""

    def __init__(self, out: Path, accelerator: Accelerator, show: Callable[[Progress], None]) -> None:
        self._out, self._accelerator, self._show = out, accelerator, show
        self.curve: list[dict[str, float]] = []

    def begin(self, name: str, step: int) -> None:
        """Start the trackers; what was logged after ``step``, which the run goes on from, is taken out."""
        start_trackers(self._accelerator, name, step)
        path = self._out / LOG
        if self._accelerator.is_main_process and path.exists():
            with whole_file(path) as part:
                part.write_text("".join(map(_line, self.curve)), encoding="utf-8")

    def log(self, progress: Progress, minutes: float) -> None:
        """Log a step."""
        values = progress.values
        with _one_line(self._out):
            log_values(self._accelerator, values, progress.step)
        self.curve.append({"step": progress.step, "minutes": round(minutes, 3), **values})
        if self._accelerator.is_main_process:
            with _one_line(self._out), (self._out / LOG).open("a", encoding="utf-8") as file:
                file.write(_line(self.curve[-1]))
            self._show(progress)


def _line(entry: dict[str, float]) -> str:
    return json.dumps(entry) + "\n"


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """A log that cannot be written, as with a full disk, as an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {refused(error)}; free the space, the same command goes on from the last checkpoint"
        ) from error
