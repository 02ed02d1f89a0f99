"""The progress bar of a run, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jvid.core.state import State
    from jvid.pipeline.make import Advance

__all__ = ["steps_bar"]


@contextmanager
def steps_bar() -> Iterator[Advance]:
    """A bar over the steps of all batches that names the expert at work, or nothing where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    name = TextColumn("[bold]{task.description:>8}")
    columns = (name, BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)

        def advance(done: int, total: int, state: State) -> None:
            # The expert at work from here on; after a clip's last step that of the next clip's first.
            following = (state.next or state.plan.steps[0]).expert
            bar.update(task, completed=done, total=total, description=following)

        yield advance
