"""A study's folder: its tables of rows with sets and figures, and its front.

    STUDY/<name>-<num>-clips-seed-<seed>.json     of `jvid_training.search.tables`
    STUDY/front.json                              of `jvid_training.search.sweep`
    STUDY/sets/<key>/                             the clips of rows
    STUDY/features/<network>/<set>/               what networks saw in them

The page's own table is the one that counts most: confirmed on seeds that no search saw, before the ablation, before grids; of
more clips before fewer. Tables of the same clips (number and seeds) join it; the others follow it, without clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from jvid.ensemble.ensemble import Ensemble
from jvid.errors import InputError
from jvid.files import read_json
from jvid.strategy.strategy import Strategy
from jvid_training.evaluation.figures import Figure
from jvid_training.report.content import Front, Point, ReportObjective
from jvid_training.report.words import one_line
from jvid_training.search.front import front as front_of
from jvid_training.search.objectives import SHORT
from jvid_training.search.scores import PREFIXES, Scores

T = TypeVar("T")
_FIRST = ("confirmed", "ablation")
_AXES = (PREFIXES["clip"], PREFIXES["frame"], "network cost")
_TABLES = "*-clips-seed-*.json"


@attrs.frozen
class StudyRow:
    """A row of a table; ``folder`` holds its clips, None where there are none here; ``strategy`` None is of real clips."""

    label: str
    strategy: Strategy | None
    figures: Mapping[str, Figure]
    clips: int
    folder: Path | None


@attrs.frozen
class StudyTable:
    """``name`` is its file's; ``kind`` "ablation", "confirmed" or "grid-...", all of ``num`` clips from ``seed``."""

    name: str
    kind: str
    num: int
    seed: int
    lines: tuple[StudyRow, ...]
    floors: tuple[StudyRow, ...]


def is_study(folder: Path) -> bool:
    """Whether the folder has a table or a front."""
    return (folder / "front.json").is_file() or any(folder.glob(_TABLES))


def tables(folder: Path) -> list[StudyTable]:
    """The study's tables, the page's own first.

    Raises:
        InputError: a file that is damaged.
    """
    found = [
        _read(path, lambda values, path=path: _table(path, values))  # type: ignore[misc]
        for path in sorted(folder.glob(_TABLES))
    ]
    places = {kind: place for place, kind in enumerate(_FIRST)}
    return sorted(
        found, key=lambda table: (places.get(table.kind, len(_FIRST)), -table.num, -table.seed, table.name)
    )


def front(folder: Path, ensemble: Ensemble | None = None) -> tuple[Front, tuple[StudyRow, ...]] | None:
    """The front of a sweep, and its floors; None before any sweep.

    ``ensemble`` is the study's, whose default wrappers are described.

    Raises:
        InputError: a file that is damaged.
    """
    path = folder / "front.json"
    return _read(path, partial(_front, ensemble=ensemble)) if path.is_file() else None


def _read(path: Path, of: Callable[[dict[str, Any]], T]) -> T:
    def checked(values: dict[str, Any]) -> T:
        if values["format"] != 1:
            raise InputError(f"it is of format {values['format']!r}: expected 1; update jvid")
        return of(values)

    found: T = read_json(
        path, "what a study wrote", "delete it, jvid ablation or jvid sweep writes it again", checked
    )
    return found


def _table(path: Path, values: Mapping[str, Any]) -> StudyTable:
    unit = _unit(values)
    kind = path.name.removesuffix(f"-{values['num']}-clips-seed-{values['seed']}.json")
    lines, floors = (
        tuple(
            _line(row, path.parent, unit)
            for row in values[part]
            if part == "floors" or row["strategy"] is not None
        )
        for part in ("rows", "floors")
    )
    # Rows that no strategy makes (codecs) are floors, which may be listed twice.
    codecs = [_line(row, path.parent, unit) for row in values["rows"] if row["strategy"] is None]
    labels = {line.label for line in floors}
    floors += tuple(line for line in codecs if line.label not in labels)
    return StudyTable(path.stem, kind, int(values["num"]), int(values["seed"]), lines, floors)


def _unit(values: Mapping[str, Any]) -> str:
    """The expert whose 50 guided steps cost 1; files of version 0.1 do not state it."""
    return str(values.get("unit", "video"))


def _line(row: Mapping[str, Any], folder: Path, unit: str) -> StudyRow:
    strategy = None if row["strategy"] is None else Strategy.from_dict(row["strategy"])
    return StudyRow(
        str(row["label"]), strategy, figures_of(row, unit), int(row["clips"]), _home(row["set"], folder)
    )


def _home(made: str, folder: Path) -> Path | None:
    """Where a set is: in the study's folder wherever that lies now, or where it was made."""
    if not made:
        return None
    places = (folder / "sets" / Path(made).name, Path(made))
    return next((place for place in places if (place / "set.json").is_file()), None)


def figures_of(values: Mapping[str, Any], unit: str) -> dict[str, Figure]:
    """A row's or a point's figures, with its cost as the last; 50 guided steps of the expert ``unit`` cost 1."""
    scores = Scores.from_dict(values)
    if scores.cost is None:
        return dict(scores.figures)
    note = f"of one clip, as a share of the {unit} model alone in 50 guided steps"
    return {**scores.figures, "network cost": Figure(scores.cost, better="lower", note=note)}


def _front(values: Mapping[str, Any], ensemble: Ensemble | None) -> tuple[Front, tuple[StudyRow, ...]]:
    kinds = [str(objective["name"]) for objective in values["objectives"]]
    labels = [objective.get("label") for objective in values["objectives"]]
    better = [str(objective["better"]) for objective in values["objectives"]]
    if not set(better) <= {"lower", "higher"}:
        raise ValueError(f"objectives that are better {better}")
    first = Scores.from_dict(values["points"][0]) if values["points"] else None
    objectives = tuple(
        ReportObjective(str(label or _named(kind, first)), way)
        for kind, label, way in zip(kinds, labels, better, strict=True)
    )
    floors = (
        StudyRow(
            "real clips, in halves",
            None,
            figures_of(values["real"], _unit(values)),
            int(values["real"]["clips"]),
            None,
        ),
    )
    title = f"the search, {values['num']} clips from seed {values['seed']}"
    return Front(
        objectives, tuple(_point(point, len(kinds), ensemble) for point in values["points"]), title
    ), floors


def rows_front(own: StudyTable, lines: Sequence[StudyRow], ensemble: Ensemble | None = None) -> Front | None:
    """The page's own rows by clip figure, frame figure and cost; None of fewer than two that have all three."""
    found = []
    for line in lines:
        names = [next((name for name in line.figures if name.startswith(kind)), "") for kind in _AXES]
        if line.strategy is not None and all(names):
            found.append((line, names, tuple(line.figures[name].value for name in names)))
    if len(found) < 2:
        return None
    flags = front_of([values for _, _, values in found])
    points = [
        Point(line.label, values, flag, one_line(line.strategy, ensemble))
        for (line, _, values), flag in zip(found, flags, strict=True)
        if line.strategy is not None
    ]
    title = f"the strategies of this page, {own.num} clips from seed {own.seed}"
    return Front(tuple(map(ReportObjective, found[0][1])), tuple(points), title)


def _point(point: Mapping[str, Any], count: int, ensemble: Ensemble | None) -> Point:
    values = tuple(float(value) for value in point["values"])
    if len(values) != count:
        raise ValueError(f"{len(values)} values for {count} objectives")
    number = f"trial {int(point['number'])}"
    name = f"{point['known']} ({number})" if point["known"] else number
    return Point(
        name, values, bool(point["front"]), one_line(Strategy.from_dict(point["strategy"]), ensemble)
    )


def _named(kind: str, scores: Scores | None) -> str:
    """An objective of version 0.1, which wrote no label, by the figure that it is read from."""
    objective = SHORT[kind]
    found = None if scores is None or not objective.figure else scores.found(objective)
    return objective.label(None if found is None else found[0])


def joined(every: Sequence[StudyTable]) -> tuple[list[StudyTable], list[StudyTable]]:
    """The page's own table with those of the same clips, and the others; grids are never joined."""
    if not every:
        return [], []
    own = every[0]
    same = [
        table
        for table in every
        if table is own or (table.kind in _FIRST and (table.num, table.seed) == (own.num, own.seed))
    ]
    return same, [table for table in every if table not in same]
