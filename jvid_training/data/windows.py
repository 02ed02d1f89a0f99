"""Encoded shards as training samples.

Every sample of every step has its own counter-based generator, keyed by ``(seed, step, place in the global
batch)``. A batch therefore does not depend on the number of processes, on gradient accumulation or on a resume,
and no loader has a state to save.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import torch

from jvid.errors import InputError
from jvid_training.data.manifest import Manifest, Sequence, load_manifest, mapped

Split = Literal["train", "holdout"]
HELD_OUT_STEP = 1 << 40
"""The step that samples of held-out actors are drawn at: the same in each validation, and beyond every step of training."""


def generator(seed: int, step: int, place: int) -> np.random.Generator:
    """The generator of one sample; ``place`` is its index in the batch over all processes."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, step, place])))


@attrs.frozen(eq=False)
class Window:
    """``frames`` consecutive frames of a sequence."""

    sequence: Sequence
    start: int


class Windows:
    """All windows of a split but those of the actors in ``leave_out``, drawn with equal weight for each action.

    Arrays are memory maps: nothing is read before it is used.
    """

    def __init__(self, folder: Path, split: Split = "train", leave_out: Iterable[str] = ()) -> None:
        self.folder = folder
        self.manifest: Manifest = load_manifest(folder)
        held = set(self.manifest.holdout)
        self.sequences = [s for s in self.manifest.sequences if (s.actor in held) == (split == "holdout")]
        if not self.sequences:
            raise InputError(
                f"{folder}: the {split} split is empty; set data.holdout to one actor of several"
            )
        actors, left = {s.actor for s in self.sequences}, set(leave_out)
        if not left < actors:
            raise InputError(
                f"training.leave_out: got {', '.join(sorted(left))}; expected some of {', '.join(sorted(actors))}, not all"
            )
        self.sequences = [s for s in self.sequences if s.actor not in left]
        self.length = self.manifest.frames
        self.by_action: dict[str, list[Window]] = {}
        for sequence in self.sequences:
            starts = range(sequence.length - self.length + 1)
            self.by_action.setdefault(sequence.action, []).extend(Window(sequence, start) for start in starts)
        self.actions = tuple(sorted(self.by_action))
        self._maps: dict[str, np.ndarray] = {}
        self._mean = np.asarray(self.manifest.mean, np.float32)[:, None, None]
        self._std = np.asarray(self.manifest.std, np.float32)[:, None, None]

    def __len__(self) -> int:
        return sum(len(windows) for windows in self.by_action.values())

    def draw(self, random: np.random.Generator) -> Window:
        """An action with equal chances, then one of its windows."""
        windows = self.by_action[self.actions[random.integers(len(self.actions))]]
        return windows[random.integers(len(windows))]

    def latents(self, window: Window, frame: int | None = None) -> torch.Tensor:
        """Normalised latents ``(c, f, h, w)`` of a window, or of its one frame ``(c, 1, h, w)``."""
        raw = self._slice(window, "latents", frame).astype(np.float32)
        return torch.from_numpy((raw - self._mean) / self._std).permute(1, 0, 2, 3).contiguous()

    def video(self, window: Window) -> torch.Tensor:
        """Pixels ``(3, f, H, W)`` of a window in [-1, 1]."""
        raw = torch.from_numpy(self._slice(window, "frames", None).copy())
        return raw.permute(3, 0, 1, 2).float() / 127.5 - 1

    def _slice(self, window: Window, kind: str, frame: int | None) -> np.ndarray:
        name = f"{window.sequence.shard}.{kind}.npy"
        if name not in self._maps:
            self._maps[name] = mapped(self.folder / name)
        first = window.sequence.offset + window.start
        if frame is not None:
            return self._maps[name][first + frame : first + frame + 1]
        return self._maps[name][first : first + self.length]
