"""The group of commands: jvid's own, and those of the registry's kind ``command``.

A contributed command is listed by what was registered; its module is imported when it is invoked.
Its target is a function in typer's style, a ``typer.Typer`` or a command object. jvid's own names
win; where several plugins have a name, each is listed as ``plugin/name``.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jvid import __version__
from jvid.cli.paths import Command
from jvid.errors import PluginError
from jvid.plugins.registrar import Component
from jvid.plugins.registry import current

__all__ = ["command"]


class _Contributed(TyperCommand):
    """Placeholder for a plugin's command until it is invoked."""

    def __init__(self, name: str, component: Component) -> None:
        super().__init__(name, help=component.help or f"From {component.distribution}.")
        self._component = component

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, which is imported now."""
        return self._load(str(info_name)).make_context(info_name, args, parent=parent, **extra)

    def _load(self, name: str) -> Any:
        target: Any = _target(self._component)
        if isinstance(target, typer.Typer):
            return typer.main.get_command(target)
        if hasattr(target, "make_context"):
            return target
        app = typer.Typer(add_completion=False)
        app.command(name, cls=Command)(target)
        return typer.main.get_command(app)


def _target(component: Component) -> Any:
    target = component.factory()
    if not (
        isinstance(target, typer.Typer) or hasattr(target, "make_context") or hasattr(target, "__code__")
    ):
        raise PluginError(f"{component} is a {type(target).__name__}: expected a function or a typer.Typer")
    return target


class _Group(TyperGroup):
    """jvid's own commands and, after them, the contributed ones."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self._contributed()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        component = self._contributed().get(cmd_name)
        return None if component is None else _Contributed(cmd_name, component)

    def _contributed(self) -> dict[str, Component]:
        registry = current()
        named = zip(registry.names("command"), registry.components("command"), strict=True)
        return {c.qualified if name in self.commands else name: c for name, c in named}


def _version(value: bool) -> None:
    if value:
        typer.echo(f"jvid {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Diffusion models of one latent space take turns inside one reverse diffusion."""


@cache
def command() -> Any:
    """The command object of ``jvid``; contributed commands are looked up at each use."""
    from jvid.cli.check import check
    from jvid.cli.compare import compare
    from jvid.cli.names import names
    from jvid.cli.plan import plan
    from jvid.cli.plugins import plugins
    from jvid.cli.sample import sample
    from jvid.cli.show import show

    app = typer.Typer(cls=_Group, add_completion=False)
    app.callback()(_root)
    for function in (sample, compare, plan, names, show, check, plugins):
        app.command(cls=Command, help=_unwrapped(function.__doc__))(function)
    return typer.main.get_command(app)


def _unwrapped(text: str | None) -> str:
    """A docstring whose paragraphs are one line each: the terminal wraps them."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))
