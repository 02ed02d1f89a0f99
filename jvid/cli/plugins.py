"""``jvid plugins``: the installed plugins and what each registers; broken ones with their reason."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from jvid.plugins.discovery import Plugin

__all__ = ["plugins"]


def plugins() -> None:
    """List the installed plugins with what each registers, and those that are broken with the reason.

    A broken plugin is left out and changes nothing for the others; JVID_STRICT_PLUGINS=1 makes it an error.
    """
    from jvid.errors import PluginWarning
    from jvid.plugins.registry import current

    registry = current()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # listed below
        rows = [(plugin.name, plugin.distribution, _registers(plugin)) for plugin in registry.plugins]
    for failure in registry.failures:
        rows.append((failure.plugin, failure.distribution, f"BROKEN at {failure.stage}: {failure.reason}"))
    for name in registry.left_out:
        rows.append((name, "-", "left out by JVID_PLUGINS"))
    if not rows:
        typer.echo("no plugins")
    widths = [max(len(row[column]) for row in rows) if rows else 0 for column in (0, 1)]
    for name, distribution, text in rows:
        typer.echo(f"{name:{widths[0]}}  {distribution:{widths[1]}}  {text}")


def _registers(plugin: Plugin) -> str:
    """``solver 3, grid 2``; a plugin that implements ``jvid_resolve`` has names on demand."""
    from jvid.plugins.registry import KINDS

    kinds = [component.kind for component in plugin.components]
    counts = [f"{kind} {kinds.count(kind)}" for kind in KINDS if kind in kinds]
    if plugin.resolves:
        counts.append("names on demand")
    return ", ".join(counts) or "nothing"
