"""Where clips are found: folders, WebDataset's tars, or tables of Hugging Face datasets (``data.source``).

    source        root
    folder        class folders, or clips with captions (`jvid_training.data.captions`)
    webdataset    a tar, or a folder with tars in it or below it
    datasets      a file of Parquet, or a folder with Parquet or Arrow files in it or below it

All give the same `ClipFile`, with the same meaning of ``data.captions``, ``label``, ``holdout_by``, ``actor`` and ``lists``. The
attribute "split" is what a file's name begins with, as of train-00000-of-00002.parquet or test_0.tar, or the first folder below
the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from jvid.errors import InputError
from jvid_models.captions import Captioned, texts_of
from jvid_training.data.archives import archived, is_archive
from jvid_training.data.captions import actor_or_split, labelled
from jvid_training.data.captions import find_files as find_in_folder
from jvid_training.data.clips import ClipFile, Stored, files_below
from jvid_training.data.lists import split_by_lists
from jvid_training.data.tables import ENDINGS, table_rows
from jvid_training.recipe import Data

__all__ = ["find_files"]


def find_files(root: Path, data: Data) -> list[ClipFile]:
    """Every clip below ``root`` that a recipe's data names, sorted by name.

    Raises:
        InputError: no clips, a clip without what ``data.captions`` requires, a name twice, or a list that does not fit.
    """
    files = find_in_folder(root, data) if data.source == "folder" else _stored(root, data)
    return split_by_lists(files, data) if data.lists else files


def _stored(root: Path, data: Data) -> list[ClipFile]:
    what = "a tar" if data.source == "webdataset" else "Parquet or Arrow files"
    if not root.exists():
        raise InputError(
            f"nothing at {root}: expected {what} there or below it; set data.root, or JVID_SHARED"
        )
    suits = is_archive if data.source == "webdataset" else lambda path: path.suffix.lower() in ENDINGS
    containers = [path for path in ([root] if root.is_file() else files_below(root)) if suits(path)]
    if not containers:
        raise InputError(f"no clips in {root}: expected {what} there or below it")
    base = root.parent if root.is_file() else root
    rows = _tarred(base, containers, data) if data.source == "webdataset" else _tabled(base, containers, data)
    found: dict[str, ClipFile] = {}
    for file in rows:
        if file.name in found:
            raise InputError(f"clip {file.name} is there twice, expected each name once")
        found[file.name] = file
    if not found:
        raise InputError(f"no clips in {root}: expected samples with a clip or an image")
    return [found[name] for name in sorted(found)]


def _tarred(base: Path, archives: list[Path], data: Data) -> Iterator[ClipFile]:
    for path in archives:
        for entry, stored in archived(path, data.captions):
            member = PurePosixPath(entry.path.as_posix())
            name = (PurePosixPath(path.relative_to(base).as_posix()) / member).as_posix()
            folder = member.parent.name
            yield _file(path, base, name, entry, stored, data, folder)


def _tabled(base: Path, tables: list[Path], data: Data) -> Iterator[ClipFile]:
    for path in tables:
        for values, stored in table_rows(path):
            name = f"{path.relative_to(base).as_posix()}/{stored.first:08d}"
            where = f"{path}, row {stored.first}"
            captions: tuple[str, ...] = ()
            if data.captions != "class":
                key = next((key for key in ("text", "caption", "captions") if key in values), None)
                if key is None:
                    raise InputError(f"{where}: no column text or caption, got {', '.join(values)}")
                try:
                    captions = texts_of(values.pop(key))
                except ValueError as error:
                    raise InputError(f"{where}: {error}") from None
            plain = {
                key: value for key, value in values.items() if isinstance(value, str | int | float | bool)
            }
            yield _file(path, base, name, Captioned(Path(name), captions, plain, where), stored, data, "")


def _file(
    path: Path, base: Path, name: str, entry: Captioned, stored: Stored, data: Data, folder: str
) -> ClipFile:
    first = path.relative_to(base).parts
    begins = re.match(r"(train|test|validation|valid|val|dev)(?![a-z])", path.name)
    split = begins[0] if begins else first[0] if len(first) > 1 else ""
    attributes: dict[str, Any] = {"split": split, **entry.attributes}
    action = labelled(entry, attributes, data)
    if data.captions == "class" and not action:
        action = str(attributes.get("label") or folder)
        if not action:
            raise InputError(
                f"{entry.where}: no class, expected a folder, a label, or data.label to name a key"
            )
    actor = actor_or_split(entry, attributes, data)
    return ClipFile(path, name, action, actor, entry.captions, attributes, stored)
