"""From folders to a page's content; what studies and sets look like on disk is `studies`' and `sets`' business.

SET...      rows are the sets, with the figures that `jvid evaluate` wrote of them, if given
STUDY       rows are those of its tables, with their sets; its front, and its other tables
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from jvid.ensemble.ensemble import Ensemble
from jvid.ensemble.source import Source
from jvid.errors import InputError, JvidError
from jvid.pipeline.record import versions
from jvid_training.evaluation import figures as evaluations
from jvid_training.evaluation.figures import EvaluationResult
from jvid_training.generation.sets import ClipSet
from jvid_training.report import sets, studies
from jvid_training.report.commands import generate_command
from jvid_training.report.content import Content, Extra, Front, ReportRow
from jvid_training.report.sets import Named

_EXPECTED = "a set of jvid generate, or a study of jvid ablation or jvid sweep"


@attrs.frozen(eq=False)
class _Part:
    """What one folder, or all sets together, bring to a page."""

    rows: tuple[Named, ...] = ()
    floors: tuple[ReportRow, ...] = ()
    fronts: tuple[Front, ...] = ()
    extras: tuple[Extra, ...] = ()
    searched: bool = False


def read(
    paths: Sequence[Path],
    *,
    clips: int = 1,
    extremes: int = 3,
    figures: Sequence[Path] = (),
    title: str | None = None,
    command: str = "",
    only: Sequence[str] = (),
) -> Content:
    """The content of a page about the folders; ``command`` is what makes the page.

    ``clips`` of each prompt and row are shown, and ``extremes`` of each end where clips can be ranked; of the rows in ``only``
    if there are any: the figures and plans of all stay.

    Raises:
        InputError: a folder that is neither a set nor a study, sets that cannot be shown side by side, a damaged file, a row that
            is not there.
    """
    folders = list(dict.fromkeys(paths))
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"there is no folder {str(folder)!r}: expected {_EXPECTED}")
    alone = [folder for folder in folders if (folder / "set.json").is_file()]
    evaluated = [one for path in figures for one in evaluations.load(path)]
    ensembles = _Ensembles()
    parts = [_sets(alone, evaluated, ensembles)] if alone else []
    for folder in (folder for folder in folders if folder not in alone):
        if not studies.is_study(folder):
            raise InputError(
                f"{str(folder)!r} holds neither clips nor a study's tables: expected {_EXPECTED}"
            )
        parts.append(_study(folder, ensembles))
    if figures and not alone:
        raise InputError("--figures beside a study: it has figures of its own, leave them out")
    if (searches := sum(part.searched for part in parts)) > 1:
        raise InputError(f"{searches} studies with a search each: a page shows one, report them apart")
    rows = _unique([row for part in parts for row in part.rows])
    if unknown := [name for name in only if name not in {row.name for row in rows}]:
        raise InputError(f"row {unknown[0]!r}: expected one of {', '.join(row.name for row in rows)}")
    seen = [row for row in rows if not only or row.name in only]
    shown = sets.chosen(seen, clips)
    return Content(
        title or ", ".join(folder.resolve().name for folder in folders),
        tuple(sets.row(one, shown, extremes) if one in seen else sets.row(one, (), 0) for one in rows),
        fps=next((one.clips.fps for one in rows if one.clips), 1.0),
        floors=_distinct([floor for part in parts for floor in part.floors]),
        fronts=tuple(front for part in parts for front in part.fronts),
        extras=tuple(extra for part in parts for extra in part.extras),
        commands=(
            *(generate_command(one.clips, one.name) for one in rows if one.clips is not None),
            *([command] if command else []),
        ),
        versions=_versions(rows),
        notes=tuple(note for one in seen if (note := sets.missing(one))),
    )


class _Ensembles:
    """Ensembles by what they are loaded from, each loaded once; their networks are not."""

    def __init__(self) -> None:
        self._known: dict[Source, Ensemble | None] = {}

    def of(self, clips: ClipSet) -> Ensemble | None:
        """The ensemble that made a set; None where it is not here (any more)."""
        source = clips.spec.ensemble
        if source not in self._known:
            try:
                self._known[source] = source.load()
            except (JvidError, OSError):
                self._known[source] = None
        return self._known[source]


def _sets(folders: Sequence[Path], evaluated: Sequence[EvaluationResult], ensembles: _Ensembles) -> _Part:
    names = sets.names(folders)
    opened = [ClipSet.open(folder, name) for folder, name in zip(folders, names, strict=True)]
    by_clips = {one.fingerprints.get("source", ""): one for one in evaluated}
    found = {clips.name: by_clips.get(clips.fingerprint) for clips in opened if clips.complete}
    known = {name: one for name, one in found.items() if one is not None}
    if evaluated and not known:
        others = ", ".join(one.source for one in evaluated)
        raise InputError(f"--figures are of other clips ({others}): evaluate these sets, or leave them out")
    rows = [
        Named(
            clips.name,
            clips.spec.strategy,
            clips,
            known[clips.name].figures if clips.name in known else {},
            ensemble=ensembles.of(clips),
        )
        for clips in opened
    ]
    floors = {name: values for one in known.values() for name, values in one.floors.items()}
    return _Part(
        tuple(rows), tuple(ReportRow(_floor(name), figures=values) for name, values in floors.items())
    )


def _floor(name: str) -> str:
    return "real clips, in halves" if name == "real" else name


def _study(folder: Path, ensembles: _Ensembles) -> _Part:
    own, others = studies.joined(studies.tables(folder))
    # A table of the same strategy and clips may name it again.
    lines = {line.folder or (table.name, line.label): line for table in own for line in table.lines}
    rows = [_named(line, folder, own[0].seed, ensembles) for line in lines.values()]
    # A study is of one ensemble: rows whose clips are not here have that of the others.
    its = next((row.ensemble for row in rows if row.ensemble is not None), None)
    rows = [attrs.evolve(row, ensemble=row.ensemble or its) for row in rows]
    found = studies.front(folder, its)
    floors = [*(floor for table in own for floor in table.floors), *(found[1] if found and not own else ())]
    extras = [
        Extra(
            f"{table.kind}, {table.num} clips from seed {table.seed}", tuple(map(_row, table.lines)),
            tuple(map(_row, table.floors)),
        )
        for table in others
    ]  # fmt: skip
    searched = found[0] if found and found[0].points else None
    fronts = (studies.rows_front(own[0], list(lines.values()), its) if own else None, searched)
    return _Part(
        tuple(rows),
        tuple(map(_row, floors)),
        tuple(front for front in fronts if front),
        tuple(extras),
        searched is not None,
    )


def _row(line: studies.StudyRow) -> ReportRow:
    return ReportRow(line.label, line.strategy, figures=line.figures)


def _named(line: studies.StudyRow, study: Path, seed: int, ensembles: _Ensembles) -> Named:
    clips = None if line.folder is None else ClipSet.open(line.folder, line.label)
    if clips is not None and clips.spec.seed != seed:
        raise InputError(
            f"{line.folder} has clips from seed {clips.spec.seed}, its table from {seed}: run it again"
        )
    # A set may have grown since, for another table: the figures are of its first clips.
    if clips is not None and len(clips) > line.clips:
        clips = attrs.evolve(clips, spec=attrs.evolve(clips.spec, num=line.clips))
    made = None if clips is None else ensembles.of(clips)
    return Named(line.label, line.strategy, clips, line.figures, study / "features", made)


def _unique(rows: Sequence[Named]) -> list[Named]:
    """Rows of several folders may have one name: the later ones are numbered."""
    seen: dict[str, int] = {}
    found = []
    for row in rows:
        seen[row.name] = seen.get(row.name, 0) + 1
        found.append(row if seen[row.name] == 1 else attrs.evolve(row, name=f"{row.name} ({seen[row.name]})"))
    return found


def _distinct(floors: Sequence[ReportRow]) -> tuple[ReportRow, ...]:
    return tuple({floor.name: floor for floor in floors}.values())


def _versions(rows: Sequence[Named]) -> dict[str, str]:
    """Of the sets, all in one where they differ; and this page's maker's, where that is another."""
    found: dict[str, dict[str, None]] = {}
    for clips in (one.clips for one in rows if one.clips is not None):
        for name, version in clips.spec.versions.items():
            found.setdefault(name, {})[version] = None
    joined = {name: " and ".join(each) for name, each in found.items()}
    now = versions()["jvid"]
    return joined if joined.get("jvid") == now else {**joined, "jvid of this page": now}
