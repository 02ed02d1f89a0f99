"""Features of clips, computed once per network and source, streamed to disk.

    CACHE/<network>-<its fingerprint>/<source's fingerprint>/meta.json, features.npy, pooled.npy, ...

One pass over a source serves all networks that lack its features; a stopped pass is resumed (`ResumableArrays`), and of
processes that need the same features one computes them. Arrays are read by memory map, so that what is held does not
grow with the number of clips. Without a cache a temporary folder does the same.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from jvid.core.metric_values import rows_of
from jvid.core.metrics import FeatureNetwork
from jvid.errors import InputError, one_line
from jvid.media.arrays import mapped_array
from jvid.refusals import parse_json, read_text, unreadable
from jvid_training.evaluation.resumable import ResumableArrays
from jvid_training.evaluation.sources import ClipSource
from jvid_training.jobs.locks import held

__all__ = ["FeatureCache", "Features"]

_FORMAT = 1
_BATCH = 8
"""Clips that a network sees at once: its last bits depend on it, so a stopped pass goes on at a multiple."""


@attrs.frozen(eq=False)
class Features:
    """Rows of a source by one network: arrays ``(n d)`` or ``(n f d)`` by output, "features" among them."""

    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    @classmethod
    def load(cls, folder: Path, network: FeatureNetwork, source: ClipSource) -> Features:
        """What ``folder`` holds. Raises InputError where it is damaged, or of another network or other clips."""
        try:
            meta = parse_json(read_text(folder / "meta.json"))
            found = {name: meta[name] for name in ("format", "network", "source", "clips", "keys")}
            arrays = {key: mapped_array(folder / f"{key}.npy") for key in found["keys"]}
        except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, MemoryError) as error:
            reason = one_line(error)[:100]
            damaged = f"features in {folder} are damaged ({reason}): delete the folder"
            raise unreadable(folder, error, damaged) from None
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
        """By the networks' names. Raises InputError where the disk is full; what is finished stays."""
        folders = {network.name: self.folder_of(network, source) for network in networks}
        missing = [network for network in networks if not (folders[network.name] / "meta.json").is_file()]
        if missing:
            self._compute(source, missing, folders)
        return {network.name: Features.load(folders[network.name], network, source) for network in networks}

    def _compute(
        self, source: ClipSource, networks: Sequence[FeatureNetwork], folders: Mapping[str, Path]
    ) -> None:
        with ExitStack() as stack:
            # In one order, so that no two processes wait for each other; who waited finds the work done.
            for network in sorted(networks, key=lambda network: folders[network.name]):
                folder = folders[network.name]
                stack.enter_context(held(folder.with_name(f".{folder.name}.lock")))
            networks = [
                network for network in networks if not (folders[network.name] / "meta.json").is_file()
            ]
            try:
                arrays = {
                    network.name: ResumableArrays(folders[network.name], len(source)) for network in networks
                }
                for one in arrays.values():
                    stack.callback(one.close)
                if arrays:
                    self._grow(source, networks, arrays)
                for network in networks:
                    arrays[network.name].finish(
                        {
                            "format": _FORMAT,
                            "network": {"name": network.name, "fingerprint": network.fingerprint},
                            "source": source.fingerprint,
                            "clips": len(source),
                        }
                    )
            except OSError as error:
                raise InputError(
                    f"cannot write features below {self.folder}: {error.strerror or error}; free the space or give "
                    "another cache"
                ) from error

    def _grow(
        self, source: ClipSource, networks: Sequence[FeatureNetwork], arrays: Mapping[str, ResumableArrays]
    ) -> None:
        """One pass over the clips; each network sees those that it has not seen."""
        done = 0
        for batch in source.batches(_BATCH):
            done += len(batch)
            for network in networks:
                if arrays[network.name].done < done:
                    arrays[network.name].add(rows_of(network, batch))
            if self.progress is not None:
                self.progress(done, len(source), source.name)
