"""Checks of how x_0 goes with time, with the length of a clip, and with a condition: evenly, alike, and with all of it.

E[x_0 | x_t] is a smooth function of the level. A time that is rounded, or levels that are looked up in few digits, make it a
staircase: errors of one step of a table, which no sampler shows and every other grid has.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Condition
from jvid.testing.checking import check, declare
from jvid.testing.denoising import condition_of, levels, noisy, predicted, tensors, time
from jvid.testing.trial import Trial

declare("denoiser", discrete=False)

POINTS = 33
SPANS = (2.3e-3, 2.1e-4)
"""Lengths of the stretches of time: two entries of a table of 1000, and a fifth of one, across an entry."""
PLACES = (0.3, 0.6, 0.85)
STEEP = 6.0
"""How much more than on average x_0 may move in one of the ``POINTS - 1`` parts of a stretch."""


@check("denoiser")
def moves_evenly_in_time(subject: Any, trial: Trial) -> None:
    """Over a short stretch of time x_0 moves evenly, not in jumps (``discrete=True`` for a network of whole timesteps alone)."""
    if trial.option("discrete"):
        trial.skip("it takes whole timesteps alone")
    most = max(trial.batch) if "batch" in trial.declared else POINTS
    trial.takes(len(SPANS) * len(PLACES) * -(-POINTS // most))
    shape = trial.fitting([(1, 2, 2, 3, 3)])[0]
    low, high = trial.times

    def walk(place: float, span: float) -> None:
        # A table's entry is in the middle, so that a time that is rounded moves there.
        middle = round(1000.0 * (low + place * (high - low))) / 1000.0 + 0.03 * span
        at = [middle + span * (k / (POINTS - 1) - 0.5) for k in range(POINTS)]
        x, cond = noisy(subject, trial, (1, *shape[1:]), middle, 5), condition_of(trial, 1, shape[2])
        out = torch.cat([_many(subject, trial, x, at[k : k + most], cond) for k in range(0, POINTS, most)])
        moves = (out.diff(dim=0)).flatten(1).abs().amax(1)
        allowed = trial.allowed(1e-4) * max(1.0, float(out.abs().max()))
        largest, mean = float(moves.max()), float(moves.mean())
        assert largest <= max(allowed, STEEP * mean), (
            f"between t {at[int(moves.argmax())]:.7g} and {at[int(moves.argmax()) + 1]:.7g} x_0 moves by {largest:.3g}, in "
            f"{POINTS - 1} such parts by {mean:.3g} on average: a time or a level is rounded"
        )

    trial.each([{"place": place, "span": span} for place in PLACES for span in SPANS], walk)


def _many(subject: Any, trial: Trial, x: Tensor, at: list[float], cond: Condition) -> Tensor:
    """The prediction of one clip at several times, in one batch of as many rows as it takes."""
    count = len(at) if "batch" not in trial.declared else min(size for size in trial.batch if size >= len(at))
    at = [*at, *at[-1:] * (count - len(at))]
    found = predicted(subject, x.expand(count, *x.shape[1:]).contiguous(), time(at), _repeated(cond, count))
    return found[: len(at)].cpu().double()


def _repeated(cond: Condition, count: int) -> Condition:
    """A condition of one clip, for so many of it."""

    def repeated(value: Tensor) -> Tensor:
        return value.expand(count, *value.shape[1:]).contiguous() if value.shape[0] == 1 else value

    return map_condition(cond, lambda name, v: repeated(v), lambda name, v: PerFrame(repeated(v)))


@check("denoiser")
def long_clips_as_short_ones(subject: Any, trial: Trial) -> None:
    """What takes the frames of a short clip one by one, each as it would be alone, does so in a long clip."""
    short = trial.fitting([(1, 2, 4, 3, 3)])[0]
    longer = trial.fitting([(1, 2, 40, 3, 3)])[0]
    if short[2] < 2 or longer[2] <= short[2] or 1 not in trial.frames:
        trial.skip("it takes clips of one length")
    trial.takes(short[2] + longer[2] + 2)
    t = sum(trial.times) / 2.0

    def apart(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        f = shape[2]
        x, cond = noisy(subject, trial, (1, *shape[1:]), t, 3), condition_of(trial, 1, f)
        each = [
            predicted(subject, x[:, :, k : k + 1].contiguous(), time(t), _frame(cond, k)) for k in range(f)
        ]
        return predicted(subject, x, time(t), cond), torch.cat(each, 2)

    whole, one_by_one = apart(short)
    if float((whole - one_by_one).abs().max()) > trial.tolerance * max(1.0, float(whole.abs().max())):
        trial.skip("the frames of a clip depend on one another")
    trial.close(
        *apart(longer), f"a clip of {longer[2]} frames and its frames one by one, as of {short[2]} frames"
    )


def _frame(cond: Condition, k: int) -> Condition:
    return map_condition(cond, lambda name, v: v, lambda name, v: PerFrame(v[:, k : k + 1]))


@check("denoiser")
def conditions_are_read_whole(subject: Any, trial: Trial) -> None:
    """Of rows in a condition that moves x_0, such as tokens, those behind the first move it, and those before the last."""
    shape = trial.fitting([(1, 2, 2, 3, 3)])[0]
    cond = trial.condition(shape[0], shape[2])
    names = [
        name for name, value in tensors("", cond)
        if value.is_floating_point() and value.ndim > 1 and value.shape[1] > 1
    ]  # fmt: skip
    if not names:
        trial.skip("it is given no condition of several rows: conforms(..., cond=lambda b, f: {...})", "cond")
    trial.takes(1 + 3 * len(names))
    t = time(sum(trial.times) / 2.0)
    x = noisy(subject, trial, shape, float(t), 4)
    expected = predicted(subject, x, t, cond)

    def moved(name: str, part: slice) -> bool:
        changed = predicted(subject, x, t, _changed(cond, name, part))
        return float((changed - expected).abs().max()) > 1e-6 * max(1.0, float(expected.abs().max()))

    for name in names:
        if not moved(name, slice(None)):
            continue  # it need not read all that it is given
        for part, which in ((slice(1, None), "behind the first"), (slice(None, -1), "before the last")):
            assert moved(name, part), f"the rows of {name!r} {which} change nothing in x_0"


def _changed(cond: Any, name: str, part: slice) -> Any:
    """A copy of a condition with other numbers in some rows of one of its tensors, by its dotted name."""
    head, _, rest = name.partition(".")
    if rest:
        return {**cond, head: _changed(cond[head], rest, part)}
    tagged = isinstance(cond[head], PerFrame)
    value = (cond[head].tensor if tagged else cond[head]).clone()
    value[:, part] = 0.7 - 1.3 * value[:, part]
    return {**cond, head: PerFrame(value) if tagged else value}


CLEAN = (0.002, 0.05)
"""Variances of the noise near the clean end, relative to the data's."""
FLOOR = 0.01
"""Of the data's variance: the error that a network has at any level."""
TILT = 0.25
"""How far the slope of x_0 over its prediction may be from 1."""


@check("denoiser")
def predictions_are_calibrated(subject: Any, trial: Trial) -> None:
    """On noised data, x_0 over its prediction has slope 1, and near the clean end the noisy latents are not nearer to x_0."""
    data = trial.option("data")
    if data is None:
        trial.skip("no data to measure predictions with: conforms(..., data=latents)", "data")
    x_0 = data.double().cpu()
    variance = float(x_0.var(correction=0))
    cond = trial.condition(len(x_0), x_0.shape[2])
    trial.takes(12)
    low, high = trial.times
    at = [low + (high - low) * (k + 0.5) / 64 for k in range(64)]
    ratio = [_noise(subject, trial, t) / variance for t in at]
    near = [t for t, each in zip(at, ratio, strict=True) if CLEAN[0] <= each <= CLEAN[1]]
    alike = [t for t, each in zip(at, ratio, strict=True) if 0.3 <= each <= 3.0]
    for t in near[:: max(1, len(near) // 3)][:4]:
        missed = float((_denoised(subject, trial, x_0, t, cond) - x_0).square().mean())
        most = _noise(subject, trial, t) + FLOOR * variance
        assert missed <= most, (
            f"at t {t:.3g}, near the clean end, its mean square error is {missed:.4g}, that of the noisy latents {most:.4g} with "
            "1 % of the data's variance: it is clipped, scaled, or given another level"
        )
    for t in alike[:: max(1, len(alike) // 4)][:6]:
        found = _denoised(subject, trial, x_0, t, cond)
        centred = found - found.mean()
        spread = float(centred.square().mean())
        slope = float((centred * (x_0 - x_0.mean())).mean()) / max(spread, 1e-12)
        # The slope of what hardly moves is noise.
        if spread > 0.02 * variance:
            off = 6.0 * (variance / spread / x_0.numel()) ** 0.5
            assert abs(slope - 1.0) <= TILT + off, (
                f"at t {t:.3g} x_0 rises by {slope:.3g} for each 1 of its prediction, expected 1: it predicts "
                + ("too much" if slope < 1.0 else "too little")
            )


def _noise(subject: Any, trial: Trial, t: float) -> float:
    """(sigma / alpha)^2 at a time."""
    alpha, sigma = (float(level) for level in levels(subject, time(t).to(trial.device)))
    return (sigma / alpha) ** 2 if alpha > 0.0 else float("inf")


def _denoised(subject: Any, trial: Trial, x_0: Tensor, t: float, cond: Condition) -> Tensor:
    """The prediction of noised data."""
    alpha, sigma = (level.cpu() for level in levels(subject, time(t).to(trial.device)))
    eps = keyed_normal(range(len(x_0)), ("calibrated", round(1e6 * t)), x_0.shape[1:], torch.float64)
    x = (alpha * x_0 + sigma * eps).to(trial.device, trial.dtype[-1])
    return predicted(subject, x, time(t), cond).cpu().double()
