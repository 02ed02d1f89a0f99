"""Wrong metrics: no direction of that name, values that are none, kept, drawn, or that depend on the order of clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from jvid.core.metrics import ClipSample, Resampling, Score
from tests.mutants import mutant
from tests.mutants.features import Colours


class Distance:
    """Right: how far the mean colour is from the reference's; what a mutant changes is a method or an attribute."""

    name = "colour distance"
    better: Any = "lower"
    unit = "of 255"
    features: Any = (Colours(),)

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        """The distance of the means."""
        mine, real = (
            sample.features[0]["features"].astype(np.float64).mean(0) for sample in (clips, reference)
        )
        return float(np.linalg.norm(mine - real))


@mutant("metric", "it_declares_itself")
class minimised(Distance):
    """The direction has the name that an optimiser has for it."""

    better = "minimize"


@mutant("metric", "it_declares_itself")
class without_a_unit(Distance):
    """The unit is None in place of no text."""

    unit = None  # type: ignore[assignment]


@mutant("metric", "it_declares_itself")
class a_name_for_a_list(Distance):
    """The features are one name, of which every letter is taken for a network."""

    features = "pixels"


@mutant("metric", "a_finite_value")
class relative(Distance):
    """Divided by the spread of one clip, which is 0."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        with np.errstate(all="ignore"):
            return (
                super().compute(clips, reference, resampling) / clips.features[0]["features"][:1].std(0).max()
            )


@mutant("metric", "a_finite_value")
class by_channel(Distance):
    """A number for each colour, in place of one for each clip."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        return clips.features[0]["features"].mean(0)


@mutant("metric", "a_finite_value")
class turned_interval(Distance):
    """The ends of the interval are exchanged."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        value = super().compute(clips, reference, resampling)
        return Score(value, value + 1, value - 1)


@mutant("metric", "a_finite_value")
class endless_floor(Distance):
    """The floor of real clips is infinite."""

    def floor(self, reference: ClipSample, resampling: Resampling) -> Any:
        """Not known."""
        return float("inf")


@mutant("metric", "the_same_each_time")
class moving_mean(Distance):
    """The mean over all samples that it was ever given."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        self.seen.append(super().compute(clips, reference, resampling))
        return float(np.mean(self.seen))


@mutant("metric", "the_same_each_time")
class jittered(Distance):
    """A little noise of a generator of its own is added, so that no two are equal."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        return super().compute(clips, reference, resampling) + self.random.normal()


@mutant("metric", "order_means_nothing")
class halves(Distance):
    """The first half of the clips alone is looked at."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        rows = clips.features[0]["features"].astype(np.float64)
        return float(rows[: len(rows) // 2].mean())


@mutant("metric", "order_means_nothing")
class sorted_values(Distance):
    """One number for each clip, sorted: they are no longer the clips'."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        return np.sort(clips.features[0]["features"][:, 0])


@mutant("metric", "samples_untouched")
class centred_in_place(Distance):
    """Rows are centred in place, and the next metric reads them."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        rows = clips.features[0]["features"]
        rows -= rows.mean(0)
        return float(rows.std())


@mutant("metric", "globals_untouched")
class drawn_pairs(Distance):
    """Pairs of clips are drawn from torch's generator."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        rows = clips.features[0]["features"]
        return float(np.abs(rows - rows[torch.randperm(len(rows)).numpy()]).mean())
