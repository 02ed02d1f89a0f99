"""Features of clips, computed once per network and source, streamed to disk.

    CACHE/<network>-<its fingerprint>/<source's fingerprint>/meta.json, features.npy, pooled.npy, ...

One pass over a source serves all networks that lack its features. Arrays grow in a hidden folder that takes its
name when whole; they are read by memory map, so that what is held does not grow with the number of clips.
Without a cache a temporary folder does the same.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np

from jvid.errors import InputError
from jvid_training.evaluation.networks.protocol import FeatureNetwork
from jvid_training.evaluation.sources import ClipSource

__all__ = ["FeatureCache", "Features"]

_FORMAT = 1


@attrs.frozen(eq=False)
class Features:
    """A source in the eyes of a network: arrays ``(n d)`` or ``(n f d)`` by key, "features" among them."""

    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    @classmethod
    def load(cls, folder: Path, network: FeatureNetwork, source: ClipSource) -> Features:
        """What ``folder`` holds. Raises InputError where it is damaged, or of another network or other clips."""
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            found = {name: meta[name] for name in ("format", "network", "source", "clips", "keys")}
            arrays = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in found["keys"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:100]
            raise InputError(f"features in {folder} are damaged ({reason}): delete the folder") from None
        for name, expected in (
            ("format", _FORMAT),
            ("network", {"name": network.name, "fingerprint": network.fingerprint}),
            ("source", source.fingerprint),
            ("clips", len(source)),
        ):
            if found[name] != expected:
                what = {"network": "another network", "format": "another format"}.get(name, "other clips")
                raise InputError(
                    f"features in {folder} are of {what} ({_short(found[name])}, expected {_short(expected)}): "
                    "delete the folder or give another cache"
                )
        return cls(arrays)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_short(part) for part in value.values())
    return str(value)[:24]


class FeatureCache:
    """Features below ``folder``; of a temporary one, removed with this object, where it is None.

    ``progress(done, total, name)`` is called after each batch of clips.
    """

    def __init__(
        self, folder: str | Path | None = None, progress: Callable[[int, int, str], None] | None = None
    ) -> None:
        if folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="jvid-features-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        else:
            self.folder = Path(folder)
        self.progress = progress

    def folder_of(self, network: FeatureNetwork, source: ClipSource) -> Path:
        """Where these features are or would be."""
        return self.folder / f"{network.name}-{network.fingerprint[:16]}" / source.fingerprint[:32]

    def features(self, source: ClipSource, networks: Sequence[FeatureNetwork]) -> dict[str, Features]:
        """By the networks' names. Raises InputError where the disk is full; features that are whole stay."""
        folders = {network.name: self.folder_of(network, source) for network in networks}
        missing = [network for network in networks if not (folders[network.name] / "meta.json").is_file()]
        if missing:
            self._compute(source, missing, folders)
        return {network.name: Features.load(folders[network.name], network, source) for network in networks}

    def _compute(
        self, source: ClipSource, networks: Sequence[FeatureNetwork], folders: Mapping[str, Path]
    ) -> None:
        growing: dict[str, _Growing] = {}
        try:
            for network in networks:
                growing[network.name] = _Growing(folders[network.name], len(source))
            done = 0
            for batch in source.batches():
                for network in networks:
                    growing[network.name].add(network(batch))
                done += len(batch)
                if self.progress is not None:
                    self.progress(done, len(source), source.name)
            for network in networks:
                growing[network.name].finish(network, source)
        except OSError as error:
            raise InputError(
                f"cannot write features below {self.folder}: {error.strerror or error}; free the space or give "
                "another cache"
            ) from error
        finally:
            for one in growing.values():
                one.discard()


class _Growing:
    """Arrays of known length, written row after row: a full disk is an error, as it is not through a memory map."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.done = folder, count, 0
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        self.files: dict[str, BinaryIO] = {}

    def add(self, made: Mapping[str, np.ndarray]) -> None:
        for key, rows in made.items():
            rows = np.ascontiguousarray(rows, np.float32)
            if key not in self.files:
                file = self.files[key] = (self.part / f"{key}.npy").open("wb")
                header = {"descr": "<f4", "fortran_order": False, "shape": (self.count, *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            self.files[key].write(rows.astype("<f4", copy=False).tobytes())
        self.done += len(next(iter(made.values())))

    def finish(self, network: FeatureNetwork, source: ClipSource) -> None:
        if self.done != self.count:
            raise InputError(f"{source.name} showed {self.done} clips, expected {self.count}: make it again")
        for file in self.files.values():
            file.close()
        meta = {
            "format": _FORMAT,
            "network": {"name": network.name, "fingerprint": network.fingerprint},
            "source": source.fingerprint,
            "clips": self.count,
            "keys": sorted(self.files),
        }
        (self.part / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        self.part.chmod(0o755)
        if self.folder.is_dir() and not (self.folder / "meta.json").is_file():
            shutil.rmtree(self.folder)
        try:
            self.part.rename(self.folder)
        except OSError:
            if not (self.folder / "meta.json").is_file():  # else another process was first, with the same
                raise

    def discard(self) -> None:
        for file in self.files.values():
            with suppress(OSError):
                file.close()
        shutil.rmtree(self.part, ignore_errors=True)
