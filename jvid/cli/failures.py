"""Any exception of a command becomes one line and an exit code, in this one place.

a user's         an error of jvid, of the options                      one line, 2
a component's    whatever a plugin raises in a run; the line names it   one line, 2
the system's     no space, no memory, no permission                     one line, 2
a reader's       what it prints is read no further: jvid names | head   no line, 1
an interrupt     Ctrl-C                                                 one line, 130
our own          everything else                                        the traceback, where to report it, 1
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from typing import Any

import attrs

from jvid.errors import JvidError, one_line
from jvid.refusals import OUT_OF_MEMORY, refused, system_error

__all__ = ["CommandFailure", "failure"]

_REPORT = (
    "this is a fault of jvid or of a plugin, not yours: please report it with the lines above and the output of "
    "`jvid --version` and `jvid plugins`"
)
_LONGEST = 1200
"""Characters of a line."""


@attrs.frozen
class CommandFailure:
    """How a command ended: its exit code, and what is printed on stderr."""

    code: int
    message: str


def failure(error: BaseException, given: Sequence[str]) -> CommandFailure:
    """The exit code of an exception and its text.

    Args:
        error: that ended the command.
        given: the command's words, to show the value that a usage error is about.
    """
    import typer

    from jvid.core.provenance import annotation

    usage_error: Any = typer.BadParameter.__mro__[
        2
    ]  # public in every version of typer, whether it carries click or not
    note = annotation(error)
    behind = f"; {note}" if note else ""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return CommandFailure(130, "jvid: interrupted")
    if isinstance(error, JvidError):
        return _error_line(f"{error}{behind}")
    if isinstance(error, usage_error):
        return _error_line(_with_value(error, given))
    if isinstance(error, SystemExit):
        return CommandFailure(1, f"jvid: error: {' '.join(str(error.code).split())}")
    number = system_error(error)
    if not note and (isinstance(error, BrokenPipeError) or number == errno.EPIPE):
        return CommandFailure(1, "")
    if number == OUT_OF_MEMORY:
        return _error_line(
            f"not enough memory ({one_line(error, first=True)[:160]}): fewer or smaller clips need less{behind}"
        )
    if note:
        return _error_line(f"{one_line(error, typed=True)}{behind}")
    if isinstance(error, OSError) and (reason := refused(error)):
        where = f"{error.filename!r}: " if error.filename else ""
        return _error_line(f"{where}{reason}; give a path that can be used, or mend that")
    lines = "".join(traceback.format_exception(error)).rstrip()
    return CommandFailure(1, f"{lines}\njvid: {_REPORT}")


def _error_line(message: str) -> CommandFailure:
    line = " ".join(message.split())
    if len(line) > _LONGEST:  # a value that is quoted may be of any length
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    return CommandFailure(2, f"jvid: error: {line}")


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
