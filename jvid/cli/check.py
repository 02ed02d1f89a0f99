"""``jvid check KIND NAME``: a registered component against the checks of its protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from jvid.cli.devices import Device
from jvid.errors import InputError

__all__ = ["check"]


def check(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Such as solver. Without, the kinds are listed.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME:A=1]", help="What to check. Without, the kind's checks are listed."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="This check alone; may be repeated.")
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect", metavar="CHECK=REASON", help="A check that fails, and why; may be repeated."
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="A=1",
            help="Sizes that it takes, such as frames=4+5, or an option that jvid check KIND lists, such as "
            "identity=false; may be repeated.",
        ),
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=1, max=1_000_000, help="Tries of each property.")
    ] = 25,
    device: Device = "cpu",
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit", metavar="SECONDS", help="Checks that would begin later are skipped, and named."
        ),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(
            "--max-calls",
            metavar="N",
            help="Calls of a network, of a kind that is one: examples are cut to fit, and what is left out is named.",
        ),
    ] = None,
) -> None:
    """Prove a component: run every check of its kind on it. Exit code 1 where one fails."""
    if kind is None:
        _kinds()
    elif name is None:
        _checks(kind)
    else:
        sizes = dict(map(_size, given or ()))
        limits = {"time_limit": time_limit, "max_calls": max_calls, "examples": examples}
        _check(kind, name, only, dict(map(_reason, expect or ())), sizes, limits, device)


def _check(
    kind: str,
    name: str,
    only: Sequence[str] | None,
    expected: dict[str, str],
    context: dict[str, Any],
    limits: dict[str, Any],
    device: str,
) -> None:
    from rich.console import Console

    from jvid.plugins.choice import Choice
    from jvid.testing import conforms
    from jvid.testing.altered import modules_of
    from jvid.testing.checking import checks_of
    from jvid.testing.declared import device_of
    from jvid.testing.registered import declared_reference, registered

    checks_of(kind)  # an unknown kind is an error before anything is loaded
    choice = Choice.parse(name)
    subject = registered(kind, choice.name, **choice.options)
    context = {**declared_reference(kind, choice.name, **choice.options), **context}
    if device != "cpu":
        context = {"device": device, **context}
        device_of(device)
        for module in modules_of(subject):
            module.to(device)
    report = conforms(kind, subject, only=only, expected_failures=expected, **limits, **context)
    if (console := Console()).is_terminal:
        console.print(report)
    else:  # a table is folded to its width, and a line to paste would be too
        typer.echo(str(report))
    if any(outcome.reproduce for outcome in report.outcomes):
        typer.echo(_names(kind, choice, context))
    if not report.ok:
        raise typer.Exit(1)


def _names(kind: str, choice: Any, context: Mapping[str, Any]) -> str:
    """What the lines that run an example again are pasted after: imports, the subject, and what its plugin declares."""
    words = ", ".join(
        [repr(kind), repr(choice.name), *(f"{key}={value!r}" for key, value in choice.options.items())]
    )
    lines = [
        "The lines that run an example again need these first:",
        "    from jvid.testing import conforms",
        "    from jvid.testing.registered import declared_reference, registered",
        f"    subject = registered({words})",
    ]
    declared = [name for name in ("reference", "factory") if name in context]
    if declared:
        lines.append(f"    declared = declared_reference({words})")
        lines += [f'    {name} = declared["{name}"]' for name in declared]
    return "\n".join(lines)


def _kinds() -> None:
    from jvid.testing.checking import KINDS, checks_of

    for kind in KINDS:
        typer.echo(f"{kind:14}{len(checks_of(kind))} checks")


def _checks(kind: str) -> None:
    from jvid.testing.checking import checks_of, options_of

    for each in checks_of(kind).values():
        typer.echo(f"{each.name}\n    {each.invariant}")
    if options := options_of(kind):
        typer.echo(f"options: {', '.join(f'{name}={value}' for name, value in options.items())}")


def _reason(text: str) -> tuple[str, str]:
    check, equals, reason = (part.strip() for part in text.partition("="))
    if not equals or not reason:
        raise InputError(f"--expect {text!r}: expected CHECK=REASON, what fails and why")
    return check, reason


def _size(text: str) -> tuple[str, Any]:
    from jvid.plugins.choice import parse_value

    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        raise InputError(f"--with {text!r}: expected name=value, or several as in frames=4+5")
    values = [parse_value(part) for part in value.split("+")]
    return name, values[0] if len(values) == 1 else tuple(values)
