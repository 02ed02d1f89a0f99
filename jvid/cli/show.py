"""``jvid show KIND NAME``: one component's options, documentation and origin.

Its module is imported. Nothing is built but the ensemble of a folder, whose networks stay unloaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jvid.ensemble import Ensemble
    from jvid.plugins.registrar import Component
    from jvid.plugins.registry import Registry

__all__ = ["show"]


def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Such as solver; see jvid names.")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the component, bare or as plugin/name.")
    ],
) -> None:
    """Show one component: where it comes from, its options with types and defaults, its documentation.

    Of an ensemble's folder also its experts, prompts and strategy.
    """
    from jvid.plugins.registry import current

    registry = current()
    component = registry.find(kind, name)
    factory = component.factory()
    rows = [
        ("from", f"plugin {component.plugin} of {component.distribution}"),
        ("source", _source(component, factory)),
        ("names", ", ".join(_names(registry, component))),
    ]
    if component.help:
        rows.append(("help", component.help))
    if kind == "ensemble" and Path(name).is_dir():
        rows += _contents(factory())
    typer.echo(f"{kind} {component.qualified}")
    for key, value in rows:
        typer.echo(f"  {key:8}{value}")
    typer.echo("")
    for line in _options(factory):
        typer.echo(f"  {line}")
    if text := _documentation(factory):
        typer.echo("")
        for line in text.splitlines():
            typer.echo(f"  {line}".rstrip())


def _contents(ensemble: Ensemble) -> list[tuple[str, str]]:
    """What the ensemble of a folder has: its experts, latents, prompts and recommended strategy."""
    c, f, h, w = ensemble.shape
    prompts = ", ".join(map(repr, ensemble.prompts[:3])) + (", ..." if len(ensemble.prompts) > 3 else "")
    strategy = ensemble.strategy
    return [
        ("experts", ", ".join(f"{name} (of {each.denoises})" for name, each in ensemble.members.items())),
        ("latents", f"{c} channels, {f} frames of {h}x{w}, {ensemble.fps:g} frames per second"),
        ("prompts", f"{len(ensemble.prompts)}: {prompts}" if prompts else "any that its text encoders take"),
        (
            "default",
            "none"
            if strategy is None
            else f"{strategy.selector}, {strategy.steps} steps of {strategy.solver}",
        ),
    ]


def _names(registry: Registry, component: Component) -> list[str]:
    """What it is loaded by: bare while that is unique, qualified, and names registered for the same target."""
    same = [c for c in registry.components(component.kind) if c.target == component.target]
    own = [c for c in same if c == component] or [component]  # one made on demand is not listed
    shown = [n for c in (*own, *same) for n in (registry.shortest(c), c.qualified)]
    return list(dict.fromkeys(shown))


def _source(component: Component, factory: Callable[..., Any]) -> str:
    """``module:attribute`` where it is defined, and as registered where that differs."""
    inner = getattr(factory, "func", factory)  # of a partial
    module, name = getattr(inner, "__module__", None), getattr(inner, "__qualname__", None)
    registered = component.target if isinstance(component.target, str) else None
    if not module or not name:
        return registered or f"an object of type {type(factory).__name__}"
    defined = f"{module}:{name}"
    if registered is None or registered == defined:
        return defined
    return f"{defined} (registered as {registered})"


def _options(factory: Callable[..., Any]) -> list[str]:
    """A line an option: name, type, default."""
    from jvid.plugins.options import parameters

    rows = []
    for name, parameter in parameters(factory).items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            rows.append((f"**{name}", "any others", ""))
            continue
        kind = "" if parameter.annotation is parameter.empty else _type(parameter.annotation)
        needed = parameter.default is parameter.empty
        rows.append((name, kind, "needed" if needed else f"default {_default(factory, name, parameter)}"))
    if not rows:
        return ["no options"]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{name:{widths[0]}}  {kind:{widths[1]}}  {rest}".rstrip() for name, kind, rest in rows]


def _type(annotation: object) -> str:
    from jvid.plugins.options import choices

    if (among := choices(annotation)) is not None:
        return " | ".join(map(repr, among))
    text = annotation.strip("'\"") if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return " ".join(text.split())


def _default(factory: Callable[..., Any], name: str, parameter: inspect.Parameter) -> str:
    import attrs

    value = parameter.default
    if value is attrs.NOTHING:  # attrs makes it anew for each object
        return "made for each"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _documentation(factory: Callable[..., Any]) -> str:
    """The docstring; of a partial, that of the function inside."""
    return inspect.getdoc(getattr(factory, "func", factory)) or ""
