"""``jvid names [KIND]``: what can be loaded, without loading it."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["names"]


def names(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Such as selector; all kinds without.")
    ] = None,
) -> None:
    """List the kinds of components and their names."""
    from jvid.plugins.registry import KINDS, current

    registry = current()
    for each in KINDS if kind is None else (kind,):
        listed = list(zip(registry.names(each), registry.components(each), strict=True))
        if kind is None:
            typer.echo(f"{each:14}{', '.join(name for name, _ in listed) or '-'}")
            continue
        width = max((len(name) for name, _ in listed), default=0)
        for name, component in listed:
            note = f"  {component.help}" if component.help else ""
            typer.echo(f"{name:{width}}  {component.plugin} ({component.distribution}){note}")
