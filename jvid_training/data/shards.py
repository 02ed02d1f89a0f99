"""Files of rows: frames of latents or of pixels, or embeddings, each row with a checksum.

    shard-00000.latents.safetensors    rows   (n, c, h, w) float32    crc32  (n, 4) uint8, the CRC-32 of each row, little-endian
    shard-00000.frames.safetensors     rows   (n, H, W, 3) uint8      crc32  (n, 4)

A `RowWriter` appends rows in the memory of one; a `Shards` reads any rows of any shard by its own calls of the system, with a
bounded number of open files, and compares each row that it reads with its checksum. Nothing is mapped: pages of a map count as
memory of the process. The digest of a shard is the SHA-256 of its shape and checksums: equal digests, equal rows.

An encoding of format 1 has ``.npy`` files of the same rows without checksums; they are read alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import attrs
import numpy as np

from jvid.errors import InputError
from jvid.refusals import refusal, unreadable

__all__ = ["RowWriter", "ShardRows", "Shards"]

_NAMES = {"float32": "F32", "float16": "F16", "uint8": "U8"}
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}
_HEADER = 1016
"""Bytes of a file's header, its length not counted: the number of rows is known when the last is written."""
_OPEN_FILES = 64
_KNOWN_ROWS = 1 << 22
"""Rows of files that are closed, and whose headers and checksums are kept: 4 bytes each."""


class RowWriter:
    """Appends rows to a new file, which is a safetensors file after `close`.

    Args:
        path: of the file.
        dtype: of the rows: float32, float16 or uint8.
        shape: of a row.
    """

    def __init__(self, path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
        self.dtype, self.shape, self.count = np.dtype(dtype), tuple(shape), 0
        self._sums = bytearray()
        self._file: BinaryIO = path.open("wb")
        self._file.write(bytes(8 + _HEADER))

    def append(self, rows: np.ndarray) -> None:
        """Write rows ``(n, *shape)``."""
        if rows.dtype != self.dtype or rows.shape[1:] != self.shape:
            raise ValueError(f"rows {rows.dtype} {rows.shape[1:]}: expected {self.dtype} {self.shape}")
        rows = np.ascontiguousarray(rows)
        for row in rows:
            self._sums += zlib.crc32(row).to_bytes(4, "little")
        self._file.write(rows.data.cast("B") if rows.size else b"")
        self.count += len(rows)

    def close(self) -> str:
        """Write checksums and header; the digest of the rows."""
        shape = (self.count, *self.shape)
        with self._file as file:
            file.write(self._sums)
            file.seek(0)
            file.write(_header(self.dtype, shape))
        return _digest(self.dtype, shape, bytes(self._sums))

    def abandon(self) -> None:
        """Close the file as it is."""
        with suppress(OSError):
            self._file.close()


@attrs.frozen
class ShardRows:
    """``count`` rows of a shard from ``first`` on."""

    shard: str
    first: int
    count: int


@attrs.frozen(eq=False)
class _Open:
    """An open file of rows."""

    handle: int
    path: Path
    first: int
    """Byte of the first row."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    sums: np.ndarray | None
    """CRC-32 of each row ``(n,)``; None in a file of format 1."""

    @property
    def digest(self) -> str:
        return _digest(self.dtype, self.shape, b"" if self.sums is None else self.sums.tobytes())


class Shards:
    """Reads the rows of the shards in a folder.

    Args:
        folder: of the shards.
        digests: of files by name, such as "shard-00000.latents", compared when a file is first opened.
        open_files: at most, beyond which the file that was longest unused is closed.
        remedy: what to do about a damaged file; ``{}`` is its name up to the first full stop.
    """

    def __init__(
        self,
        folder: Path,
        digests: Mapping[str, str] | None = None,
        open_files: int = _OPEN_FILES,
        remedy: str = "delete {}.json and manifest.json beside it, and encode again",
    ) -> None:
        self.folder, self._digests, self._limit, self._remedy = folder, digests or {}, open_files, remedy
        self._files: OrderedDict[str, _Open] = OrderedDict()
        self._closed: OrderedDict[str, _Open] = OrderedDict()
        self._closed_rows = 0
        self._verified: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict()}

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that are open; the next read opens them again."""
        while getattr(self, "_files", None):
            _, file = self._files.popitem()
            os.close(file.handle)

    def row_shape(self, shard: str, kind: str) -> tuple[int, ...]:
        """The shape of a row."""
        return self._opened(f"{shard}.{kind}").shape[1:]

    def read(self, shard: str, kind: str, first: int, count: int, clip: str = "") -> np.ndarray:
        """Rows ``first`` to ``first + count`` of ``SHARD.KIND``, each compared with its checksum.

        Args:
            shard: name of the shard, such as "shard-00000".
            kind: "latents", "frames" or another name of rows.
            first: the first row.
            count: of rows.
            clip: whose rows these are, for errors.

        Raises:
            InputError: the file cannot be read, or is not what was written.
        """
        return self.read_all(kind, [ShardRows(shard, first, count)], lambda number: clip)[0]

    def read_all(self, kind: str, places: Sequence[ShardRows], clip: Callable[[int], str]) -> np.ndarray:
        """Several reads of as many rows each, shard by shard: rows ``(n, count, *row)`` in the order of ``places``.

        Args:
            kind: as of `read`.
            places: of the rows; of one count, and of rows of one shape.
            clip: whose rows those of a place are, by its number.

        Raises:
            InputError: as `read`.
        """
        order = sorted(range(len(places)), key=lambda number: (places[number].shard, places[number].first))
        count = places[0].count
        first = self._opened(f"{places[order[0]].shard}.{kind}")
        found = np.empty((len(places), count, *first.shape[1:]), first.dtype)
        size = found.nbytes // len(places)
        view = found.data.cast("B") if found.nbytes else memoryview(b"")
        for number in order:
            place = places[number]
            name = f"{place.shard}.{kind}"
            file = self._opened(name)
            if place.count != count or file.shape[1:] != first.shape[1:] or file.dtype != first.dtype:
                raise ValueError(f"rows of {name} differ from those of {places[order[0]].shard}")
            self._fill(name, file, place.first, count, view[number * size :][:size], partial(clip, number))
        return found

    def _fill(
        self, name: str, file: _Open, first: int, count: int, view: memoryview, clip: Callable[[], str]
    ) -> None:
        """Read rows into memory, and compare them with their checksums."""
        if first < 0 or first + count > file.shape[0]:
            raise self._damaged(name, f"{file.shape[0]} rows, expected at least {first + count}", clip())
        if not view:
            return
        width = len(view) // count
        try:
            got = os.preadv(file.handle, [view], file.first + first * width)
        except OSError as error:
            raise unreadable(self._path(name), error, "encode again") from None
        if got != len(view):
            raise self._damaged(name, "it is shorter than it was written", clip())
        if file.sums is None:
            return
        for number in range(count):
            if zlib.crc32(view[number * width : (number + 1) * width]) != file.sums[first + number]:
                raise self._damaged(name, f"row {first + number} is not the bytes that were written", clip())

    def _opened(self, name: str) -> _Open:
        found = self._files.get(name)
        if found is not None:
            self._files.move_to_end(name)
            return found
        while len(self._files) >= self._limit:
            self._close(*self._files.popitem(last=False))
        if (known := self._closed.pop(name, None)) is not None:
            path = known.path
            self._closed_rows -= known.shape[0]
        else:
            path = self._path(name)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(path, error, self._advice(name, error)) from None
        if known is not None:
            self._files[name] = found = attrs.evolve(known, handle=handle)
            return found
        try:
            found = _npy(handle, path) if path.suffix == ".npy" else _safetensors(handle, path)
            expected = self._digests.get(name)
            if expected is not None and name not in self._verified and found.digest != expected:
                raise ValueError("its checksums are not those of the manifest")
            self._verified.add(name)
        except (OSError, ValueError, EOFError, LookupError, TypeError, MemoryError) as error:
            os.close(handle)
            raise (refusal(path, error) or self._damaged(name, str(error))) from None
        except BaseException:
            os.close(handle)
            raise
        self._files[name] = found
        return found

    def _close(self, name: str, file: _Open) -> None:
        """Close a file, and keep what its header and its checksums are, some of the last."""
        os.close(file.handle)
        self._closed[name] = file
        self._closed_rows += file.shape[0]
        while self._closed_rows > _KNOWN_ROWS:
            self._closed_rows -= self._closed.popitem(last=False)[1].shape[0]

    def _path(self, name: str) -> Path:
        path = self.folder / f"{name}.safetensors"
        old = self.folder / f"{name}.npy"
        return old if not path.exists() and old.exists() else path

    def _damaged(self, name: str, reason: str, clip: str = "") -> InputError:
        whose = f" of clip {clip}" if clip else ""
        return InputError(f"{self._path(name)}{whose} {self._advice(name, reason)}")

    def _advice(self, name: str, reason: object) -> str:
        return f"is damaged ({reason}): {self._remedy.format(name.split('.')[0])}"


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """What a safetensors file of such rows begins with."""
    count, size = shape[0], int(np.prod(shape)) * dtype.itemsize
    entries = {
        "rows": {"dtype": _NAMES[dtype.name], "shape": list(shape), "data_offsets": [0, size]},
        "crc32": {"dtype": "U8", "shape": [count, 4], "data_offsets": [size, size + 4 * count]},
    }
    return _HEADER.to_bytes(8, "little") + json.dumps(entries).encode().ljust(_HEADER)


def _safetensors(handle: int, path: Path) -> _Open:
    header = os.pread(handle, 8 + _HEADER, 0)
    rows = json.loads(header[8:])["rows"]
    shape, dtype = tuple(map(int, rows["shape"])), _DTYPES[rows["dtype"]]
    if header != _header(dtype, shape):
        raise ValueError("its header is not the one that was written")
    size = int(np.prod(shape)) * dtype.itemsize
    stored = os.pread(handle, 4 * shape[0], len(header) + size)
    if len(stored) != 4 * shape[0]:
        raise ValueError("it is shorter than it was written")
    return _Open(handle, path, len(header), dtype, shape, np.frombuffer(stored, "<u4"))


def _npy(handle: int, path: Path) -> _Open:
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        first = file.tell()
    if dtype.hasobject or os.fstat(handle).st_size != first + int(np.prod(shape)) * dtype.itemsize:
        raise ValueError("it is shorter than it was written")
    return _Open(handle, path, first, dtype, shape, None)


def _digest(dtype: np.dtype[Any], shape: tuple[int, ...], sums: bytes) -> str:
    return hashlib.sha256(f"{dtype.name} {shape}".encode() + sums).hexdigest()
