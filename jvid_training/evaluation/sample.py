"""Clips of a source with the features that a metric needs: what its ``compute`` is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from jvid.core.metrics import ClipSample, ClipSource
from jvid_models.prompts import normalise_prompt

__all__ = [
    "MeasuredClips",
    "actors_of",
    "attributes_of",
    "captioned_clips",
    "files_of",
    "holdout_of",
    "true_clips",
]


@attrs.frozen(eq=False)
class MeasuredClips:
    """A `jvid.ClipSample` of a source of clips; ``features`` are memory maps, one mapping for each network."""

    source: ClipSource
    features: tuple[Mapping[str, np.ndarray], ...] = ()

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.source.fps

    @property
    def frames(self) -> int:
        """Frames of each clip."""
        return self.source.frames

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.source.size

    @property
    def fingerprint(self) -> str:
        """The source's fingerprint."""
        return self.source.fingerprint

    @property
    def labels(self) -> Sequence[str]:
        """The action of each clip in words."""
        return self.source.labels

    def __len__(self) -> int:
        return len(self.source)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """Frames uint8 ``(n f H W 3)``, in order."""
        return self.source.batches(size)


def actors_of(clips: ClipSample) -> Sequence[str] | None:
    """The actor of each clip; None where the source does not know them."""
    return getattr(_source(clips), "actors", None)


def holdout_of(clips: ClipSample) -> tuple[str, ...]:
    """The actors that the models were not trained on."""
    return tuple(getattr(_source(clips), "holdout", ()))


def files_of(clips: ClipSample) -> np.ndarray:
    """The file of each clip ``(n)``: its phases, mirror images and windows are no clips of their own."""
    return np.asarray(getattr(_source(clips), "files", range(len(clips))))


def attributes_of(clips: ClipSample) -> Sequence[Mapping[str, Any]] | None:
    """What the metadata states of each clip; None where the source does not know it."""
    return getattr(_source(clips), "attributes", None)


def true_clips(clips: ClipSample, reference: ClipSample) -> list[list[int]]:
    """For each clip, the reference clips that its label is a caption of: mostly one, none for another prompt."""
    return captioned_clips(clips.labels, reference)


def captioned_clips(prompts: Sequence[str], reference: ClipSample | ClipSource) -> list[list[int]]:
    """The same for each of ``prompts``."""
    captions = getattr(_source(reference), "captions", None) or [(label,) for label in reference.labels]
    found: dict[str, list[int]] = {}
    for index, each in enumerate(captions):
        for caption in dict.fromkeys(map(normalise_prompt, each)):
            found.setdefault(caption, []).append(index)
    return [found.get(normalise_prompt(label), []) if label else [] for label in prompts]


def _source(clips: ClipSample | ClipSource) -> object:
    return clips.source if isinstance(clips, MeasuredClips) else clips
