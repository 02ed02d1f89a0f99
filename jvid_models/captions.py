"""Captions of clips and images in files, in the form of Hugging Face's image and video folders.

    metadata.jsonl   {"file_name": "walk/0001.mp4", "text": "a woman walks", "actor": "ann"}     a line a file
    metadata.csv     file_name,text,actor                                                       a row a file
    0001.txt         beside 0001.mp4: a caption a line

``file_name`` is relative to the folder of the metadata; ``text`` is a caption, or in JSON a list of captions. Other keys are
attributes of the file. (https://huggingface.co/docs/datasets/image_dataset)
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from jvid.errors import InputError
from jvid.refusals import parse_json, read_text, unreadable

__all__ = ["METADATA", "Captioned", "captions_in", "read_lines", "read_metadata", "texts_of"]

METADATA = ("metadata.jsonl", "metadata.csv")
"""Names of files of metadata; the first that is there is read."""


@attrs.frozen(eq=False)
class Captioned:
    """A media file with its captions and attributes, of one line of metadata."""

    path: Path
    captions: tuple[str, ...]
    attributes: dict[str, Any]
    where: str
    """The line, for errors."""


def read_metadata(path: Path) -> list[Captioned]:
    """Every line of a metadata file, in order; the media files need not be there.

    Raises:
        InputError: no such file, a line that is no JSON, lacks a key or has a value of another form, or a file named twice.
    """
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    found: dict[Path, Captioned] = {}
    for where, row in rows:
        entry = _entry(path.parent, where, row)
        if entry.path in found:
            raise InputError(f"{where}: {row['file_name']!r} is named twice, expected one line for each file")
        found[entry.path] = entry
    if not found:
        raise InputError(f"{path} holds no captions: expected a line for each file")
    return list(found.values())


def read_lines(path: Path) -> tuple[str, ...]:
    """The captions of a text file, one a line; empty lines are ignored.

    Raises:
        InputError: no such file, or no caption in it.
    """
    found = tuple(line.strip() for line in _text(path).split("\n") if line.strip())
    if not found:
        raise InputError(f"{path} holds no caption: expected one a line")
    return found


def captions_in(path: str | Path) -> list[str]:
    """All captions of a metadata file or of a text file, each once.

    Raises:
        InputError: no such file, or one that `read_metadata` or `read_lines` refuses.
    """
    path = Path(path)
    if path.suffix.lower() in (".jsonl", ".csv"):
        return list(dict.fromkeys(text for entry in read_metadata(path) for text in entry.captions))
    return list(dict.fromkeys(read_lines(path)))


def texts_of(value: Any) -> tuple[str, ...]:
    """A caption or a list of captions, without the white space around each.

    Raises:
        ValueError: it is neither, or a list of none.
    """
    texts = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not texts or not all(isinstance(each, str) and each.strip() for each in texts):
        raise ValueError(f"text {value!r}, expected a caption or a list of captions")
    return tuple(each.strip() for each in texts)


def _text(path: Path) -> str:
    try:
        return read_text(path).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: write it again as UTF-8") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "expected a file of captions; give its path") from error


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    # Of line feeds alone: a caption may hold other characters that end lines.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise InputError(
                f'{where}: no JSON ({error}), expected {{"file_name": ..., "text": ...}}'
            ) from None
        if not isinstance(row, dict):
            raise InputError(
                f'{where}: a JSON {type(row).__name__}, expected {{"file_name": ..., "text": ...}}'
            )
        yield where, row


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(_text(path).splitlines())
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise InputError(
                f"{where}: another number of values than the first line has names, expected as many"
            )
        yield where, row


def _entry(folder: Path, where: str, row: dict[str, Any]) -> Captioned:
    if missing := [key for key in ("file_name", "text") if key not in row]:
        raise InputError(f"{where}: no key {' and '.join(missing)}, expected file_name and text")
    name = row["file_name"]
    try:
        captions = texts_of(row["text"])
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    relative = PurePosixPath(name) if isinstance(name, str) else None
    if relative is None or not relative.name or relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{where}: file_name {name!r}, expected a path below the folder of the metadata")
    attributes = {key: value for key, value in row.items() if key not in ("file_name", "text")}
    return Captioned(folder / relative, captions, attributes, where)
