"""Encoded shards as training samples.

Every sample of every step has its own generator (`jvid_training.data.streams`), keyed by ``(seed, step, place in the global
batch)``. A batch therefore does not depend on the number of processes, on gradient accumulation or on a resume.

Windows are counted and never listed: window k of an action is found by the cumulated numbers of its sequences.

In an encoding with buckets all samples of a step are of one, a function of the seed and the step:

    P(window) = 1 / (A n_a)        action a of A with equal chances, then one of its n_a windows; with buckets and without
    P(bucket) = sum of P(window) over its windows

Held-out samples have a bucket each, by their places, so that their loss is over all buckets.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Listed
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import torch

from jvid.errors import InputError
from jvid_training.data.manifest import Manifest, Sequence, load_manifest
from jvid_training.data.sequences import Sequences
from jvid_training.data.shards import ShardRows, Shards
from jvid_training.data.streams import first_uniform

Split = Literal["train", "holdout"]
HELD_OUT_STEP = 1 << 40
"""The step that samples of held-out actors are drawn at: the same in each validation, and beyond every step of training."""


_BUCKET = (1 << 40) + 2
"""The place in a batch of the number that decides which bucket a step is of; no sample has it."""
_GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, are spread evenly from any place on."""


@attrs.frozen(eq=False)
class Window:
    """``length`` consecutive frames of a sequence, the one in ``row`` of the encoding's."""

    sequences: Sequences
    row: int
    start: int
    length: int

    @property
    def sequence(self) -> Sequence:
        """The sequence, made anew each time."""
        return self.sequences[self.row]

    @property
    def action(self) -> str:
        """Of its clip."""
        return self.sequences.action(self.row)

    @property
    def captions(self) -> tuple[str, ...]:
        """Of its clip."""
        return self.sequences.captions_of(self.row)

    def rows(self, frame: int | None = None) -> ShardRows:
        """Where it is in the shards, or its one frame."""
        shard, offset = self.sequences.place(self.row)
        return ShardRows(shard, offset + self.start + (frame or 0), self.length if frame is None else 1)


@attrs.frozen(eq=False)
class _BucketWindows:
    """Windows that are drawn together: an action, then one of its windows.

    Attributes:
        actions: of each, the rows of its sequences, and how many windows it has up to the end of each.
        ends: the cumulated chances of the actions; equal ones if None.
    """

    actions: tuple[tuple[np.ndarray, np.ndarray], ...]
    ends: np.ndarray | None = None

    def draw(self, random: np.random.Generator) -> tuple[int, int]:
        """The row of a sequence, and the start of a window in it."""
        if self.ends is None:
            action = int(random.integers(len(self.actions)))
        else:
            action = int(np.searchsorted(self.ends, random.random(), "right"))
        rows, ends = self.actions[action]
        chosen = int(random.integers(int(ends[-1])))
        place = int(ends.searchsorted(chosen, "right"))
        begin = int(ends[place - 1]) if place else 0
        return int(rows[place]), chosen - begin


class Windows:
    """All windows of a split but those of the actors in ``leave_out``, drawn with equal weight for each action.

    Nothing is read before it is used.

    Attributes:
        manifest: of the encoding.
        length: frames of the longest window.
        actions: names of the actions that there are.
        shares: the chance of each bucket of the manifest; none without buckets.
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
        self._windows = self.manifest.windows()
        counted = self._counted(self._rows)
        self.actions = tuple(sorted(counted))
        self._all = _BucketWindows(tuple(counted[name] for name in self.actions))
        self._buckets = self._bucketed(counted)
        total = np.cumsum([share for _, share in self._buckets])
        self.shares = tuple(share / float(total[-1]) for _, share in self._buckets)
        self._ends = total / total[-1] if len(total) else total
        self._shards = Shards(folder, self.manifest.shards)
        self._mean = np.asarray(self.manifest.mean, np.float32)[:, None, None]
        self._std = np.asarray(self.manifest.std, np.float32)[:, None, None]

    def _counted(self, chosen: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By action, the rows of its sequences and how many windows it has up to the end of each."""
        every, counts = self.manifest.sequences, self._windows[chosen]
        action = every.of_each("action")[chosen]
        found = {}
        for number in np.unique(action):
            mine = action == number
            found[every.names["action"][number]] = chosen[mine], np.cumsum(counts[mine])
        return found

    def _bucketed(
        self, whole: dict[str, tuple[np.ndarray, np.ndarray]]
    ) -> list[tuple[_BucketWindows, float]]:
        """Each bucket of the manifest with its chance; ``whole`` are the actions with the windows of all buckets."""
        found = []
        for number in range(len(self.manifest.buckets)):
            rows = self._rows[self.manifest.sequences.of_each("bucket")[self._rows] == number]
            counted = self._counted(rows)
            chances = np.cumsum(
                [int(ends[-1]) / int(whole[name][1][-1]) for name, (_, ends) in counted.items()]
            )
            share = float(chances[-1]) if len(chances) else 0.0
            found.append(
                (_BucketWindows(tuple(counted.values()), chances / share if share else chances), share)
            )
        return found

    @property
    def sequences(self) -> list[Sequence]:
        """The sequences that windows are drawn of, in order; made anew each time."""
        return [self.manifest.sequences[int(row)] for row in self._rows]

    def __len__(self) -> int:
        return sum(int(ends[-1]) for _, ends in self._all.actions)

    def bucket(self, seed: int, step: int, place: int) -> int | None:
        """The bucket of a sample, which all samples of a training step share; None without buckets."""
        if not self._buckets:
            return None
        u = first_uniform(seed, step, _BUCKET)
        if step == HELD_OUT_STEP:
            u = (u + place * _GOLDEN) % 1.0
        return int(np.searchsorted(self._ends, u, "right"))

    def draw(self, random: np.random.Generator, bucket: int | None = None) -> Window:
        """An action with equal chances, then one of its windows; of a bucket, with the chances that these have in it."""
        row, start = (self._all if bucket is None else self._buckets[bucket][0]).draw(random)
        sequences, buckets = self.manifest.sequences, self.manifest.buckets
        length = buckets[sequences.bucket(row)].frames if buckets else self.length
        return Window(sequences, row, start, length)

    def shapes(self) -> dict[int, tuple[int, int, int]]:
        """The number of each bucket that has windows, and the frames, rows and columns of one in latents."""
        found = {}
        for number, (group, _) in enumerate(self._buckets):
            if group.actions:
                sequence = self.manifest.sequences[int(group.actions[0][0][0])]
                _, *sides = self._shards.row_shape(sequence.shard, "latents")
                found[number] = (self.manifest.buckets[number].frames, sides[0], sides[1])
        return found

    def shape(self, window: Window, frame: int | None = None) -> tuple[int, int, int, int]:
        """That of a window's latents ``(c, f, h, w)``, or of one frame's."""
        shard, _ = window.sequences.place(window.row)
        channels, height, width = self._shards.row_shape(shard, "latents")
        return channels, window.length if frame is None else 1, height, width

    def latents(self, window: Window, frame: int | None = None) -> torch.Tensor:
        """Normalised latents ``(c, f, h, w)`` of a window, or of its one frame ``(c, 1, h, w)``."""
        return self.stacked_latents([window], None if frame is None else [frame])[0]

    def stacked_latents(self, windows: Listed[Window], frames: Listed[int] | None = None) -> torch.Tensor:
        """Normalised latents ``(b, c, f, h, w)`` of windows of one shape, or of one frame of each."""
        raw = self._read(windows, "latents", frames).astype(np.float32, copy=False)
        normalised = np.subtract(raw, self._mean, out=raw)
        normalised /= self._std
        return torch.from_numpy(np.ascontiguousarray(normalised.transpose(0, 2, 1, 3, 4)))

    def video(self, window: Window) -> torch.Tensor:
        """Pixels ``(3, f, H, W)`` of a window in [-1, 1]."""
        raw = torch.from_numpy(self._read([window], "frames", None)[0])
        return raw.permute(3, 0, 1, 2).float() / 127.5 - 1

    def _read(self, windows: Listed[Window], kind: str, frames: Listed[int] | None) -> np.ndarray:
        chosen: Listed[int | None] = [None] * len(windows) if frames is None else frames
        rows = [window.rows(frame) for window, frame in zip(windows, chosen, strict=True)]
        return self._shards.read_all(kind, rows, lambda number: windows[number].sequence.clip)
