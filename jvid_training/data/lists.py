"""Splits of a data set by lists of clips, as UCF-101 and other data sets are distributed with.

    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1      a path below the root, and perhaps a number of the class

A clip's list is its attribute "split". UCF-101's clips come in groups, cut from one video: clips of one class and one actor
(the group that ``data.actor`` finds) that are in two lists are an error: held-out clips would be trained on in all but name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from jvid.errors import InputError
from jvid.limits import whole_number
from jvid.refusals import read_text, unreadable
from jvid_models.paths import below_shared
from jvid_training.data.clips import ClipFile
from jvid_training.recipe import Data

__all__ = ["split_by_lists"]


def split_by_lists(files: Sequence[ClipFile], data: Data) -> list[ClipFile]:
    """The files that are in a list, each with the attribute "split"; its actor is the split where ``holdout_by`` names that.

    Raises:
        InputError: a list that cannot be read or is empty, a line whose clip is not there, or a clip or group in two lists.
    """
    by_name = {file.name: file for file in files}
    split: dict[str, str] = {}
    for name, path in data.lists.items():
        for number, clip in _lines(below_shared(path), by_name):
            where = f"{path}, line {number}"
            if clip not in by_name:
                raise InputError(
                    f"{where}: no clip {clip} in {data.root}; put it there, or take the line out of data.lists.{name}"
                )
            if split.setdefault(clip, name) != name:
                raise InputError(
                    f"{where}: {clip} is in data.lists.{split[clip]} too; expected it in one list"
                )
    groups: dict[tuple[str, str], tuple[str, str]] = {}
    found = []
    for file in files:
        if (name := split.get(file.name, "")) == "":
            continue
        other, first = groups.setdefault((file.action, file.actor), (name, file.name))
        if other != name and file.actor:
            raise InputError(
                f"data.lists: {file.name} is in {name} and {first} in {other}, both of {file.actor!r}; give lists that keep "
                "these together, or a data.actor by which they are of two"
            )
        actor = name if data.holdout_by == "split" else file.actor
        attributes = {**file.attributes, "split": name, "actor": file.actor}
        found.append(attrs.evolve(file, actor=actor, attributes=attributes))
    return found


def _lines(path: Path, known: dict[str, ClipFile]) -> list[tuple[int, str]]:
    try:
        lines = read_text(path).removeprefix("\ufeff").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "expected a list of clips, a path a line; set data.lists") from None
    found = []
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(" ")
        clip = (
            name.strip()
            if name and whole_number(label) is not None and line.strip() not in known
            else line.strip()
        )
        if clip:
            found.append((number, clip))
    if not found:
        raise InputError(f"{path} lists no clip: expected a path a line")
    return found
