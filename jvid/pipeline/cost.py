"""The price of a plan: what its steps really call, times the seconds of a call.

    price = sum over steps, experts that predict and evaluations of the solver of
            the calls of networks that the expert's denoiser declares at the step's start x their seconds

Guidance within an interval is thus paid within it alone, autoguidance as a call of both models, and a clip of several
windows for each of them (``jvid.core.evaluations``). Seconds are given by expert, or measured: medians of calls in turn, so
that a busy machine slows them alike.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from jvid.core.evaluations import calls_at, evaluations_of, total_seconds
from jvid.ensemble.standin import StandIn
from jvid.errors import InputError
from jvid.views.price_table import PriceRow

if TYPE_CHECKING:
    import torch

    from jvid.core.plan import Plan
    from jvid.core.protocols import Denoiser, Evaluation
    from jvid.ensemble.compose import Composition
    from jvid.ensemble.ensemble import Ensemble

__all__ = [
    "Call", "by_expert", "calls_of", "expert_of", "given_seconds", "measured_seconds", "outlines_of", "price",
    "scaled_seconds",
]  # fmt: skip

ROUNDS = 3
"""How often each call is measured."""


@attrs.frozen
class Call:
    """A call of one expert's network for one clip: with ``rows`` rows of ``frames`` latent frames."""

    expert: str
    rows: int
    frames: int


def calls_of(composition: Composition, plan: Plan, frames: int | None = None) -> dict[Call, int]:
    """The calls of networks in a run for one clip, and how many of each. No network is loaded.

    Args:
        composition: the strategy, with its ensemble if it has one.
        plan: whose steps are taken.
        frames: of the clip; None is the ensemble's.

    Raises:
        InputError: an option that a component refuses, or windows that do not fit.
    """
    latents = 1 if composition.ensemble is None else composition.ensemble.latents(frames)[1]
    solver = composition.solver
    outlines = outlines_of(composition, plan, latents)
    found: Counter[Call] = Counter()
    for step in plan.steps:
        times = calls_at(solver, step)
        for name, weight in step.weights.items():
            for each in evaluations_of(outlines[name], step.start.t, latents) if weight > 0 else ():
                found[Call(expert_of(each, name), each.rows, each.frames)] += times * each.count
    return dict(found)


def outlines_of(composition: Composition, plan: Plan, latents: int) -> dict[str, Denoiser]:
    """The experts of a plan on the reference schedule, which declare what they evaluate; no network is loaded.

    Args:
        composition: whose experts they are.
        plan: that names them.
        latents: latent frames of a clip.
    """
    from jvid.core.bridged import Bridged

    names = dict.fromkeys(name for step in plan.steps for name in step.weights)
    return {name: Bridged(composition.outline(name, latents), composition.schedule) for name in names}


def expert_of(evaluation: Evaluation, name: str) -> str:
    """Whose network an evaluation of the outline of ``name`` calls."""
    # A wrapper that does not declare what it evaluates counts as its expert's network.
    return evaluation.denoiser.name if isinstance(evaluation.denoiser, StandIn) else name


def by_expert(
    calls: Mapping[Call, int], seconds: Mapping[Call, float], experts: Iterable[str] = ()
) -> list[PriceRow]:
    """What each expert's network costs: those of ``experts``, then the others that are called.

    Raises:
        InputError: seconds that are negative or not finite.
    """
    rows = []
    for name in dict.fromkeys([*experts, *(call.expert for call in calls)]):
        own = {call: count for call, count in calls.items() if call.expert == name}
        took = price(own, seconds) if own and all(call in seconds for call in own) else None
        evaluations = sum(count * call.rows for call, count in own.items())
        rows.append(PriceRow(name, sum(own.values()), evaluations, took, len(own) < 2))
    return rows


def price(calls: Mapping[Call, int], seconds: Mapping[Call, float]) -> float:
    """Seconds of the networks for one clip.

    Raises:
        InputError: a call without seconds, or seconds that are negative or not finite.
    """
    return total_seconds(calls, seconds, lambda call: call.expert)


def scaled_seconds(calls: Iterable[Call], given: Mapping[str, float]) -> dict[Call, float]:
    """Seconds of each call, of those given for an expert's largest one; the others take their share of its rows and frames."""
    calls = list(calls)
    largest: dict[str, int] = {}
    for call in calls:
        largest[call.expert] = max(largest.get(call.expert, 0), call.rows * call.frames)
    return {
        call: given[call.expert] * (call.rows * call.frames / largest[call.expert])
        for call in calls
        if call.expert in given
    }


def given_seconds(text: str, experts: Collection[str]) -> dict[str, float]:
    """``video=.2,image=.05`` as seconds by expert.

    Raises:
        InputError: another form, an expert that there is not or twice, or no seconds of 0 or more.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not equals or not 0.0 <= seconds < math.inf:
            raise InputError(
                f"--seconds {text!r}: got {part.strip()!r}, expected seconds of 0 or more as video=.2,image=.05"
            )
        if name not in experts:
            raise InputError(f"--seconds of {name!r}: expected experts among {', '.join(experts)}")
        if name in found:
            raise InputError(f"--seconds {text!r} gives {name!r} twice: expected it once")
        found[name] = seconds
    return found


def measured_seconds(
    ensemble: Ensemble,
    calls: Iterable[Call],
    device: torch.device | str = "cpu",
    rounds: int = ROUNDS,
    clock: Callable[[], float] | None = None,
) -> dict[Call, float]:
    """Seconds of each call: the median of ``rounds``, all calls in turn, after one round that warms up.

    Args:
        ensemble: whose networks are called, each with the condition of its first prompt.
        calls: those of one or two rows are measured, of others two and one, whose difference is a row's.
        device: of the networks.
        rounds: 1 or more.
        clock: in seconds; ``time.perf_counter`` if None.

    Raises:
        InputError: a call with guidance of an expert whose condition has none to lead away from.
    """
    import torch

    from jvid.core.conditions import for_expert
    from jvid.core.keyed import keyed_normal
    from jvid.denoisers.guided import Guided

    clock = clock or time.perf_counter
    calls = list(calls)
    cond = ensemble.condition(
        [next(iter(ensemble.prompts), "")], dict.fromkeys(call.expert for call in calls)
    )
    c, _, h, w = ensemble.shape
    # Two halves are what guidance makes: a network that saves work on them does so here too.
    wanted = [call for each in calls for call in _one_or_two(each)]
    # One row is the network alone, which may be guided by itself, as a pipeline is.
    denoisers: dict[Call, Denoiser] = {}
    for call in wanted:
        own = ensemble.clips(call.expert)
        denoisers[call] = own if call.rows == 1 else Guided(own, float(call.rows))
    taken: dict[Call, list[float]] = {call: [] for call in denoisers}
    # Metal has no float64.
    dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
    with torch.no_grad():
        for turn in range(rounds + 1):
            t = torch.full((), (turn + 1) / (rounds + 2), dtype=dtype, device=device)
            for call, denoiser in denoisers.items():
                x = keyed_normal([0], ("timing",), (c, call.frames, h, w)).to(device)
                given = for_expert(cond, call.expert)
                started = clock()
                denoiser(x, t, given).sum().item()  # a sum waits for the device
                taken[call].append(clock() - started)
    medians = {call: statistics.median(seconds[1:]) for call, seconds in taken.items()}
    return {call: _of_rows(call, medians) for call in calls}


def _one_or_two(call: Call) -> list[Call]:
    return [call] if call.rows in (1, 2) else [attrs.evolve(call, rows=rows) for rows in (2, 1)]


def _of_rows(call: Call, medians: Mapping[Call, float]) -> float:
    if call.rows in (1, 2):
        return medians[call]
    two, one = (medians[each] for each in _one_or_two(call))
    return one + (call.rows - 1) * (two - one)
