"""Reading back what ``jvid.media`` wrote: metadata and latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.media.files import endings, format_of
from jvid.refusals import openable, parse_json, refusal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_latents", "read_metadata"]


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What was given as ``metadata`` when the file was written.

    Raises:
        InputError: no such file, another ending, a damaged file, or one that jvid did not write.
        MissingDependencyError: the library that reads it is not installed.
    """
    path = _existing(path)
    form = format_of(path)
    try:
        text = form.read(path)
    except MissingDependencyError:
        raise
    except Exception as error:  # each library has its own errors for a damaged file
        raise _damaged(path, error) from error
    if not text:
        raise InputError(f"{str(path)!r} holds no jvid metadata: expected a file that jvid wrote")
    try:
        value = parse_json(text)
        value = value if form.own_key else value["jvid"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} holds a comment that is not jvid's: expected a jvid file") from error
    if not isinstance(value, dict):
        raise InputError(f"{str(path)!r} holds metadata that is not a JSON object: expected a jvid file")
    return value


def read_latents(path: str | Path) -> Tensor:
    """The latents ``(b c f h w)`` of a file of latents.

    Raises:
        InputError: no such file, a damaged one, or one without latents.
    """
    path = _existing(path)
    load = format_of(path).load
    if load is None:
        raise InputError(f"{str(path)!r} holds no latents: expected {', '.join(endings('latents'))}")
    try:
        latents: Tensor = load(path)
    except Exception as error:
        raise _damaged(path, error) from error
    return latents


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: expected a file that jvid wrote")
    return path


def _damaged(path: Path, error: Exception) -> InputError:
    try:
        openable(path)  # libraries have their own errors for a file that cannot be opened
    except OSError as refused:
        error = refused
    if found := refusal(path, error):
        return found
    return InputError(f"cannot read {str(path)!r}: {one_line(error, typed=True)}; is it whole?")
