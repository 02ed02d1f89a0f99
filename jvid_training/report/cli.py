"""``jvid report``: folders in, one page out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from jvid.cli.groups import expanded
from jvid.cli.summary import AsJson, print_json
from jvid.extras import extra

if TYPE_CHECKING:
    from jvid_training.report.content import Content

__all__ = ["report"]

_LARGE = 10e6


@extra("training")
@expanded
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="STUDY|SET...", help="A study's folder, or sets of clips that jvid generate made."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page: a file ending in .html.")],
    clips: Annotated[
        int, typer.Option(min=1, help="Clips of each prompt and strategy that are shown: the first seeds.")
    ] = 1,
    extremes: Annotated[
        int,
        typer.Option(min=0, help="Clips of each end of a study's rows, by agreement of frames; 0 for none."),
    ] = 3,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--rows", metavar="LABEL", help="Show the clips of this row alone; may be repeated. Figures stay."
        ),
    ] = None,
    figures: Annotated[
        list[Path] | None,
        typer.Option(
            "--figures", metavar="FILE", help="File of figures of jvid evaluate, for sets; may be repeated."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the page (default: the folders' names).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Strategies side by side on one page of HTML: clips, plans, figures with intervals, and the front.

    The page is one file that opens from the disk and requests nothing from elsewhere.
    """
    from jvid.files import check_apart, check_file
    from jvid_training.report.inputs import read
    from jvid_training.report.page import counted, write_page

    out = check_file(out, (".html",))
    check_apart([out], [*folders, *(figures or ())])
    words = ["jvid", "report", *map(str, folders), "--out", str(out), "--clips", str(clips)]
    words += [
        "--extremes",
        str(extremes),
        *(word for file in figures or () for word in ("--figures", str(file))),
    ]
    words += [word for label in rows or () for word in ("--rows", label)]
    words += [] if title is None else ["--title", title]
    content = read(
        folders, clips=clips, extremes=extremes, figures=figures or (), title=title, command=shlex.join(words),
        only=rows or (),
    )  # fmt: skip
    size = write_page(out, content)
    for note in content.notes:
        typer.echo(note, err=True)
    if as_json:
        print_json(_summary(content, out, size))
        return
    hint = "; fewer --clips, --extremes or --rows make it smaller" if size > _LARGE else ""
    typer.echo(f"{out}: {counted(content)}, {size / 1e6:.1f} MB{hint}")


def _summary(content: Content, out: Path, size: int) -> dict[str, Any]:
    """The page as values: its strategies with their figures, what is on its fronts, and the commands."""
    return {
        "file": str(out),
        "bytes": size,
        "title": content.title,
        "strategies": [
            {
                "name": row.name,
                "strategy": None if row.strategy is None else row.strategy.to_dict(),
                "clips": len(row.clips),
                "figures": {name: attrs.asdict(figure) for name, figure in row.figures.items()},
            }
            for row in content.rows
        ],
        "floors": [
            {
                "name": row.name,
                "figures": {name: attrs.asdict(figure) for name, figure in row.figures.items()},
            }
            for row in content.floors
        ],
        "fronts": [
            {
                "title": front.title,
                "objectives": [objective.name for objective in front.objectives],
                "points": [
                    {"name": point.name, "values": list(point.values), "front": point.front}
                    for point in front.points
                ],
            }
            for front in content.fronts
        ],
        "commands": list(content.commands),
        "notes": list(content.notes),
    }
