"""The command ``jvid``: ``sample``, ``plan``, ``names``, and the commands that plugins contribute.

A mistake of the user is one line on stderr and exit code 2, and so is a component that raises in the middle of a
run: the line names it, its distribution, step and level. An interrupt is exit code 130 (`jvid.cli.failures`). Nothing
heavy is imported before a command runs.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from jvid.errors import JvidWarning, MissingDependencyError
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
    from jvid.cli.failures import failure
    from jvid.cli.imports import own_process

    if args is None:
        own_process()
    given = list(sys.argv[1:] if args is None else args)
    with warnings.catch_warnings():
        _tell_warnings_in_a_line()
        try:
            # Not by the group's own `main`, which takes an EOFError of a component for an interrupt.
            with command().make_context("jvid", given or ["--help"]) as context:
                code = command().invoke(context)
        except typer.Exit as ended:
            return ended.exit_code
        except SystemExit as ended:
            if ended.code is None or isinstance(ended.code, int):
                return ended.code or 0
            found = failure(ended, given)
        except (Exception, KeyboardInterrupt) as error:
            found = failure(error, given)
        else:
            return code if isinstance(code, int) else 0
    if found.message:
        print(found.message, file=sys.stderr)
    return found.code


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
