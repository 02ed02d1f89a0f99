"""Tables of figures: markdown to read, JSON to compute with, each file whole or not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.files import whole_file, write_json
from jvid_training.evaluation.figures import base_of, number
from jvid_training.search.front import front
from jvid_training.search.scores import Scores

if TYPE_CHECKING:
    from jvid.strategy.strategy import Strategy

__all__ = ["Row", "markdown", "table_front", "write_table"]

SCORES = tuple(field.name for field in attrs.fields(Scores))
COLUMNS = ("clip", "frame", "flicker", "accuracy")
_LEGEND = (
    "In brackets: 95 % intervals over clips (of real clips in halves: the range). flicker ratio: to the real clips'. "
    "Network cost: of one clip, as a share of the {unit} model alone in 50 guided steps."
)


@attrs.frozen
class Row:
    """One line of a table; ``strategy`` None is of real clips."""

    label: str
    scores: Scores
    strategy: Strategy | None = None
    set: str = ""
    """Folder of its clips."""


def markdown(
    heading: Sequence[str],
    floors: Sequence[Row],
    rows: Sequence[Row],
    unit: str = "video",
    columns: Sequence[str] = (),
) -> str:
    """Heading lines, the floors as a list, the table; figures with their intervals.

    ``unit`` is the expert whose cost is 1; ``columns`` are base names of further figures.
    """
    names = {kind: _name(kind, rows) for kind in COLUMNS}
    shown = {base_of(name) for name in names.values()}
    names |= {base: _name(base, rows) for base in columns if base not in shown}
    kinds = [kind for kind, name in names.items() if name]
    lines = [*heading, ""]
    if floors:
        lines.append("Floors, of real clips:")
        lines += [f"- {row.label}: {_floor(row.scores, tuple(names))}" for row in floors]
        lines.append("")
    head = ["row", *(names[kind] for kind in kinds), "network cost"]
    lines += [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for row in rows:
        cost = "-" if row.scores.cost is None else f"{row.scores.cost:.3f}"
        lines.append(_line([row.label, *(_cell(row.scores, kind) for kind in kinds), cost]))
    return "\n".join([*lines, "", _LEGEND.format(unit=unit)]) + "\n"


def _floor(scores: Scores, kinds: Sequence[str]) -> str:
    found = {kind: name for kind in kinds if (name := scores.find(kind))}
    return ", ".join(f"{name} {_cell(scores, kind)}" for kind, (name, _) in found.items()) or "no figure"


def write_table(
    path: Path,
    heading: Sequence[str],
    floors: Sequence[Row],
    rows: Sequence[Row],
    unit: str = "video",
    columns: Sequence[str] = (),
    **more: Any,
) -> None:
    """Write ``path``.md and ``path``.json; ``columns`` as of ``markdown``, ``more`` goes into the JSON.

    Raises:
        InputError: a full disk.
    """
    values = {
        "format": 1,
        "heading": list(heading),
        "floors": [_plain(row) for row in floors],
        "rows": [_plain(row) for row in rows],
        "unit": unit,
        **more,
    }
    write_json(path.with_name(f"{path.name}.json"), values)
    with whole_file(path.with_name(f"{path.name}.md")) as part:
        part.write_text(markdown(heading, floors, rows, unit, columns), encoding="utf-8")


def table_front(table: Mapping[str, Any]) -> dict[str, Any]:
    """The strategies of a written table as ``plot_front`` takes them, numbered; the front is by clip, frame and cost.

    Rows without one of the three, such as a codec's, are left out.
    """
    kinds = ("clip", "frame", "cost")
    every = [(row, Scores.from_dict({name: row[name] for name in SCORES})) for row in table["rows"]]
    whole = [(row, values) for row, scores in every if not isnan(sum(values := scores.objectives(kinds)))]
    flags = front([values for _, values in whole])
    points = [
        {"number": number, "known": row["label"], "front": flag, **{name: row[name] for name in SCORES}}
        for number, ((row, _), flag) in enumerate(zip(whole, flags, strict=True), 1)
    ]
    kept = {name: table[name] for name in ("study", "num", "seed", "unit") if name in table}
    return {**kept, "points": points}


def _name(kind: str, rows: Sequence[Row]) -> str:
    """A column's heading: the figure's name, its base where rows are of different numbers of clips."""
    found = [name[0] for row in rows if (name := row.scores.find(kind))]
    if not found:
        return ""
    return found[0] if len(set(found)) == 1 else base_of(found[0])


def _cell(scores: Scores, kind: str) -> str:
    found = scores.find(kind)
    if found is None:
        return "-"
    value = found[1]
    if value.low is None or value.high is None or value.low == value.high:
        return number(value.value)
    return f"{number(value.value)} ({number(value.low)} to {number(value.high)})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _plain(row: Row) -> Mapping[str, Any]:
    strategy = None if row.strategy is None else row.strategy.to_dict()
    return {"label": row.label, "strategy": strategy, "set": row.set, **row.scores.to_dict()}
