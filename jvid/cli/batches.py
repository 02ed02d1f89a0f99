"""The options that choose which clips of a run are computed together."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Batch", "Memory"]

Batch = Annotated[
    str | None,
    typer.Option("--batch", metavar="N|auto", help="Clips computed at once; auto: as many as fit in --memory (default)."),
]  # fmt: skip
Memory = Annotated[
    str | None,
    typer.Option("--memory", metavar="2GB|.5", help="Bound for the process, or share of what is free (default: .5)."),
]  # fmt: skip
