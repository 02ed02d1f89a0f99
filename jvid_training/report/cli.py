"""``jvid report``: folders in, one page out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from jvid.extras import extra

__all__ = ["report"]

_LARGE = 10e6


@extra("training")
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
        typer.Option("--figures", metavar="FILE", help="Of jvid evaluate, for sets; may be repeated."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page (default: the folders' names).")] = None,
) -> None:
    """Strategies side by side on one page of HTML: clips, plans, figures with intervals, and the front.

    The page is one file that opens from the disk and asks nothing of any other place.
    """
    from jvid.files import check_file
    from jvid_training.report.inputs import read
    from jvid_training.report.page import write_page

    out = check_file(out, (".html",))
    words = ["jvid", "report", *map(str, folders), "--out", str(out), "--clips", str(clips)]
    words += [
        "--extremes",
        str(extremes),
        *(word for file in figures or () for word in ("--figures", str(file))),
    ]
    words += [word for label in rows or () for word in ("--rows", label)]
    content = read(
        folders, clips=clips, extremes=extremes, figures=figures or (), title=title, said=shlex.join(words),
        only=rows or (),
    )  # fmt: skip
    size = write_page(out, content)
    for note in content.notes:
        typer.echo(note, err=True)
    hint = "; fewer --clips, --extremes or --rows make it smaller" if size > _LARGE else ""
    typer.echo(f"{out}: {len(content.rows)} strategies, {size / 1e6:.1f} MB{hint}")
