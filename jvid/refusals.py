"""Refusals of the operating system, kept apart from damaged files; and JSON files, read by that rule.

A file that cannot be opened is not damaged: to delete it would lose work. So an error on reading is examined first: no
permission, too many open files, no memory and a disk that fails are not faults of the content.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jvid.errors import InputError, one_line
from jvid.limits import MOST_TEXT

__all__ = [
    "OUT_OF_MEMORY", "openable", "parse_json", "read_json", "read_text", "refusal", "refused", "system_error", "unreadable",
]  # fmt: skip

_REMEDIES = {
    errno.EACCES: "give this user access to it",
    errno.EPERM: "give this user access to it",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, or raise the limit of open files",
    errno.ENOMEM: "free memory, and run the same again",
    errno.ENOSPC: "free the space",
    errno.EDQUOT: "free the space",
}
_OTHERS = {
    errno.EIO, errno.EROFS, errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE, errno.ENODEV, errno.ENXIO,
    errno.ENOTCONN, errno.EINTR, errno.ENOLCK, errno.EFBIG, errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip
OUT_OF_MEMORY = errno.ENOMEM
_RUST = re.compile(r"\(os error (\d+)\)")
_NO_MEMORY = re.compile(r"can't allocate memory|cannot allocate memory|out of memory", re.IGNORECASE)


def system_error(error: BaseException) -> int | None:
    """The system's error number that an exception carries in one of its ways; None of one that is no refusal of the system."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(number := getattr(error, "errno", None), int):  # OSError, and PyAV's errors
        return number
    text = str(error)
    if found := _RUST.search(text):  # safetensors
        return int(found[1])
    if isinstance(error, RuntimeError):  # torch
        if _NO_MEMORY.search(text):
            return errno.ENOMEM
        if isinstance(error.__context__, OSError):
            return error.__context__.errno
    return None


def refused(error: BaseException) -> str | None:
    """Why the system refuses to write, in its words; None where the error is of another kind."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    number = system_error(error)
    return None if number is None else os.strerror(number)


def refusal(path: str | Path, error: BaseException) -> InputError | None:
    """The error for a file that the system refuses to read, with its remedy; None where the error is of another kind."""
    number = system_error(error)
    if number is None or not (number in _REMEDIES or number in _OTHERS):
        return None
    remedy = _REMEDIES.get(number, "mend that, and run the same again")
    return InputError(f"cannot read {path}: {os.strerror(number)}; {remedy}")


def unreadable(path: str | Path, error: BaseException, otherwise: str) -> InputError:
    """The error for a file that cannot be read: the system's refusal with its remedy, or ``otherwise``.

    ``otherwise`` is the rest of a sentence about the content, as "expected a plan; write it again", or a whole one that
    names the path or its folder.
    """
    if found := refusal(path, error):
        return found
    number = system_error(error)
    if str(path) in otherwise or f"{Path(path).parent} " in otherwise:
        return InputError(otherwise)
    reason = os.strerror(number) if number is not None and isinstance(error, OSError) else str(error)
    return InputError(f"cannot read {path}: {' '.join(reason.split())[:160]}; {otherwise}")


def openable(path: str | Path) -> None:
    """Open a file and close it, before a library that reports every failure to open as "no such file".

    Raises:
        OSError: the system refuses.
    """
    with open(path, "rb"):
        pass


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text that anybody may have written: at most `MOST_TEXT` bytes, and not nested without end.

    Raises:
        ValueError: no JSON, no UTF-8, too long, or nested too deeply.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"{len(text) >> 20} MiB: expected at most {MOST_TEXT >> 20}")
    text = text if isinstance(text, str) else text.decode("utf-8")
    try:
        found = json.loads(text)
        if "\\ud" in text.lower():  # half of a pair is no character: it could be neither printed nor written
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return found


def read_text(path: Path) -> str:
    """A UTF-8 file of at most `MOST_TEXT` bytes.

    Raises:
        OSError: the system refuses.
        ValueError: no UTF-8, too long, or a path that holds NUL.
    """
    with path.open("rb") as file:
        data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        raise ValueError(f"more than {MOST_TEXT >> 20} MiB")
    return data.decode("utf-8")


def _json_kind(value: Any) -> str:
    """A noun for a value of JSON."""
    return {type(None): "null", bool: "true or false", str: "text", list: "list"}.get(type(value), "number")


def read_json(path: str | Path, what: str, remedy: str, of: Callable[[dict[str, Any]], Any] = dict) -> Any:
    """The JSON object of a file, or what ``of`` makes of it.

    Args:
        path: of the file.
        what: the file is expected to hold, as "a plan".
        remedy: what to do where it does not, as "make it with jvid plan -o".
        of: from the object to a value; its ValueError, KeyError, TypeError and AttributeError mean another shape.

    Raises:
        InputError: no file, one that cannot be opened, that is not JSON, is nested too deeply or has another shape.
    """
    try:
        text = read_text(Path(path))
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}: expected {what}; {remedy}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not JSON ({error}): expected {what}; {remedy}") from None
    except (OSError, ValueError, MemoryError) as error:
        raise unreadable(path, error, f"expected {what}; {remedy}") from error
    try:
        values = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): expected {what}; {remedy}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds a JSON {_json_kind(values)}: expected {what}; {remedy}")
    try:
        return of(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        reason = one_line(error, typed=True)[:160]
        raise InputError(f"{path} is damaged ({reason}): expected {what}; {remedy}") from None
