"""Clips in WebDataset's tar files: consecutive members with one key are a sample.

    walk/0001.mp4   walk/0001.json   walk/0001.txt          the key is the path up to the first full stop of its last part

    class       the folder of the member, or the text of ``.cls``
    metadata    ``.json``, with the caption or captions as ``text`` or ``caption``, other keys are attributes
    text        ``.txt``, a caption a line

A member is read by its place in the file, so that tars are not unpacked; compressed ones have no such places, and are refused.
(https://github.com/webdataset/webdataset)
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from jvid.errors import InputError, one_line
from jvid.refusals import parse_json, unreadable
from jvid_models.captions import Captioned, texts_of
from jvid_training.data.clips import MEDIA, Stored

__all__ = ["archived", "is_archive"]

_TEXTS = frozenset({".txt", ".json", ".cls"})


def is_archive(path: Path) -> bool:
    """Whether a path is a tar, by its name."""
    return path.suffix.lower() == ".tar"


def archived(path: Path, captions: str) -> Iterator[tuple[Captioned, Stored]]:
    """Every sample of a tar, in its order, with where its clip is.

    Raises:
        InputError: a file that is no tar or cannot be read, a sample without its caption, or one of another form.
    """
    key: str | None = None
    parts: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                    continue
                stem, suffix = _key(member.name)
                if stem != key:
                    yield from _sample(path, key, parts, captions)
                    key, parts = stem, {}
                if suffix in MEDIA:
                    parts["media"] = Stored("tar", member.offset_data, member.size), member.name
                elif suffix in _TEXTS:
                    content = archive.extractfile(member)
                    parts[suffix] = b"" if content is None else content.read()
        yield from _sample(path, key, parts, captions)
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = f"{path} is no whole tar ({one_line(error)}): expected an uncompressed tar of samples; fetch or decompress it"
        raise unreadable(path, error, reason) from None


def _key(name: str) -> tuple[str, str]:
    """The key and the ending of a member: ``a/b.seg.png`` is ``a/b`` and ``.png``."""
    path = PurePosixPath(name)
    return str(path.parent / path.name.split(".")[0]), path.suffix.lower()


def _sample(
    path: Path, key: str | None, parts: dict[str, Any], captions: str
) -> Iterator[tuple[Captioned, Stored]]:
    if key is None or "media" not in parts:
        return
    stored, name = parts["media"]
    where = f"{path}, {name}"
    try:
        texts, attributes = _described(parts, captions)
        if ".cls" in parts:
            attributes = {"label": parts[".cls"].decode().strip(), **attributes}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}: {one_line(error)}") from None
    yield Captioned(Path(name), texts, attributes, where), stored


def _described(parts: dict[str, Any], captions: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    if captions == "class":
        return (), {}
    if captions == "text":
        if ".txt" not in parts:
            raise ValueError("no .txt of the same key, expected a caption a line")
        found = tuple(line.strip() for line in parts[".txt"].decode("utf-8-sig").split("\n") if line.strip())
        if not found:
            raise ValueError("no caption, expected text")
        attributes = _metadata(parts) if ".json" in parts else {}
    else:
        if ".json" not in parts:
            raise ValueError("no .json of the same key, expected its metadata")
        attributes = _metadata(parts)
        text = attributes.pop("text", None)
        found = texts_of(text or attributes.pop("caption", text))
    return found, attributes


def _metadata(parts: dict[str, Any]) -> dict[str, Any]:
    found = parse_json(parts[".json"])
    if not isinstance(found, dict):
        raise ValueError(f"a JSON {type(found).__name__}, expected an object")
    return found
