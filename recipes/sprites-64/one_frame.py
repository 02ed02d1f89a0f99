"""The frame distance of two sets with one frame of each clip, and how many times the second is as far as the first.

    python recipes/sprites-64/one_frame.py FEATURES/REAL SETS/FIRST SETS/SECOND

FEATURES is a folder of a study's features, such as runs/sprites-64/study-report/features/attributes-d3cd855fcb5da8c4; the folder
in it with the most clips is the reference. SETS is the study's folder of sets, where set.json has the strategy of each. Features
are those of the set's clips; a folder of features may be given itself.

A Frechet distance falls with the number of independent samples. Frames of one clip are not independent: those of a clip that
flickers are more so than those of a coherent one. One frame of each clip gives both sides as many.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from exits import reporting

from jvid.errors import InputError
from jvid.media.arrays import mapped_array
from jvid_training.evaluation.statistics import Moments, frechet_distance, moments_of
from jvid_training.generation import ClipSet

DRAWS = 24
_ROUNDING = 1e-9


@reporting
def main(arguments: list[str] | None = None) -> int:
    """0; 2 with a line on standard error where the input does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path, help="folder of the features of the real clips")
    parser.add_argument("first", type=Path, help="folder of a set, or of its features")
    parser.add_argument("second", type=Path, help="of the same prompts and seeds")
    parser.add_argument("-n", "--resamples", type=int, default=200, help="of the clips, for the interval")
    options = parser.parse_args(arguments)
    real = moments_of(_features(options.reference))
    beside = options.reference.resolve().parent
    first, second = (_features(_of_set(each, beside)) for each in (options.first, options.second))
    if first.shape[:2] != second.shape[:2]:
        clips, frames = ("{} clips of {} frames".format(*each.shape[:2]) for each in (second, first))
        raise InputError(
            f"{options.second}: {clips} and {frames} of the other set: expected as many, of the same prompts"
        )
    if options.resamples < 1:
        raise InputError(f"--resamples {options.resamples}: expected 1 or more")
    draw = np.random.default_rng(0)
    every = np.arange(len(first))
    pairs = [_distance(each, every, None, real) for each in (first, second)]
    # The distance of a set to itself is what rounding leaves of 0, and so is no divisor.
    if pairs[0] <= _ROUNDING * np.trace(real.covariance):
        raise InputError(
            f"{options.first}: its distance to {options.reference} is 0: expected features of other clips, give another"
        )
    print(f"all frames: {pairs[0]:.0f} and {pairs[1]:.0f}, {pairs[1] / pairs[0]:.3f} times")
    frames = [draw.integers(0, first.shape[1], len(first)) for _ in range(DRAWS)]
    pairs = [
        float(np.mean([_distance(each, every, one, real) for one in frames])) for each in (first, second)
    ]
    ratios = []
    for _ in range(options.resamples):
        clips, one = draw.integers(0, len(first), len(first)), draw.integers(0, first.shape[1], len(first))
        ratios.append(_distance(second, clips, one, real) / _distance(first, clips, one, real))
    low, high = np.percentile(ratios, [2.5, 97.5])
    print(
        f"one frame of each clip, mean of {DRAWS} draws: {pairs[0]:.0f} and {pairs[1]:.0f}, {pairs[1] / pairs[0]:.3f} times "
        f"({low:.3f} to {high:.3f} over {options.resamples} resamples of the clips)"
    )
    return 0


def _of_set(folder: Path, beside: Path) -> Path:
    """Where the features of a set are; any other folder is one of features."""
    return beside / ClipSet.open(folder).fingerprint[:32] if (folder / "set.json").is_file() else folder


def _features(folder: Path) -> np.ndarray:
    """``(n f d)``, a memory map."""
    try:
        features = mapped_array(folder / "features.npy")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no features of a study in it ({error}); expected features.npy") from None
    if features.ndim != 3 or not features.size or features.dtype.kind != "f":
        raise InputError(
            f"{folder}: features of shape {features.shape} and dtype {features.dtype}: expected floats of frames, (n, f, d), "
            "each 1 or more; compute them again"
        )
    return features


def _distance(features: np.ndarray, clips: np.ndarray, frames: np.ndarray | None, real: Moments) -> float:
    """Of some clips, with one frame of each or with all."""
    return frechet_distance(moments_of(features[clips] if frames is None else features[clips, frames]), real)


if __name__ == "__main__":
    sys.exit(main())
