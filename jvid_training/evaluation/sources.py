"""What shows clips: real ones, the same through a codec, some of another's; generated sets are `jvid_training.generation.sets`.

Real clips as StyleGAN-V's protocol has them: one window of consecutive frames at a random offset per video, drawn by a generator
that the video's own name keys, so that a window does not depend on which others are chosen. A "video" is a sequence of an encoded
folder: a clip in each of its phases, and mirrored, as far as the models were trained on these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jvid.core.keyed import keyed_uniform
from jvid.core.metrics import ClipSource
from jvid.errors import InputError
from jvid_models.prompts import prompt_of
from jvid_training.data.manifest import Sequence as Encoded
from jvid_training.data.manifest import load_manifest
from jvid_training.data.shards import Shards
from jvid_training.evaluation.views import Coded, Subset

__all__ = ["ClipSource", "Coded", "RealClips", "Subset", "captions_of", "check_agreement", "real_clips"]

Actors = Literal["all", "training", "held-out"]


def check_agreement(source: ClipSource, reference: ClipSource) -> None:
    """InputError where clips of different size, length or frame rate are to be compared, or where there are none."""
    for one in (source, reference):
        if len(one) < 1:
            raise InputError(f"{one.name} has no clips: expected at least one")
    for what, got, expected in (
        ("size", "x".join(map(str, source.size)), "x".join(map(str, reference.size))),
        ("frames", source.frames, reference.frames),
        ("frame rate", source.fps, reference.fps),
    ):
        if got != expected:
            raise InputError(
                f"{what} {got} of {source.name} is not the {expected} of the reference {reference.name}: "
                "give a reference of the same size, frames and frame rate"
            )


def captions_of(source: ClipSource) -> tuple[str, ...]:
    """The first caption of each clip, or its label, each once and shuffled by a fixed key: the first few are of all kinds."""
    captions = getattr(source, "captions", None) or [(label,) for label in source.labels]
    first = [texts[0] for texts in captions if texts]
    each = sorted({text for text in first if text})
    order = np.random.Generator(np.random.Philox(0)).permutation(len(each))
    return tuple(each[index] for index in order)


class RealClips:
    """Windows of an encoded folder (`jvid encode`).

    ``windows`` per sequence, each at its own offset; ``actors``: all, those trained on, or those held out;
    ``mirrored`` and ``phases``: whether sequences that are another's mirror image, or its frames left out by
    resampling, count; ``phrases``: class name to words of the prompt, as in the recipe (the paper's rule for a
    class that is absent); ``frames``: of a window, the folder's own when absent. Raises InputError where the
    folder holds no such clips.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        phrases: Mapping[str, str] | None = None,
        windows: int = 1,
        actors: Actors = "all",
        mirrored: bool = True,
        phases: bool = True,
        frames: int | None = None,
        seed: int = 0,
    ) -> None:
        if windows < 1:
            raise InputError(f"windows={windows}: expected at least 1 per sequence")
        self.folder = Path(folder)
        self.manifest = load_manifest(self.folder)
        self.frames = self.manifest.frames if frames is None else frames
        self.fps = self.manifest.fps
        self.holdout = self.manifest.holdout
        held = set(self.holdout)
        chosen = [
            sequence
            for sequence in self.manifest.sequences
            if (actors == "all" or (sequence.actor in held) == (actors == "held-out"))
            and (mirrored or not sequence.flip)
            and (phases or sequence.phase == 0)
            and sequence.length >= self.frames
        ]
        if not chosen:
            raise InputError(
                f"{folder} holds no clips of {actors} actors with {self.frames} frames: give other actors or fewer frames"
            )
        sizes = {self.manifest.buckets[s.bucket].size for s in chosen} if self.manifest.buckets else set()
        if len(sizes) > 1:
            raise InputError(
                f"{folder} holds clips of {len(sizes)} sizes, and metrics compare clips of one: encode a reference without "
                "data.buckets"
            )
        self.name = "real" if actors == "all" else f"real, {actors}"
        self._windows = [
            (s, _offset(s, number, seed, self.frames)) for s in chosen for number in range(windows)
        ]
        self._shards = Shards(self.folder, self.manifest.shards)
        words = {s.action: prompt_of(s.action, "", phrases) for s in chosen if s.action}
        self.labels: tuple[str, ...] = tuple(words.get(s.action) or s.captions[0] for s, _ in self._windows)
        self.actors: tuple[str, ...] = tuple(s.actor for s, _ in self._windows)
        """Who acts in each clip."""
        self.files: tuple[str, ...] = tuple(s.clip for s, _ in self._windows)
        """The file that each comes from: phases, mirror images and windows of one file share it."""
        self.captions = tuple(
            s.captions or (label,) for (s, _), label in zip(self._windows, self.labels, strict=True)
        )
        """All captions of each clip."""
        self.attributes = tuple(s.attributes for s, _ in self._windows)
        """What the metadata states of each clip."""
        first = self._window(0)
        self.size = (first.shape[1], first.shape[2])

    @classmethod
    def of_recipe(cls, path: str | Path, **options: Any) -> RealClips:
        """The encoded folder of a recipe, with its phrases."""
        from jvid_training.recipe import load_recipe

        data = load_recipe(Path(path)).data
        return cls(data.latents, phrases=data.phrases, **options)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the clips, a key of the feature cache."""
        digest = hashlib.sha256(f"{self.fps} {len(self)} {self.size}".encode())
        for batch in self.batches():
            digest.update(batch.tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._windows)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """The clips in order, uint8 ``(n f H W 3)``, at most ``size`` at once."""
        for start in range(0, len(self), size):
            yield np.stack([self._window(index) for index in range(start, min(start + size, len(self)))])

    def _window(self, index: int) -> np.ndarray:
        sequence, offset = self._windows[index]
        return self._shards.read(
            sequence.shard, "frames", sequence.offset + offset, self.frames, sequence.clip
        )


def real_clips(reference: str, **options: Any) -> RealClips:
    """Those of an encoded folder, or of the recipe (TOML) that it was encoded from; ``options`` as of `RealClips`."""
    return (RealClips.of_recipe if reference.endswith(".toml") else RealClips)(reference, **options)


def _offset(sequence: Encoded, number: int, seed: int, frames: int) -> int:
    u = keyed_uniform(seed, (sequence.clip, sequence.phase, int(sequence.flip), number))
    return int(u * (sequence.length - frames + 1))
