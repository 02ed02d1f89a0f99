"""Arrays of features that are written batch by batch in a hidden folder; a stopped pass is resumed.

    .<name>.part/features.npy, ...    rows as they come, after a header with the number that there will be
    .<name>.part/rows.json            how many of them count: written last, once the rows are safe on the disk

Rows beyond those that count are cut off by the next pass. The folder takes its name when it is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jvid.errors import InputError
from jvid.files import put_folder, write_json
from jvid.refusals import parse_json, read_text, refusal

__all__ = ["ResumableArrays"]

_ROWS = "rows.json"


class ResumableArrays:
    """Arrays of ``count`` rows that become ``folder``; ``done`` of them are already on the disk.

    Rows are written, not mapped: a full disk is an error then. Whoever makes one holds the folder's lock.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.done = folder, count, 0
        self.part = folder.with_name(f".{folder.name}.part")
        self._files: dict[str, BinaryIO] = {}
        try:
            self._resume()
        except (OSError, ValueError, KeyError, TypeError) as error:  # nothing there, or nothing to rely on
            if found := refusal(self.part, error):  # a file that cannot be opened may hold good rows
                self.close()
                raise found from error
            self.discard()
            self.done = 0
            self.part.mkdir(parents=True)

    def _resume(self) -> None:
        found = parse_json(read_text(self.part / _ROWS))
        for key in found["keys"]:
            file = self._files[key] = (self.part / f"{key}.npy").open("r+b")
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            end = file.tell() + found["rows"] * int(np.prod(shape[1:])) * dtype.itemsize
            if shape[0] != self.count or file.seek(0, os.SEEK_END) < end:
                raise ValueError(f"{key}: fewer rows than were counted, or of other clips")
            file.truncate(file.seek(end))
        self.done = int(found["rows"])

    def add(self, made: Mapping[str, np.ndarray]) -> None:
        """The rows of the next batch, by key; OSError on a full disk."""
        for key, given in made.items():
            rows = np.ascontiguousarray(given, "<f4")
            if key not in self._files:
                file: BinaryIO = (self.part / f"{key}.npy").open("wb")
                self._files[key] = file
                header = {"descr": "<f4", "fortran_order": False, "shape": (self.count, *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            self._files[key].write(rows.tobytes())
        for written in self._files.values():
            written.flush()
            os.fsync(written.fileno())
        self.done += len(next(iter(made.values())))
        write_json(self.part / _ROWS, {"rows": self.done, "keys": sorted(self._files)})

    def finish(self, meta: Mapping[str, object]) -> None:
        """Take the name, with ``meta`` beside the arrays.

        Raises:
            InputError: rows are missing, or too many; they are thrown away.
        """
        if self.done != self.count:
            self.discard()
            raise InputError(f"{self.done} rows of features, expected {self.count}: make the clips again")
        keys = sorted(self._files)
        self.close()
        (self.part / _ROWS).unlink()
        (self.part / "meta.json").write_text(json.dumps({**meta, "keys": keys}, indent=1), encoding="utf-8")
        # A folder there lacks its meta.json: what is whole is not computed again.
        put_folder(self.part, self.folder, "features.npy", ("*.npy", "meta.json"))

    def close(self) -> None:
        """Leave what counts for another pass."""
        for file in self._files.values():
            with suppress(OSError):
                file.close()
        self._files.clear()

    def discard(self) -> None:
        """Throw it away."""
        self.close()
        shutil.rmtree(self.part, ignore_errors=True)
