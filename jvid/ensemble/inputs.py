"""Files that experts take beside prompts, as plain values: a path, and a digest of what it held.

    {"video": {"image": {"path": "first.png", "sha256": "9f86d0..."}}}     of "jvid sample ... --input video.image=first.png"

Clips are made again of the same contents: a file that changed is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from jvid import documents
from jvid.errors import InputError, located
from jvid.media.given import check_ending, read_given

__all__ = ["InputFile", "Inputs", "input_files", "merged"]

Inputs = Mapping[str, Mapping[str, "InputFile"]]
"""Files by expert, and by argument of its model."""


@attrs.frozen
class InputFile:
    """A file, and the digest of its contents.

    Attributes:
        path: of a picture, a clip or a tensor (`jvid.media.given`).
        sha256: of its bytes, in hexadecimal digits.
    """

    path: str
    sha256: str

    @classmethod
    def of(cls, path: str | Path) -> InputFile:
        """The file as it is now.

        Raises:
            InputError: no such file, or another ending.
        """
        return cls(str(path), _digest(check_ending(path)))

    @classmethod
    def from_plain(cls, value: Any) -> InputFile:
        """From plain values, or from a path alone.

        Raises:
            InputError: another form, or a path alone of no file.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str | Path):
            return cls.of(value)
        if (
            not isinstance(value, Mapping)
            or set(value) != {"path", "sha256"}
            or not all(isinstance(each, str) for each in value.values())
        ):
            raise InputError(f"input {documents.short(value)}: expected a file's path and sha256")
        return cls(value["path"], value["sha256"])

    def read(self) -> Any:
        """The picture, the clip or the tensor.

        Raises:
            InputError: the file is gone, damaged or has other contents.
        """
        if (now := _digest(check_ending(self.path))) != self.sha256:
            raise InputError(
                f"{self.path!r} has changed (sha256 {self.sha256[:8]} then, {now[:8]} now): restore it, or give the input anew"
            )
        return read_given(self.path)


def input_files(values: Any) -> Inputs:
    """Files by expert and argument, read only, of paths or plain values.

    Raises:
        InputError: another form, or a path of no file; the message names expert and argument.
    """
    if not isinstance(values, Mapping) or not all(isinstance(each, Mapping) for each in values.values()):
        raise InputError(f"inputs {documents.short(values)}: expected files by expert and argument")
    found: dict[str, Mapping[str, InputFile]] = {}
    for expert, files in values.items():
        named: dict[str, InputFile] = {}
        for name, value in files.items():
            with located(f"input {expert}.{name}"):
                named[str(name)] = InputFile.from_plain(value)
        found[str(expert)] = MappingProxyType(named)
    return MappingProxyType(found)


def merged(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The inputs of several experts of one model as one.

    Raises:
        InputError: two experts have different values of one argument.
    """
    found: dict[str, tuple[str, Any]] = {}
    for expert, values in inputs.items():
        for name, value in values.items():
            other, kept = found.setdefault(name, (expert, value))
            if kept is not value and not (isinstance(value, InputFile) and kept == value):
                raise InputError(
                    f"inputs {other}.{name} and {expert}.{name} differ: expected one value, for experts of one model"
                )
    return {name: value for name, (_, value) in found.items()}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
