"""The sequences of an encoding as columns: hundreds of thousands of clips in a few bytes each.

    clips       name, action, actor, captions, attributes             one row a clip
    sequences   clip, phase, flip, shard, offset, length, bucket      one row a sequence; without the last all are of the first

Texts are one array of UTF-8 and the ends of each. A row becomes a `Sequence` when it is requested; a process that only draws
windows never makes more than those. On the disk the columns are ``index.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Listed
from functools import lru_cache
from typing import Any, overload

import attrs
import numpy as np

__all__ = ["Sequence", "Sequences"]


@attrs.frozen
class Sequence:
    """Consecutive frames of one clip in a shard."""

    clip: str
    action: str
    actor: str
    phase: int
    flip: bool
    offset: int
    length: int
    shard: str = ""
    captions: tuple[str, ...] = ()
    attributes: dict[str, Any] = attrs.field(factory=dict, hash=False)
    bucket: int = 0
    """Its place in the manifest's buckets."""


class Texts(Listed[str]):
    """Texts as one array of UTF-8 and the end of each."""

    def __init__(self, utf8: np.ndarray, ends: np.ndarray) -> None:
        self.utf8, self.ends = utf8, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Store texts."""
        buffer, ends = bytearray(), []
        for text in texts:
            buffer += text.encode()
            ends.append(len(buffer))
        return cls(np.frombuffer(bytes(buffer), np.uint8), np.asarray(ends, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        begin = int(self.ends[index - 1]) if index else 0
        return self.utf8[begin : int(self.ends[index])].tobytes().decode()


_CLIP = ("action", "actor")
"""Columns of clips that number a list of names."""
_TEXTS = ("clip", "captions", "attributes")
"""Columns of clips that are texts; the last two are JSON, "" where there is nothing."""
_OWN = {"phase": np.int32, "flip": np.bool_, "offset": np.int64, "length": np.int32}
"""Columns of sequences that are numbers of their own."""
_BUCKET = "bucket"


class Sequences(Listed[Sequence]):
    """The sequences of an encoding, in order; see the module's head.

    Attributes:
        columns: by name; ``of_clip`` is the clip of each sequence, ``shard`` the place of its shard in ``names["shard"]``.
        texts: the texts of each clip.
        names: the lists that ``action``, ``actor`` and ``shard`` number.
    """

    def __init__(
        self,
        columns: Mapping[str, np.ndarray],
        texts: Mapping[str, Texts],
        names: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.columns, self.texts, self.names = columns, texts, names
        wanted = {*_CLIP, *_OWN, "of_clip", "shard"}
        clips, count = len(texts["clip"]), len(columns["of_clip"])
        if missing := wanted - set(columns):
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        for name in wanted:
            if len(columns[name]) != (clips if name in _CLIP else count):
                raise ValueError(f"column {name} has another length")
        limits = {"of_clip": clips, **{name: len(names[name]) for name in (*_CLIP, "shard")}}
        if _BUCKET in columns:
            limits[_BUCKET] = 1 << 31
            if len(columns[_BUCKET]) != count:
                raise ValueError(f"column {_BUCKET} has another length")
        for name, limit in limits.items():
            if len(columns[name]) and not 0 <= int(columns[name].min()) <= int(columns[name].max()) < limit:
                raise ValueError(f"column {name} is out of range")

    @classmethod
    def of(cls, sequences: Iterable[Sequence]) -> Sequences:
        """Store sequences; clips of equal names are one."""
        numbers: dict[str, dict[str, int]] = {name: {} for name in ("clip", *_CLIP, "shard")}
        texts: dict[str, list[str]] = {"captions": [], "attributes": []}
        columns: dict[str, list[int]] = {name: [] for name in (*_CLIP, *_OWN, "of_clip", "shard", _BUCKET)}

        def number(column: str, value: str) -> int:
            return numbers[column].setdefault(value, len(numbers[column]))

        for each in sequences:
            if each.clip not in numbers["clip"]:
                texts["captions"].append(json.dumps(each.captions) if each.captions else "")
                texts["attributes"].append(json.dumps(each.attributes) if each.attributes else "")
                for name in _CLIP:
                    columns[name].append(number(name, getattr(each, name)))
            columns["of_clip"].append(number("clip", each.clip))
            columns["shard"].append(number("shard", each.shard))
            for name in (*_OWN, _BUCKET):
                columns[name].append(getattr(each, name))
        if not any(columns[_BUCKET]):
            del columns[_BUCKET]
        kept: dict[str, np.ndarray] = {
            name: np.asarray(values, _OWN.get(name, np.int32)) for name, values in columns.items()
        }
        stored = {"clip": Texts.of(numbers["clip"]), **{name: Texts.of(each) for name, each in texts.items()}}
        return cls(kept, stored, {name: tuple(numbers[name]) for name in (*_CLIP, "shard")})

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Sequences:
        """What `arrays` gave. Raises ValueError or KeyError where something is missing or out of range."""

        def texts(name: str) -> Texts:
            utf8, ends = arrays[f"{name}.utf8"], arrays[f"{name}.ends"]
            if len(ends) and (int(ends[-1]) != len(utf8) or int(np.diff(ends, prepend=0).min()) < 0):
                raise ValueError(f"texts {name} are cut")
            return Texts(utf8, ends)

        columns = {name: arrays[name] for name in (*_CLIP, *_OWN, "of_clip", "shard")}
        columns |= {name: arrays[name] for name in (_BUCKET,) if name in arrays}
        names = {name: tuple(texts(f"names.{name}")) for name in (*_CLIP, "shard")}
        return cls(columns, {name: texts(name) for name in _TEXTS}, names)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays by name, for a file."""
        found = dict(self.columns)
        for name, texts in [
            *self.texts.items(),
            *((f"names.{name}", Texts.of(each)) for name, each in self.names.items()),
        ]:
            found |= {f"{name}.utf8": texts.utf8, f"{name}.ends": texts.ends}
        return found

    def __len__(self) -> int:
        return len(self.columns["of_clip"])

    @overload
    def __getitem__(self, index: int) -> Sequence: ...

    @overload
    def __getitem__(self, index: slice) -> list[Sequence]: ...

    def __getitem__(self, index: int | slice) -> Sequence | list[Sequence]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        columns, clip = self.columns, int(self.columns["of_clip"][index])
        attributes = self.texts["attributes"][clip]
        return Sequence(
            self.texts["clip"][clip],
            self.names["action"][columns["action"][clip]],
            self.names["actor"][columns["actor"][clip]],
            int(columns["phase"][index]),
            bool(columns["flip"][index]),
            int(columns["offset"][index]),
            int(columns["length"][index]),
            self.names["shard"][columns["shard"][index]],
            _captions(self.texts["captions"][clip]),
            json.loads(attributes) if attributes else {},
            self.bucket(index),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequences):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Sequence]:
        return (self[index] for index in range(len(self)))

    def action(self, row: int) -> str:
        """The action of a sequence's clip."""
        return self.names["action"][self.columns["action"][self.columns["of_clip"][row]]]

    def captions_of(self, row: int) -> tuple[str, ...]:
        """The captions of a sequence's clip."""
        return _captions(self.texts["captions"][int(self.columns["of_clip"][row])])

    def bucket(self, row: int) -> int:
        """The place of a sequence in the manifest's buckets."""
        return int(self.columns[_BUCKET][row]) if _BUCKET in self.columns else 0

    def place(self, row: int) -> tuple[str, int]:
        """The shard of a sequence, and its first row there."""
        return self.names["shard"][self.columns["shard"][row]], int(self.columns["offset"][row])

    def of_each(self, name: str) -> np.ndarray:
        """A column with a value for each sequence; ``action`` and ``actor`` are the clips'."""
        if name == _BUCKET and name not in self.columns:
            return np.zeros(len(self), np.int32)
        return self.columns[name][self.columns["of_clip"]] if name in _CLIP else self.columns[name]

    def captions(self) -> Iterator[str]:
        """Every caption of every clip, in order."""
        for text in self.texts["captions"]:
            yield from _captions(text)

    def of_clips(self) -> Iterator[Sequence]:
        """The first sequence of each clip."""
        _, first = np.unique(self.columns["of_clip"], return_index=True)
        return (self[int(index)] for index in first)


@lru_cache(maxsize=4096)
def _captions(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()
