"""The summary of a command on stdout: lines for people, or one JSON object for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from jvid.pipeline.make import Made
    from jvid.pipeline.record import Record

__all__ = ["AsJson", "json_alone", "print_json", "print_summary"]

AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]


_SUMMARY: ContextVar[TextIO | None] = ContextVar("jvid_summary", default=None)


@contextmanager
def json_alone(as_json: bool) -> Iterator[None]:
    """Within the block stdout is for ``print_json`` alone: what components print goes to stderr."""
    if not as_json:
        yield
        return
    token = _SUMMARY.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _SUMMARY.reset(token)


def print_json(values: Any) -> None:
    """One JSON object on stdout, in a line; numbers that are not finite, which JSON does not have, are null."""
    typer.echo(json.dumps(_finite(values), ensure_ascii=False, allow_nan=False), file=_SUMMARY.get())


def _finite(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def print_summary(record: Record, made: Made, decoding: float, files: Sequence[Path], as_json: bool) -> None:
    """The cost of the clips by expert, their seeds and files."""
    if as_json:
        print_json(
            {
                "files": [str(path) for path in files],
                "clips": [{"prompt": clip.prompt, "seed": clip.seed} for clip in record.clips],
                "calls": dict(made.calls),
                "seconds": {name: round(seconds, 6) for name, seconds in made.seconds.items()},
                "decoding": round(decoding, 6),
                "frames": record.frames,
                "batches": [len(batch.clips) for batch in made.batches],
                "ensemble": record.ensemble.to_plain(),
                "strategy": record.strategy.to_dict(),
            }
        )
        return
    lines = [f"{name:>8}  {made.calls[name]:4d} calls  {made.seconds[name]:7.2f} s" for name in made.calls]
    if decoding:
        lines.append(f"{'decoder':>8}  {'':10}  {decoding:7.2f} s")
    seeds = sorted({clip.seed for clip in record.clips})
    shown = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    many = f"{len(record.clips)} clips, seeds" if len(record.clips) > 1 else "seed"
    drawn = (
        f"plan seed {record.strategy.plan_seed}"
        if record.plan is None
        else f"replayed plan of seed {record.plan.seed}"
    )
    most = max(len(batch.clips) for batch in made.batches)
    lines.append(f"{many} {shown}, {drawn}" + (f", {most} at once" if most > 1 else ""))
    typer.echo("\n".join([*lines, *map(str, files)]))
