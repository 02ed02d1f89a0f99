"""Encoded shards as training samples.

Every sample of every step has its own counter-based generator, keyed by ``(seed, step, place in the global
batch)``. A batch therefore does not depend on the number of processes, on gradient accumulation or on a resume,
and no loader has a state to save.

Windows are counted and never listed: window k of an action is found by the cumulated numbers of its sequences.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import torch

from jvid.errors import InputError
from jvid_training.data.manifest import Manifest, Sequence, load_manifest
from jvid_training.data.shards import Shards

Split = Literal["train", "holdout"]
HELD_OUT_STEP = 1 << 40
"""The step that samples of held-out actors are drawn at: the same in each validation, and beyond every step of training."""


def generator(seed: int, step: int, place: int) -> np.random.Generator:
    """The generator of one sample; ``place`` is its index in the batch over all processes."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, step, place])))


@lru_cache(maxsize=256)
def first_uniform(seed: int, step: int, place: int) -> float:
    """The first number of a generator, uniform on [0, 1): what all samples of a step share is drawn once."""
    return float(generator(seed, step, place).random())


@attrs.frozen(eq=False)
class Window:
    """``frames`` consecutive frames of a sequence."""

    sequence: Sequence
    start: int


class Windows:
    """All windows of a split but those of the actors in ``leave_out``, drawn with equal weight for each action.

    Nothing is read before it is used.
    """

    def __init__(self, folder: Path, split: Split = "train", leave_out: Iterable[str] = ()) -> None:
        self.folder = folder
        self.manifest: Manifest = load_manifest(folder)
        self.length = self.manifest.frames
        every = self.manifest.sequences
        names, actor = every.names["actor"], every.of_each("actor")
        held = np.asarray([name in set(self.manifest.holdout) for name in names], bool)
        chosen = held[actor] == (split == "holdout") if len(every) else np.empty(0, bool)
        if not chosen.any():
            raise InputError(
                f"{folder}: the {split} split is empty; set data.holdout to one actor of several"
            )
        actors, left = {names[number] for number in np.unique(actor[chosen])}, set(leave_out)
        if not left < actors:
            raise InputError(
                f"training.leave_out: got {', '.join(sorted(left))}; expected some of {', '.join(sorted(actors))}, not all"
            )
        self._rows = np.flatnonzero(chosen & ~np.asarray([name in left for name in names], bool)[actor])
        self._actions = self._counted()
        self.actions = tuple(sorted(self._actions))
        self._shards = Shards(folder, self.manifest.shards)
        self._mean = np.asarray(self.manifest.mean, np.float32)[:, None, None]
        self._std = np.asarray(self.manifest.std, np.float32)[:, None, None]

    def _counted(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By action, the rows of its sequences and how many windows it has up to the end of each."""
        every = self.manifest.sequences
        counts = np.maximum(every.of_each("length")[self._rows].astype(np.int64) - self.length + 1, 0)
        action = every.of_each("action")[self._rows]
        found = {}
        for number in np.unique(action):
            mine = action == number
            found[every.names["action"][number]] = self._rows[mine], np.cumsum(counts[mine])
        return found

    @property
    def sequences(self) -> list[Sequence]:
        """The sequences that windows are drawn of, in order; made anew each time."""
        return [self.manifest.sequences[int(row)] for row in self._rows]

    def __len__(self) -> int:
        return sum(int(ends[-1]) for _, ends in self._actions.values())

    def draw(self, random: np.random.Generator) -> Window:
        """An action with equal chances, then one of its windows."""
        rows, ends = self._actions[self.actions[random.integers(len(self.actions))]]
        chosen = int(random.integers(int(ends[-1])))
        place = int(np.searchsorted(ends, chosen, "right"))
        begin = int(ends[place - 1]) if place else 0
        return Window(self.manifest.sequences[int(rows[place])], chosen - begin)

    def latents(self, window: Window, frame: int | None = None) -> torch.Tensor:
        """Normalised latents ``(c, f, h, w)`` of a window, or of its one frame ``(c, 1, h, w)``."""
        raw = self._read(window, "latents", frame).astype(np.float32, copy=False)
        return torch.from_numpy((raw - self._mean) / self._std).permute(1, 0, 2, 3).contiguous()

    def video(self, window: Window) -> torch.Tensor:
        """Pixels ``(3, f, H, W)`` of a window in [-1, 1]."""
        raw = torch.from_numpy(self._read(window, "frames", None))
        return raw.permute(3, 0, 1, 2).float() / 127.5 - 1

    def _read(self, window: Window, kind: str, frame: int | None) -> np.ndarray:
        sequence = window.sequence
        first = sequence.offset + window.start + (frame or 0)
        count = self.length if frame is None else 1
        return self._shards.read(sequence.shard, kind, first, count, sequence.clip)
