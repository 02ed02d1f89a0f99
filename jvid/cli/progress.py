"""The progress bar of every command, on stderr: drawn where that is a terminal; elsewhere nothing, or a line a minute.

video 12/34 steps ━━━━━━━━━━━━━━ 0:01:02
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, Task

    from jvid.core.state import State
    from jvid.pipeline.make import Advance

__all__ = ["ProgressBar", "counting_bar", "progress_bar", "steps_bar"]


_EVERY = 60.0


class ProgressBar:
    """Rows of progress, one for each name."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._rows: dict[str, int] = {}
        self._last = time.monotonic()

    def update(
        self, done: float, total: float, description: str = "", *, row: str = "", figures: str = ""
    ) -> None:
        """Draw ``done`` of ``total`` in a row, between its description and its figures."""
        from rich.progress import TaskID

        if row not in self._rows:
            self._rows[row] = self._drawn.add_task(description, total=total, figures="")
        number = TaskID(self._rows[row])
        self._drawn.update(number, completed=done, total=total, description=description, figures=figures)

    def line(self, text: str) -> None:
        """Print a line on stderr where no bar is drawn."""
        if self._drawn.disable:
            self._drawn.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def minutely(self, text: str) -> None:
        """Print a line as `line` does, if a minute has passed since the last one or the beginning."""
        if time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self.line(text)


@contextmanager
def progress_bar(unit: str, *, remaining: bool = True, transient: bool = False) -> Iterator[ProgressBar]:
    """A bar within the block.

    Args:
        unit: what is counted, in the plural.
        remaining: whether to estimate the time that is left; figures may have it.
        transient: whether the bar goes at the end.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Count(ProgressColumn):
        """The description, and so many of so many, in whole numbers."""

        def render(self, task: Task) -> Text:
            words = f"{task.completed:.0f}/{task.total:.0f} {unit}"
            return Text.assemble((f"{task.description} ", "bold") if task.description else "", words)

    console = Console(stderr=True)
    columns = [Count(), BarColumn(bar_width=20), TextColumn("{task.fields[figures]}", markup=False)]
    left = [TimeRemainingColumn(compact=True)] if remaining else []
    with Progress(
        *columns, *left, console=console, disable=not console.is_terminal, transient=transient
    ) as drawn:
        yield ProgressBar(drawn)


@contextmanager
def counting_bar(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar that is called with what is done, how much there is, and what was last; where none is drawn, a line a minute."""
    with progress_bar(unit) as bar:

        def show(done: int, total: int, last: str) -> None:
            bar.update(done, total, last)
            bar.minutely(f"{done}/{total} {unit}")

        yield show


@contextmanager
def steps_bar() -> Iterator[Advance]:
    """A bar over the steps of all batches that names the expert at work."""
    with progress_bar("steps", transient=True) as bar:

        def advance(done: int, total: int, state: State) -> None:
            # The expert at work from here on; after a clip's last step that of the next clip's first.
            bar.update(done, total, (state.next or state.plan.steps[0]).expert)

        yield advance
