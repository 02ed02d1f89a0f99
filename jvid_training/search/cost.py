"""What a strategy costs in networks, as a share of the ensemble's first expert alone in 50 guided steps.

    cost = price(strategy) / (50 x seconds(video, guided))

The price is the sum over a plan's steps of what they call (``jvid.pipeline.cost``). kind: "guided" is a call with two halves,
"unguided" one with one; a call of more rows or fewer frames is priced in proportion. Seconds are of one clip, measured once a
study.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.compose import Composition
from jvid.errors import InputError
from jvid.files import read_json, write_json
from jvid.paper import STEPS
from jvid.pipeline.cost import Call, calls_of, measured_seconds, price

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.strategy.strategy import Strategy

__all__ = ["KINDS", "Prices", "measure", "prices_of", "unit_expert"]

KINDS = ("guided", "unguided")
ROUNDS = 5


def unit_expert(ensemble: Ensemble) -> str:
    """The expert whose 50 steps cost 1: the video model, or the first."""
    return "video" if "video" in ensemble.members else ensemble.experts[0]


@attrs.frozen
class Prices:
    """Seconds of one call for one clip, expert -> kind -> seconds; an expert without a null condition has no guided ones."""

    seconds: Mapping[str, Mapping[str, float]]
    ensemble: Ensemble = attrs.field(eq=False, repr=False)

    def calls(self, strategy: Strategy) -> dict[Call, int]:
        """Calls of networks in a run, and how many of each."""
        composition = Composition(strategy, self.ensemble)
        for name in composition.experts:
            # Where guidance acts depends on the expert's own schedule, which some networks alone know.
            if self.ensemble.known_schedule(name) is None:
                self.ensemble.denoiser(name)
        return calls_of(composition, composition.plan())

    def price(self, strategy: Strategy) -> float:
        """Seconds of the networks for one clip."""
        calls = self.calls(strategy)
        return price(calls, {call: self._of(call) for call in calls})

    def cost(self, strategy: Strategy) -> float:
        """The price over that of the 50-step unit expert alone, guided."""
        return self.price(strategy) / self._unit

    @cached_property
    def _unit(self) -> float:
        kinds = self.seconds[unit_expert(self.ensemble)]
        return STEPS * kinds.get("guided", kinds["unguided"])

    def _of(self, call: Call) -> float:
        kinds = self.seconds[call.expert]
        one = kinds["unguided"]
        two = kinds.get("guided", 2.0 * one)
        rows = {1: one, 2: two}.get(call.rows, one + (call.rows - 1) * (two - one))
        return rows * (call.frames / self.ensemble.shape[1])


def measure(
    ensemble: Ensemble, rounds: int = ROUNDS, clock: Callable[[], float] | None = None
) -> dict[str, dict[str, float]]:
    """Median seconds of ``rounds`` calls of each expert and kind for one clip, in turn, after one that warms up."""
    from jvid.core.conditions import for_expert

    frames = ensemble.shape[1]
    cond = ensemble.condition([next(iter(ensemble.prompts), "")])
    calls = [
        Call(name, rows, frames)
        for name in ensemble.experts
        for rows in (2, 1)
        if rows == 1 or "null" in for_expert(cond, name)
    ]
    seconds = measured_seconds(ensemble, calls, rounds=rounds, clock=clock)
    found: dict[str, dict[str, float]] = {name: {} for name in ensemble.experts}
    for call, each in seconds.items():
        found[call.expert][KINDS[2 - call.rows]] = each
    return found


def prices_of(ensemble: Ensemble, fingerprint: str, path: Path) -> Prices:
    """The prices of a study: those in ``path``, or else measured now and written there.

    Raises:
        InputError: a file that is damaged, or of another ensemble.
    """
    if not path.is_file():
        write_json(path, {"ensemble": fingerprint, "seconds": measure(ensemble)})

    def structured(values: dict[str, Any]) -> tuple[Any, dict[str, dict[str, float]]]:
        seconds = {
            name: {kind: float(each) for kind, each in values["seconds"][name].items() if kind in KINDS}
            for name in ensemble.experts
        }
        if not all("unguided" in kinds for kinds in seconds.values()):
            raise ValueError("seconds of unguided calls are expected")
        if not all(0 < each < math.inf for kinds in seconds.values() for each in kinds.values()):
            raise ValueError("seconds above 0 are expected")
        # Files of version 0.1 have the fingerprint under "pair".
        return values.get("ensemble", values.get("pair")), seconds

    of, seconds = read_json(
        path, "seconds of calls", "delete it, and the calls are measured again", structured
    )
    if of != fingerprint:
        raise InputError(
            f"{path} holds the prices of another ensemble: give study.out another folder, or delete it"
        )
    return Prices(seconds, ensemble)
