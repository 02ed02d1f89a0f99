"""The command ``jvid``: ``sample``, ``plan``, ``names``, and the commands that plugins contribute.

A mistake of the user is one line on stderr and exit code 2, and so is a component that raises in the middle of a
run: the line names it, its distribution, step and level. An interrupt is exit code 130. Nothing heavy is imported
before a command runs.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from jvid.errors import JvidError, JvidWarning, MissingDependencyError, one_line
from jvid.extras import extra

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; ``args`` without the program's name, ``sys.argv``'s if None. Returns the exit code."""
    try:
        with extra("cli"):  # for every command: their modules import both freely
            import rich  # noqa: F401
            import typer
    except MissingDependencyError as error:
        return _fail(str(error))

    from jvid.cli.app import command

    given = list(sys.argv[1:] if args is None else args)
    # Public in every version of typer, whether it carries click itself or not.
    usage_error: Any = typer.BadParameter.__mro__[2]
    with warnings.catch_warnings():
        _tell_warnings_in_a_line()
        try:
            code = command().main(given or ["--help"], prog_name="jvid", standalone_mode=False)
        except JvidError as error:
            return _fail(_with_note(str(error), error))
        except usage_error as error:
            return _fail(_with_value(error, given))
        except (KeyboardInterrupt, typer.Abort):
            code = 130
        except SystemExit as error:
            code = error.code
        except Exception as error:
            from jvid.core.provenance import annotation

            if not annotation(error):  # no component's: a traceback helps more
                raise
            return _fail(_with_note(one_line(error, typed=True), error))
    if code == 130:
        print("jvid: interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _with_value(error: Any, given: Sequence[str]) -> str:
    """The message of a usage error with the value that was got, which the parser leaves out."""
    message = str(error.format_message())
    names = tuple(getattr(getattr(error, "param", None), "opts", ()))
    for i, argument in enumerate(given):
        option, equals, value = argument.partition("=")
        if option in names and ": " in message and (equals or i + 1 < len(given)):
            head, _, rest = message.partition(": ")
            return f"{head}: got {(value if equals else given[i + 1])!r}. {rest}"
    if message.startswith("No such command"):
        message += f" Expected one of {', '.join(error.ctx.command.list_commands(error.ctx))}."
    return message


def _with_note(message: str, error: BaseException) -> str:
    """The message, and who raised it where a run knows."""
    from jvid.core.provenance import annotation

    note = annotation(error)
    return f"{message}; {note}" if note else message


def _fail(message: str) -> int:
    print(f"jvid: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _tell_warnings_in_a_line() -> None:
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> Any:
        if issubclass(category, JvidWarning):
            print(f"jvid: warning: {message}", file=sys.stderr)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
