"""Checks of a denoiser in use: batches of several sizes, half precision, weights that change, the time that it gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.keyed import keyed_normal
from jvid.errors import InputError
from jvid.testing.altered import halved, parameters_of
from jvid.testing.checking import check
from jvid.testing.denoising import condition_of, levels, noisy, predicted, rows, time
from jvid.testing.rounding import of_denoiser
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial

F64 = torch.float64


@check("denoiser")
def rows_in_any_order(subject: Any, trial: Trial) -> None:
    """Rows of batches of 4, 6 and 9, in any order and of long and oblong clips, are those of one batch."""
    few = trial.fewer(3)
    sizes = trial.fitting([(9, 2, 3, 5, 9), (9, 1, 33, 2, 1)])
    if sizes[0][0] < 2:
        trial.skip("it takes one row at a time")

    @few.given(shape=st.sampled_from(sizes), seed=seeds(), turn=st.permutations(range(sizes[0][0])))
    def _(shape: tuple[int, ...], seed: int, turn: list[int]) -> None:
        b = shape[0]
        x, cond = noisy(subject, trial, shape, sum(trial.times) / 2.0, seed), condition_of(trial, b, shape[2])
        low, high = trial.times
        each = [low + (high - low) * (k + 0.5) / b for k in range(b)]
        whole = predicted(subject, x, time(each), cond)
        for count in (4, 6, b):
            count = min(count, b) if "batch" not in trial.declared else _nearest(trial.batch, count)
            chosen = turn[:count]
            part = predicted(subject, x[chosen], time([each[k] for k in chosen]), rows(cond, chosen, b))
            trial.close(part, whole[chosen], f"rows {chosen} of {b}")


def _nearest(sizes: Sequence[int], count: int) -> int:
    return max((size for size in sizes if size <= count), default=sizes[0])


@check("denoiser")
def half_precision_agrees(subject: Any, trial: Trial) -> None:
    """x_0 of bfloat16 latents is that of the same latents in a wider dtype, but for what bfloat16 holds."""
    few = trial.fewer(6)
    wide = trial.dtype[-1]
    if "dtype" in trial.declared and torch.bfloat16 not in trial.dtype:
        trial.skip("its dtypes are declared, without bfloat16")

    low, high = trial.times
    # None of which bfloat16 holds: a time that is cast along is another.
    parts = st.sampled_from([0.137, 0.9375 - 0.0017, 0.371, 0.613, 0.998])

    @few.given(shape=trial.shapes(), part=parts, seed=seeds())
    def _(shape: tuple[int, ...], part: float, seed: int) -> None:
        t = low + part * (high - low)
        x, cond = noisy(subject, trial, shape, t, seed).bfloat16(), trial.condition(shape[0], shape[2])
        expected = predicted(subject, x.to(wide), time(t), cond)
        try:
            got = predicted(subject, x, time(t), cond)
        except (InputError, NotImplementedError, RuntimeError) as error:
            trial.skip(f"it refuses bfloat16: {error}")
        assert got.dtype == torch.bfloat16, f"{got.dtype} for x in torch.bfloat16"
        trial.close(got, expected, f"x_0 of bfloat16 latents at t {t:g}", of_denoiser(subject))


@check("denoiser")
def weights_are_read_each_time(subject: Any, trial: Trial) -> None:
    """After its weights are changed in place it predicts by the new ones, whatever it kept; and by the old ones, put back."""
    parameters = parameters_of(subject)
    if not parameters:
        trial.skip("no weights are found in it: no torch module among its attributes")
    trial.takes(4)
    shape = trial.fitting([(2, 2, 3, 5, 4)])[0]
    t = time(sum(trial.times) / 2.0)
    x, cond = noisy(subject, trial, shape, float(t), 0), trial.condition(shape[0], shape[2])
    first = predicted(subject, x, t, cond).clone()
    with halved(parameters):
        again = predicted(subject, x, t, cond).clone()
        copy = map_condition(cond, lambda name, v: v.clone(), lambda name, v: PerFrame(v.clone()))
        fresh = predicted(subject, x.clone(), t.clone(), copy).clone()
    assert not torch.equal(first, again), "its weights were halved and its prediction stayed"
    trial.close(
        again, fresh, "after its weights were halved, with the condition of before and with a copy of it"
    )
    trial.close(predicted(subject, x, t, cond), first, "after its weights were put back")


OFFSETS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
NEAR = 0.05
BETTER = 0.01
"""How much less the mean square error at another time has to be: a network is no exact expectation."""
OFF = 0.02
"""How far from its own the best time may be, by the errors at ``NEAR`` before and after it."""
SIGMAS = 6.0


@check("denoiser")
def the_true_time_is_best(subject: Any, trial: Trial) -> None:
    """On noised data its predictions are best at the level's own time: the time that it gets is that of its training."""
    data = trial.option("data")
    if data is None:
        trial.skip("no data to measure predictions with: conforms(..., data=latents)", "data")
    trial.takes(5 * (1 + len(OFFSETS)))
    gains = _gains(subject, trial, data.double().cpu())
    if not gains:
        trial.skip("no time has signal and noise alike")
    for offset, gain in gains.items():
        mean, spread = _mean(gain)
        assert mean <= max(BETTER, SIGMAS * spread), (
            f"at a time later by {offset:g} its mean square error is {100.0 * mean:.1f} % less: it gets another time "
            "than that of its training"
        )
    if NEAR in gains and -NEAR in gains:
        later, before = gains[NEAR], gains[-NEAR]
        lean, spread = _mean(later - before)
        best = NEAR * lean / max(-2.0 * float((later + before).mean()), 1e-9)
        assert abs(lean) <= SIGMAS * spread or abs(best) <= OFF, (
            f"its mean square error is least some {best:+.3g} from the time that it gets: it was trained with another"
        )


def _mean(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / math.sqrt(values.numel())


def _gains(subject: Any, trial: Trial, x_0: Tensor) -> dict[float, Tensor]:
    """By offset of the time that it gets: how much less the square error of each element is, relative to the mean."""
    cond = trial.condition(len(x_0), x_0.shape[2])
    low, high = trial.times
    variance = float(x_0.var(correction=0))
    found: dict[float, list[Tensor]] = {}
    for k, part in enumerate((0.2, 0.35, 0.5, 0.65, 0.8)):
        t = low + part * (high - low)
        alpha, sigma = (float(level) for level in levels(subject, time(t).to(trial.device)))
        if alpha == 0.0 or not 0.05 * variance <= (sigma / alpha) ** 2 <= 8.0 * variance:
            continue
        noise = keyed_normal(range(len(x_0)), ("told", k), x_0.shape[1:], F64)
        x = (alpha * x_0 + sigma * noise).to(trial.device, trial.dtype[-1])
        own = (predicted(subject, x, time(t), cond).cpu().double() - x_0).square()
        for offset in OFFSETS:
            other_t = t + offset * (high - low)
            if low <= other_t <= high:
                other = (predicted(subject, x, time(other_t), cond).cpu().double() - x_0).square()
                found.setdefault(offset, []).append((own - other).flatten() / own.mean())
    return {offset: torch.stack(parts).mean(0) for offset, parts in found.items()}
