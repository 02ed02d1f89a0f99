"""What a strategy costs in networks, as a share of the 50-step video model alone.

    price(strategy) = sum over steps and experts asked of evaluations(step) x seconds(expert, kind)
    cost            = price(strategy) / (50 x seconds(video, guided))

kind: "guided" runs two halves, "unguided" one: scale 1 or 0, or a step outside of an expert's guidance interval, judged at
the step's start. Guidance against another denoiser is an unguided call of each. Seconds are of one clip, measured once a
study, all kinds in turn, so that a busy machine slows them alike.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.files import read_json, write_json
from jvid.guidance import guidance_of
from jvid.paper import STEPS
from jvid.strategy import EXPERTS

if TYPE_CHECKING:
    from jvid.pair import Pair
    from jvid.protocols import NoiseSchedule
    from jvid.step import Step
    from jvid.strategy import Strategy

__all__ = ["KINDS", "Prices", "measure", "prices_of"]

KINDS = ("guided", "unguided")
ROUNDS = 5


@attrs.frozen
class Prices:
    """Seconds of one call for one clip, expert -> kind -> seconds."""

    seconds: Mapping[str, Mapping[str, float]]
    schedule: NoiseSchedule = attrs.field(eq=False, repr=False)
    """The pair's, on which plans are drawn."""

    def calls(self, strategy: Strategy) -> dict[str, dict[str, int]]:
        """Calls in a run, expert -> kind -> how many."""
        solver = strategy.solver.load("solver")
        evaluations = getattr(solver, "evaluations", lambda step: 1)
        found = {name: dict.fromkeys(KINDS, 0) for name in self.seconds}
        for step in strategy.plan(self.schedule).steps:
            for name, weight in step.weights.items():
                if weight > 0:
                    for asked, kind in _asked(strategy, name, step):
                        found[asked][kind] += evaluations(step)
        return found

    def price(self, strategy: Strategy) -> float:
        """Seconds of the networks for one clip."""
        return sum(
            count * self.seconds[name][kind]
            for name, kinds in self.calls(strategy).items()
            for kind, count in kinds.items()
        )

    def cost(self, strategy: Strategy) -> float:
        """The price over that of the 50-step video model alone, guided."""
        return self.price(strategy) / (STEPS * self.seconds["video"]["guided"])


def _asked(strategy: Strategy, expert: str, step: Step) -> list[tuple[str, str]]:
    """The denoisers that an expert's guidance asks at a step, and how."""
    guide = guidance_of(strategy.guidance, expert)
    outside = guide.interval is not None and not guide.interval[0] <= step.start.t <= guide.interval[1]
    if outside or guide.scale == 1.0:
        return [(expert, "unguided")]
    if guide.against:
        every = [(expert, "unguided"), (guide.against, "unguided")]
        return every[1:] if guide.scale == 0.0 else every
    return [(expert, "unguided" if guide.scale == 0.0 else "guided")]


def measure(pair: Pair, rounds: int = ROUNDS, clock: Any = time.perf_counter) -> dict[str, dict[str, float]]:
    """Median seconds of ``rounds`` calls of each expert and kind for one clip, in turn, after one that warms up."""
    import torch

    from jvid.guidance import Guidance
    from jvid.keyed import keyed_normal
    from jvid.pair import denoiser_of

    cond = pair.text_encoder([next(iter(pair.prompts), "")])
    x = keyed_normal([0], ("timing",), pair.shape)
    names = _priced(pair)
    calls = {
        (name, kind): Guidance(scale).guided(denoiser_of(pair, name))
        for name in names
        for kind, scale in zip(KINDS, (2.0, 1.0), strict=True)
    }
    measured: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    with torch.no_grad():
        for turn in range(rounds + 1):
            t = torch.tensor((turn + 1) / (rounds + 2), dtype=torch.float64)
            for key, denoiser in calls.items():
                begun = clock()
                denoiser(x, t, cond).sum().item()
                measured[key].append(clock() - begun)
    return {name: {kind: statistics.median(measured[name, kind][1:]) for kind in KINDS} for name in names}


def _priced(pair: Pair) -> tuple[str, ...]:
    """The denoisers that a strategy may ask."""
    return (*EXPERTS, *getattr(pair, "guides", {}))


def prices_of(pair: Pair, fingerprint: str, path: Path) -> Prices:
    """The prices of a study: those in ``path``, or else measured now and written there.

    Raises:
        InputError: a file that is damaged, or of another pair.
    """
    if not path.is_file():
        write_json(path, {"pair": fingerprint, "seconds": measure(pair)})

    def structured(values: dict[str, Any]) -> tuple[Any, dict[str, dict[str, float]]]:
        seconds = {
            name: {kind: float(values["seconds"][name][kind]) for kind in KINDS} for name in _priced(pair)
        }
        if not all(0 < each < math.inf for kinds in seconds.values() for each in kinds.values()):
            raise ValueError("seconds above 0 are expected")
        return values.get("pair"), seconds

    of, seconds = read_json(
        path, "seconds of calls", "delete it, and the calls are measured again", structured
    )
    if of != fingerprint:
        raise InputError(
            f"{path} holds the prices of another pair: give study.out another folder, or delete it"
        )
    return Prices(seconds, pair.schedule)
