"""References of metrics ``(clips, reference) -> value`` and of the feature network of pixels ``(frames) -> rows``.

Equations in a few lines of numpy that the conformance kit compares the components with; nothing else imports them. Options of a
metric that name its network change nothing of its formula: rows come with the clips.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "agreement", "flicker", "flicker_ratio", "frechet", "identity", "inception", "jerk", "jerk_ratio", "mean_frame_psnr",
    "motion_error", "pixels", "psnr",
]  # fmt: skip

Array = NDArray[np.float64]


def _frames(clips: Any) -> Array:
    return np.concatenate([np.asarray(batch, np.float64) for batch in clips.batches()])


def _rows(clips: Any) -> Array:
    rows = np.asarray(clips.features[0]["features"], np.float64)
    return rows.reshape(-1, rows.shape[-1])


def frechet(clips: Any, reference: Any, **options: Any) -> float:
    """Heusel et al. 2017, arXiv 1706.08500, equation 6, covariances divided by n."""
    one, two = _rows(clips), _rows(reference)
    s_1, s_2 = (np.atleast_2d(np.cov(rows.T, bias=True)) for rows in (one, two))
    root = np.sqrt(np.maximum(np.linalg.eigvals(s_1 @ s_2).real, 0.0)).sum()
    return float(np.square(one.mean(0) - two.mean(0)).sum() + np.trace(s_1) + np.trace(s_2) - 2.0 * root)


def inception(clips: Any, reference: Any, **options: Any) -> float | None:
    """Salimans et al. 2016, arXiv 1606.03498: exp of the mean KL of p(y | x) from p(y), the mean over 10 splits."""
    outputs = clips.features[0]
    if "probabilities" in outputs:
        p = np.asarray(outputs["probabilities"], np.float64)
    elif "logits" in outputs:
        powers = np.exp(np.asarray(outputs["logits"], np.float64))
        p = powers / powers.sum(-1, keepdims=True)
    else:
        return None
    p = p.reshape(-1, p.shape[-1])
    count = min(10, len(p))
    if len(p) % count:
        return float("nan")  # unequal splits: the paper states nothing of them
    parts = np.array_split(p, count)
    return float(np.mean([np.exp((q * (np.log(q) - np.log(q.mean(0)))).sum(1).mean()) for q in parts]))


def _cosine(a: Array, b: Array) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / max(lengths, 1e-12)


def agreement(clips: Any, reference: Any, **options: Any) -> list[float]:
    """The mean cosine of consecutive frames' features."""
    rows = np.asarray(clips.features[0]["features"], np.float64)
    pairs = range(rows.shape[1] - 1)
    return [float(np.mean([_cosine(clip[k], clip[k + 1]) for k in pairs])) if pairs else 1.0 for clip in rows]


def identity(clips: Any, reference: Any, **options: Any) -> list[float]:
    """The cosine of the first and the last frame's features."""
    rows = np.asarray(clips.features[0]["features"], np.float64)
    return [_cosine(clip[0], clip[-1]) for clip in rows]


def _difference(clip: Array, order: int) -> float:
    found = np.diff(clip, order, axis=0) if len(clip) > order else np.zeros(1)
    return float(np.abs(found).mean())


def flicker(clips: Any, reference: Any) -> list[float]:
    """mean |x_{t+1} - x_t|."""
    return [_difference(clip, 1) for clip in _frames(clips)]


def jerk(clips: Any, reference: Any) -> list[float]:
    """mean |x_{t+1} - 2 x_t + x_{t-1}|."""
    return [_difference(clip, 2) for clip in _frames(clips)]


def _ratio(values: list[float], base: list[float]) -> list[float] | None:
    real = float(np.mean(base))
    return [value / real for value in values] if real > 0.0 else None


def flicker_ratio(clips: Any, reference: Any) -> list[float] | None:
    """Flicker over the reference's mean."""
    return _ratio(flicker(clips, reference), flicker(reference, reference))


def jerk_ratio(clips: Any, reference: Any) -> list[float] | None:
    """Jerk over the reference's mean."""
    return _ratio(jerk(clips, reference), jerk(reference, reference))


def _closest(clips: Any, reference: Any, formula: Any, best: Any) -> list[float] | None:
    """For each clip the best value against the reference's clips of its label."""
    frames, true = _frames(clips), _frames(reference)
    out = []
    for clip, label in zip(frames, clips.labels, strict=True):
        values = [
            formula(clip, other)
            for other, named in zip(true, reference.labels, strict=True)
            if named == label
        ]
        if values:
            out.append(best(values))
    return out or None


def _decibels(x: Array, y: Array) -> float:
    square = float(np.mean((x - y) ** 2))
    return min(100.0, 20.0 * np.log10(255.0) - 10.0 * np.log10(square)) if square else 100.0


def psnr(clips: Any, reference: Any) -> list[float] | None:
    """20 log10 255 - 10 log10 of the mean square difference."""
    return _closest(clips, reference, _decibels, max)


def mean_frame_psnr(clips: Any, reference: Any) -> list[float] | None:
    """The same of the mean frames."""
    return _closest(clips, reference, lambda x, y: _decibels(x.mean(0), y.mean(0)), max)


def motion_error(clips: Any, reference: Any) -> list[float] | None:
    """The mean absolute difference of the frame differences."""
    return _closest(clips, reference, lambda x, y: _difference(x - y, 1), min)


def pixels(frames: Any) -> list[tuple[float, float]]:
    """Flicker and jerk of each clip."""
    return [(_difference(clip, 1), _difference(clip, 2)) for clip in np.asarray(frames, np.float64)]
