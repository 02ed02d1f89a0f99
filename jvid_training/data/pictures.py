"""Single frames of a folder of images and clips, for the training of an autoencoder.

Files are read when a frame of them is drawn: a data set of any size costs no memory. A file is held out where a folder of its
path below the root, its name, or its actor, is in ``data.holdout``.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid.media.clips import pictures
from jvid_models.paths import below_shared
from jvid_training.data.checks import some
from jvid_training.data.clips import MEDIA, actor_of, files_below
from jvid_training.data.crop import apply_crop, centre_crop
from jvid_training.data.windows import Split
from jvid_training.recipe import Data

__all__ = ["Pictures"]


class Pictures:
    """All images, and all frames of clips, of a split below ``data.root``, drawn with equal weight for each file."""

    def __init__(self, data: Data, split: Split = "train") -> None:
        if data.source != "folder":
            raise InputError(
                f"data.source: got {data.source!r}, expected 'folder': an autoencoder learns from files, unpack them"
            )
        self.data = data
        self.root = below_shared(data.root)
        every = _media(self.root)
        self.files = [path for path in every if _held_out(path, self.root, data) == (split == "holdout")]
        if not self.files:
            folders = sorted({name for path in every for name in path.relative_to(self.root).parts[:-1]})
            raise InputError(
                f"{self.root}: the {split} split is empty; data.holdout is {some(data.holdout) or 'empty'}, expected some of the "
                f"folders ({some(folders) or 'there is none'}) or actors, and not all"
            )

    def __len__(self) -> int:
        return len(self.files)

    def bucket(self, seed: int, step: int, place: int) -> None:
        """None: frames have one size."""

    def draw(self, random: np.random.Generator, bucket: None = None) -> Tensor:
        """A frame ``(3, size, size)`` of a random file, in [-1, 1]; half of them mirrored where ``data.flip`` is set."""
        path = self.files[random.integers(len(self.files))]
        # A clip is decoded twice, once to count: all frames of it can take more memory than there is.
        every = pictures(path)
        first = next(every)
        place = int(random.integers(1 + sum(1 for _ in every)))
        frame = (next(islice(pictures(path), place, None)) if place else first).pixels[None]
        side = min(frame.shape[1:3]) if self.data.crop_size is None else self.data.crop_size
        if frame.shape[1:3] != (self.data.size, self.data.size) or side != self.data.size:
            frame = apply_crop(frame, centre_crop(frame, side), (self.data.size, self.data.size))
        picture = torch.from_numpy(frame[0].copy()).permute(2, 0, 1).float() / 127.5 - 1
        if self.data.flip and random.random() < 0.5:
            picture = picture.flip(-1)
        return picture.contiguous()


def _media(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError(f"no folder of images or clips at {root}: set data.root, or JVID_SHARED")
    found = [path for path in files_below(root) if path.suffix.lower() in MEDIA]
    if not found:
        raise InputError(f"no images or clips in {root}: expected files ending in {', '.join(sorted(MEDIA))}")
    return found


def _held_out(path: Path, root: Path, data: Data) -> bool:
    parts = path.relative_to(root).parts
    return not set(parts).isdisjoint(data.holdout) or actor_of(path, data.actor) in data.holdout
