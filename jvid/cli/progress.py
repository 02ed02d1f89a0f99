"""The bar of a run on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jvid.pipeline.make import Advance

__all__ = ["step_bar"]


@contextmanager
def step_bar(total: int, expert: str) -> Iterator[Advance]:
    """A bar of ``total`` steps on stderr that names the expert of each, or nothing where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    name = TextColumn("[bold]{task.description:>8}")
    columns = (name, BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(expert, total=total)
        yield lambda following: bar.update(task, advance=1, description=following)
