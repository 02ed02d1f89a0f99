"""Figures as a table: a row for each strategy, then the floors; value, interval and the best of each column.

"Best" is the best value; a strategy whose interval reaches it is marked as well, since they cannot be distinguished.
Floors (real clips, the codec) are no rivals and never marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from jvid_training.evaluation.figures import ARROWS, Figure, base_of, number
from jvid_training.report.content import ReportRow


@attrs.frozen
class TableCell:
    """A cell: ``mark`` is "best", "level" (its interval reaches the best) or ""."""

    value: str = "\N{EN DASH}"
    interval: str = ""
    mark: str = ""
    note: str = ""


@attrs.frozen
class TableLine:
    """A row of the table; the one before of another kind is ruled off."""

    name: str
    entries: tuple[TableCell, ...]
    floor: bool


@attrs.frozen
class Heading:
    """A column's name; ``better`` is "lower", "higher" or ""."""

    name: str
    better: str


@attrs.frozen
class FigureTable:
    """Headings and lines of the same width; ``notes`` are those of the figures, once each."""

    headings: tuple[Heading, ...]
    lines: tuple[TableLine, ...]
    notes: tuple[str, ...]


def figures_table(rows: Sequence[ReportRow], floors: Sequence[ReportRow]) -> FigureTable | None:
    """The table; None where no row has a figure.

    A column is of one base name, so that floors, which are of other numbers of clips, are below the figure that they
    belong to. Its heading is the strategies' full name where they have one in common.
    """
    every = [*rows, *floors]
    bases = list(dict.fromkeys(base_of(name) for row in every for name in row.figures))
    if not bases:
        return None
    columns = [_column(base, rows, floors) for base in bases]
    lines = [
        TableLine(row.name, tuple(entries[place] for _, entries in columns), place >= len(rows))
        for place, row in enumerate(every)
    ]
    notes = [
        note for place, (heading, _) in enumerate(columns) for note in _notes(heading.name, place, lines)
    ]
    return FigureTable(tuple(heading for heading, _ in columns), tuple(lines), tuple(notes))


def _notes(heading: str, place: int, lines: Sequence[TableLine]) -> list[str]:
    """The notes on the figures of a column, once each; of floors with their names, where no row has the same."""
    rows: dict[str, list[str]] = {}
    floors: dict[str, list[str]] = {}
    for line in lines:
        if not line.floor:
            rows.setdefault(line.entries[place].note, []).append(line.name)
    for line in lines:
        if line.floor and line.entries[place].note not in rows:
            floors.setdefault(line.entries[place].note, []).append(line.name)
    notes = [f"{heading}, {'; '.join(names)}: {note}" for note, names in floors.items() if note]
    own = {note: names for note, names in rows.items() if note}
    if len(own) > 1:  # one line, with whose each is
        each = "; ".join(f"{note} ({', '.join(names)})" for note, names in own.items())
        return [*notes, f"{heading}: {each}"]
    return notes + [f"{heading}: {note}" for note in own]


def _column(
    base: str, rows: Sequence[ReportRow], floors: Sequence[ReportRow]
) -> tuple[Heading, list[TableCell]]:
    found = [_figure(row, base) for row in (*rows, *floors)]
    own = [each for each in found[: len(rows)] if each is not None]
    full = {name for name, _ in own}
    heading = full.pop() if len(full) == 1 else base
    better = next((figure.better for each in found if each for figure in each[1:] if figure.better), None)
    rivals = [figure for _, figure in own]
    best = _best(rivals) if len(rivals) > 1 else None
    entries = [
        TableCell()
        if each is None
        else TableCell(
            number(each[1].value),
            _interval(each[1]),
            "" if best is None or place >= len(rows) else _mark(each[1], best),
            "; ".join(
                part for part in (each[0] if each[0] not in (heading, base) else "", each[1].note) if part
            ),
        )
        for place, each in enumerate(found)
    ]
    return Heading(heading, better or ""), entries


def _figure(row: ReportRow, base: str) -> tuple[str, Figure] | None:
    return next(((name, figure) for name, figure in row.figures.items() if base_of(name) == base), None)


def _best(figures: Sequence[Figure]) -> Figure | None:
    finite = [figure for figure in figures if math.isfinite(figure.value)]
    if not finite or finite[0].better not in ARROWS:
        return None
    return (min if finite[0].better == "lower" else max)(finite, key=lambda figure: figure.value)


def _mark(figure: Figure, best: Figure) -> str:
    if figure.value == best.value:
        return "best"
    if figure.low is None or figure.high is None:
        return ""
    return "level" if figure.low <= best.value <= figure.high else ""


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None or not (math.isfinite(figure.low + figure.high)):
        return ""
    return f"{number(figure.low)}\N{EN DASH}{number(figure.high)}"
