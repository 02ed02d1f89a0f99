"""Clips of another source, coded or chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jvid.media.frames import to_frames

if TYPE_CHECKING:
    from jvid.core.metrics import ClipSource

__all__ = ["Coded", "Subset"]


class Coded:
    """``source`` encoded and decoded by ``codec`` when it is shown: the paper's "Image AE" and "Video AE".

    ``name`` as tables show it. Nothing is kept: give the features a cache.
    """

    def __init__(self, source: ClipSource, codec: Any, name: str = "codec") -> None:
        self.source, self.codec, self.name = source, codec, name
        self.fps, self.frames, self.size = source.fps, source.frames, source.size
        self.labels = source.labels
        self.actors = getattr(source, "actors", None)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the clips, a key of the feature cache."""
        digest = hashlib.sha256(f"coded {self.source.fingerprint}".encode())
        # Its output for one batch distinguishes codecs, whatever they are made of.
        digest.update(next(self.batches(1)).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.source)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """The clips in order, uint8 ``(n f H W 3)``, at most ``size`` at once."""
        for batch in self.source.batches(size):
            made = []
            for clip in batch:  # one by one: the same bits at any size of batch
                video = torch.from_numpy(clip.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
                with torch.inference_mode():
                    decoded = self.codec.decode(self.codec.encode(video))
                made.append(to_frames(decoded)[0])
            yield np.stack(made)


class Subset:
    """The clips of ``source`` for which ``keep(label, index)`` holds."""

    def __init__(self, source: ClipSource, keep: Callable[[str, int], bool], name: str | None = None) -> None:
        self.source = source
        self.chosen = [index for index, label in enumerate(source.labels) if keep(label, index)]
        self.name = source.name if name is None else name
        self.fps, self.frames, self.size = source.fps, source.frames, source.size
        self.labels = tuple(source.labels[index] for index in self.chosen)
        for name in ("actors", "captions", "attributes"):
            known = getattr(source, name, None)
            setattr(self, name, None if known is None else tuple(known[index] for index in self.chosen))

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the clips, a key of the feature cache."""
        return hashlib.sha256(f"subset {self.source.fingerprint} {self.chosen}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.chosen)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """The clips in order, uint8 ``(n f H W 3)``, at most ``size`` at once."""
        wanted, first = set(self.chosen), 0
        for batch in self.source.batches(size):
            kept = [clip for index, clip in enumerate(batch, first) if index in wanted]
            first += len(batch)
            if kept:
                yield np.stack(kept)
