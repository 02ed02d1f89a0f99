"""What checks of postprocessors, feature networks and metrics draw: latents that move, clips of frames, and samples of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from jvid.core.metric_values import value_of
from jvid.core.metrics import FeatureNetwork, Resampling, Score
from jvid.extras import extra
from jvid.plugins.registry import load
from jvid.testing.samples import DrawnClips, drawn_frames
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial

with extra("testing"):
    from hypothesis import strategies as st

__all__ = [
    "CLIPS", "RESAMPLING", "clips", "drawn_clips", "drawn_samples", "drawn_sizes", "motions", "networks_of", "value_of_metric",
]  # fmt: skip

CLIPS, RESAMPLING = 6, Resampling(5, 0)


def clips(trial: Trial, shape: tuple[int, ...], seed: int, motion: float) -> Tensor:
    """A scene for each clip, with differences between frames of deviation ``motion``; a corner of each does not move."""
    b, c, _, h, w = shape
    scene = trial.latents((b, c, 1, h, w), seed)
    moved = trial.latents(shape, seed + 1)
    moved[..., :1, :1] = 0.0
    return scene + motion * moved


def motions() -> st.SearchStrategy[float]:
    """From almost still to no clip at all."""
    return st.sampled_from([0.05, 0.3, 1.0, 3.0])


def drawn_clips(trial: Trial, least: int = 1) -> st.SearchStrategy[Any]:
    """Numbers of clips and frames, side and seed, as of ``drawn_frames``."""
    counts = [count for count in trial.batch if count >= least] or [least]
    sizes = (st.sampled_from(sorted(values)) for values in (counts, trial.frames, trial.sides))
    return st.tuples(*sizes, seeds())


def networks_of(subject: Any) -> tuple[FeatureNetwork, ...]:
    """The networks of a metric; those that it names by choice are loaded."""
    return tuple(load("features", each) if isinstance(each, str) else each for each in subject.features)


def drawn_sizes(trial: Trial) -> st.SearchStrategy[tuple[int, int, int]]:
    """Frames, side and seed of clips that a metric is computed of."""
    return st.tuples(st.sampled_from(sorted(trial.frames)), st.sampled_from(sorted(trial.sides)), seeds())


def drawn_samples(subject: Any, sizes: tuple[int, int, int]) -> tuple[DrawnClips, DrawnClips]:
    """Clips, and as a reference others that are darker."""
    frames, side, seed = sizes
    networks = networks_of(subject)
    clips = DrawnClips(drawn_frames(CLIPS, frames, side, seed), networks)
    return clips, DrawnClips(drawn_frames(CLIPS + 2, frames, side, seed + 1) // 2, networks, name="reference")


def value_of_metric(subject: Any, clips: DrawnClips, reference: DrawnClips) -> Score | np.ndarray | None:
    """What the metric gives, as ``jvid.core.metric_values.value_of`` reads it."""
    return value_of(subject, subject.compute(clips, reference, RESAMPLING), clips)
