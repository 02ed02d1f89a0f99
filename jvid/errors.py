"""The errors that jvid raises on purpose.

Each message is one line: what was got, what was expected and what to do;
the command line prints it without a traceback and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class JvidError(Exception):
    """Base of every error that jvid raises on purpose."""


class InputError(JvidError, ValueError):
    """A value that a caller gave is wrong: option, shape, prompt, file."""


class UnknownNameError(JvidError, LookupError):
    """A name that no plugin registers, or that several do."""


class MissingDependencyError(JvidError, ImportError):
    """A component needs a package or a file that is not there."""


class NonFiniteError(JvidError, ArithmeticError):
    """An expert predicted NaN or infinity; the message names expert, step and level."""


class PluginError(JvidError, RuntimeError):
    """A plugin, or something that it registers, is broken; the message names its distribution."""


class JvidWarning(UserWarning):
    """A warning to the user; the work continues. The command line prints it in one line."""


class PluginWarning(JvidWarning):
    """A plugin was left out because it is broken; everything else continues."""


def one_line(error: BaseException, *, first: bool = False, typed: bool = False) -> str:
    """An error's message in one line, whatever its ``__str__`` does; its type where it has no message.

    Args:
        error: any exception, of a library or a plugin.
        first: only its first line, for libraries whose further ones are lists or advice.
        typed: the type comes before the message.
    """
    try:
        message = str(error).strip()
    except Exception as failed:
        message = f"a message that cannot be read ({type(failed).__name__})"
    message = message.splitlines()[0] if first and message else " ".join(message.split())
    kind = type(error).__name__
    return f"{kind}: {message or 'no message'}" if typed else message or kind


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put ``where`` before the message of an error of jvid that the block raises; the error keeps its type."""
    try:
        yield
    except JvidError as error:
        raise type(error)(f"{where}: {error}") from error
