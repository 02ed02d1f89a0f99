"""Clips and images with captions of their own: each file of a folder with what its metadata states.

    metadata   metadata.jsonl or metadata.csv, in the folder or in folders below it (`jvid_models.captions`)
    text       0001.txt beside 0001.mp4, a caption a line

Both directions are checked before anything is decoded: a line without its file, and a file without its line. The attribute
"split" of a file is the first folder of its path, as in ``train/0001.mp4``, unless its metadata states another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jvid.errors import InputError
from jvid_models.captions import METADATA, Captioned, read_lines, read_metadata
from jvid_training.data.clips import MEDIA, ClipFile, actor_of, files_below, find_clips
from jvid_training.recipe import Data

__all__ = ["actor_or_split", "find_files", "labelled"]


def find_files(root: Path, data: Data) -> list[ClipFile]:
    """Every clip below ``root`` that a recipe's data names, sorted: of class folders, or with captions of their own.

    Raises:
        InputError: no clips, a caption without its clip or a clip without its caption, metadata that `read_metadata` refuses,
            or a key that a file's metadata lacks.
    """
    if data.captions == "class":
        for key in ("label", "holdout_by"):
            if getattr(data, key) and not (key == "holdout_by" and data.lists and data.holdout_by == "split"):
                raise InputError(
                    f'data.{key} = {getattr(data, key)!r} names a key of metadata: expected data.captions = "metadata" '
                    'or "text" beside it'
                )
        return find_clips(root, data.actor)
    if data.phrases:
        raise InputError(
            f"data.phrases beside data.captions = {data.captions!r}: captions have no classes, leave it out"
        )
    if not root.is_dir():
        raise InputError(
            f"no folder of clips at {root}: expected clips with captions; set data.root, or JVID_SHARED"
        )
    media = [path for path in files_below(root) if path.suffix.lower() in MEDIA]
    entries = list(_of_metadata(root, media) if data.captions == "metadata" else _of_text(media))
    if not entries:
        raise InputError(f"no clips in {root}: expected files ending in {', '.join(sorted(MEDIA))}")
    return sorted((_file(root, entry, data) for entry in entries), key=lambda file: file.name)


def _of_metadata(root: Path, media: list[Path]) -> Iterator[Captioned]:
    folders = {path.parent for path in files_below(root) if path.name in METADATA}
    chosen = [next(p for name in METADATA if (p := folder / name).is_file()) for folder in sorted(folders)]
    if not chosen:
        raise InputError(
            f"no captions in {root}: expected {' or '.join(METADATA)} there or in folders below it, with file_name and text"
        )
    there = set(media)
    named: dict[Path, str] = {}
    for path in chosen:
        for entry in read_metadata(path):
            if entry.path not in there:
                raise InputError(
                    f"{entry.where}: no clip or image at {entry.path}; put it there, or delete the line"
                )
            if entry.path in named:
                raise InputError(
                    f"{entry.where}: {entry.path} is named in {named[entry.path]} too; delete one line"
                )
            named[entry.path] = entry.where
            yield entry
    if missing := [path for path in media if path not in named]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{missing[0]}{more}: no caption in {' or '.join(map(str, chosen[:2]))}; add a line for each file, or move it away"
        )


def _of_text(media: list[Path]) -> Iterator[Captioned]:
    if missing := [path for path in media if not path.with_suffix(".txt").is_file()]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{missing[0]}{more}: no captions beside it; expected {missing[0].with_suffix('.txt').name}, a caption a line"
        )
    for path in media:
        yield Captioned(path, read_lines(path.with_suffix(".txt")), {}, str(path))


def _file(root: Path, entry: Captioned, data: Data) -> ClipFile:
    relative = entry.path.relative_to(root)
    attributes = {"split": relative.parts[0] if len(relative.parts) > 1 else "", **entry.attributes}
    action, actor = labelled(entry, attributes, data), actor_or_split(entry, attributes, data)
    return ClipFile(entry.path, relative.as_posix(), action, actor, entry.captions, attributes)


def labelled(entry: Captioned, attributes: dict[str, Any], data: Data) -> str:
    """What ``data.label`` names of a clip; "" without one."""
    return _value(entry, attributes, "label", data.label) if data.label else ""


def actor_or_split(entry: Captioned, attributes: dict[str, Any], data: Data) -> str:
    """What ``data.holdout`` keeps apart: the value of ``data.holdout_by``, or the actor of the clip's name, "" without one."""
    if data.holdout_by:
        return _value(entry, attributes, "holdout_by", data.holdout_by)
    found = actor_of(entry.path, data.actor)
    if found is None and data.holdout:
        raise InputError(
            f"clip {entry.path.name}: data.actor = {data.actor!r} does not match its name, by which data.holdout keeps "
            "actors apart; mend the pattern, or name a key of the metadata in data.holdout_by"
        )
    return found or ""


def _value(entry: Captioned, attributes: dict[str, Any], option: str, key: str) -> str:
    if key not in attributes:
        raise InputError(
            f"{entry.where}: no key {key!r}, which data.{option} names; expected it in each line, got {', '.join(attributes)}"
        )
    return str(attributes[key])
