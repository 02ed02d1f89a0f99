"""Wrong selectors: they count, remember, draw, and name unknown experts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs
import torch

from jvid.core.protocols import Step
from tests.mutants import mutant


class Coin:
    """Right: video with probability 1 - u / 2 at progress u, else image; what a mutant changes is a method."""

    experts: tuple[str, ...] = ("video", "image")

    def probability(self, progress: float) -> float:
        """Of video."""
        return 1.0 - 0.5 * progress

    def shares(self, step: Step) -> Mapping[str, float]:
        """The mean weights."""
        share = self.probability(step.progress)
        return {"video": share, "image": 1.0 - share}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        """The one whose part u falls in."""
        return {"video" if u < self.probability(step.progress) else "image": 1.0}


@mutant("selector", "weights_are_weights")
class sums_to_less(Coin):
    """Weights of a blend that sum to less than 1 in between."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        share = self.probability(step.progress)
        return {"video": share**2, "image": (1.0 - share) ** 2}


@mutant("selector", "weights_are_weights")
class negative_weights(Coin):
    """A line that is continued below 0."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        share = 1.1 - 1.2 * step.progress
        return {"video": share, "image": 1.0 - share}


@mutant("selector", "weights_are_weights")
class unknown_name(Coin):
    """It chooses an expert that it does not tell, only near the end."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"refiner": 1.0} if step.progress > 0.95 else super().__call__(step, u)


@mutant("selector", "weights_are_weights")
class divides_by_the_step(Coin):
    """Progress within the step, which has no length on some walks and rises on others."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        part = min(1.0, 0.1 / (step.start.t - step.end.t))
        return {"video": part, "image": 1.0 - part}


@mutant("selector", "weights_are_weights")
class open_end(Coin):
    """The parts of u do not cover [0, 1): near 1 no expert is chosen."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {} if u > 0.999 else super().__call__(step, u)


@mutant("selector", "experts_are_declared")
class names_too_few(Coin):
    """It tells one expert and chooses two."""

    experts = ("video",)


@mutant("selector", "experts_are_declared")
class no_names(Coin):
    """Experts are numbers."""

    experts: Any = (0, 1)

    def __call__(self, step: Step, u: float) -> Mapping[Any, float]:
        return {int(u >= 0.5): 1.0}


@mutant("selector", "the_same_in_any_order")
class counts_its_calls(Coin):
    """Experts in turn, by a counter of calls: a plan shown twice is another one."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        self.calls += 1
        return {self.experts[self.calls % 2]: 1.0}


@mutant("selector", "the_same_in_any_order")
class remembers_the_last(Coin):
    """It does not switch twice in a row."""

    last = "video"

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        (name,) = super().__call__(step, u)
        self.last, name = name, self.last
        return {name: 1.0}


@mutant("selector", "globals_untouched")
class draws_by_itself(Coin):
    """The number handed in is left unused, torch's generator used."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return super().__call__(step, float(torch.rand(())))


@mutant("selector", "a_plan_is_its_calls")
class unrepeatable(Coin):
    """The number handed in is left unused, a generator of its own used."""

    def __init__(self) -> None:
        self.random = random.Random(0)

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return super().__call__(step, self.random.random())


@mutant("selector", "answers_are_not_its_own")
class one_dict_for_all(Coin):
    """The weights are a dict that it keeps."""

    def __init__(self) -> None:
        self.answers = {name: {name: 1.0} for name in self.experts}

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        (name,) = super().__call__(step, u)
        return self.answers[name]


@mutant("selector", "copies_agree")
@attrs.frozen
class lost_in_pickle(Coin):
    """A parameter that a pickled copy does not have."""

    first: float = 0.3

    def __reduce__(self) -> Any:
        return lost_in_pickle, (0.5,)

    def probability(self, progress: float) -> float:
        return self.first


@mutant("selector", "copies_agree")
class unpicklable(Coin):
    """It holds a function, which does not travel to another process."""

    def __init__(self) -> None:
        self.curve = lambda: 0.5

    def probability(self, progress: float) -> float:
        return 0.5


@mutant("selector", "shares_as_declared")
class comparison_turned(Coin):
    """u above the probability, where below is meant."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return super().__call__(step, 1.0 - self.probability(step.progress) + u)


@mutant("selector", "shares_as_declared")
class time_for_progress(Coin):
    """The probability at t in place of progress 1 - t: the paper's own slip."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video" if u < self.probability(step.start.t) else "image": 1.0}


@mutant("selector", "shares_as_declared")
class progress_by_index(Coin):
    """Progress by index over count - 1, which is another at every number of steps."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video" if u < self.probability(step.index / max(step.count - 1, 1)) else "image": 1.0}


@mutant("selector", "shares_as_declared")
class rounds_u(Coin):
    """u is rounded to a tenth."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return super().__call__(step, round(u, 1))
