"""Checks of denoisers: E[x_0 | x_t] on their own schedule, row by row of a batch.

Sizes, times and conditions that the denoiser takes are arguments of ``conforms`` (``frames=(16,)``, ``times=(0, .99)``,
``cond=lambda b, f: {...}``). Option: ``data``, latents ``(b c f h w)`` like those that it was trained on; with them its
predictions are measured too.
"""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.bridged import Bridged
from jvid.core.conditions import PerFrame, map_condition
from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Condition
from jvid.core.spaces import LatentSpace
from jvid.errors import InputError
from jvid.schedules import FlowMatching
from jvid.testing.checking import check, declare
from jvid.testing.checks import denoiser_continuity, denoiser_reference, denoiser_use  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.denoising import levels, noisy, predicted, rows, tensors, time
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial

declare("denoiser", data=None)

F64 = torch.float64


@check("denoiser")
def has_a_schedule(subject: Any, trial: Trial) -> None:
    """``schedule`` is a schedule, the same at each access; ``space`` is a ``LatentSpace`` or None."""
    one, two = subject.schedule, subject.schedule
    assert callable(one), f"its schedule is a {type(one).__name__}: expected a NoiseSchedule"
    assert hasattr(one, "time_at"), (
        f"its schedule, a {type(one).__name__}, has no time_at: it cannot be bridged"
    )
    assert one == two, "its schedule is another one each time: a sampler would bridge it to itself"
    space = getattr(subject, "space", None)
    assert space is None or isinstance(space, LatentSpace), f"its space is a {type(space).__name__}"


@check("denoiser")
def shape_and_dtype_kept(subject: Any, trial: Trial) -> None:
    """x_0 has x's shape, dtype and device and is finite, at any time."""

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        for dtype in trial.dtype:
            x = noisy(subject, trial, shape, t, seed).to(dtype)
            x_0 = predicted(subject, x, time(t), trial.condition(shape[0], shape[2]))
            assert isinstance(x_0, Tensor), f"a {type(x_0).__name__}: expected x_0"
            assert x_0.shape == x.shape, f"shape {tuple(x_0.shape)} for {tuple(x.shape)}"
            assert x_0.dtype == x.dtype, f"{x_0.dtype} for x in {x.dtype}"
            assert x_0.device == x.device, f"on {x_0.device} for x on {x.device}"
            assert x_0.isfinite().all(), f"not finite at t {t:g}"


@check("denoiser")
def inputs_untouched(subject: Any, trial: Trial) -> None:
    """Neither x, t nor the condition's tensors are changed in place, and the condition keeps its names."""

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds(), each=st.booleans())
    def _(shape: tuple[int, ...], t: float, seed: int, each: bool) -> None:
        x, cond = noisy(subject, trial, shape, t, seed), trial.condition(shape[0], shape[2])
        times = time([t] * shape[0] if each else t).to(x.device)
        before = {"x": x.clone(), "t": times.clone(), **{name: v.clone() for name, v in tensors("", cond)}}
        predicted(subject, x, times, cond)
        after = {"x": x, "t": times, **dict(tensors("", cond))}
        assert after.keys() == before.keys(), (
            f"the condition held {sorted(before)}, afterwards {sorted(after)}"
        )
        for name, value in after.items():
            trial.untouched(value, before[name], f"{name} after the call")


@check("denoiser")
def a_clip_is_alone(subject: Any, trial: Trial) -> None:
    """Row b depends on row b of x, t and condition alone: the other rows may hold anything."""

    @trial.given(shape=trial.shapes(batch=(max(2, trial.batch[0]),)), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        b = shape[0]
        x, cond = noisy(subject, trial, shape, t, seed), trial.condition(b, shape[2])
        low, high = trial.times
        t_each = [t, *(low + (high - low) * part for part in (0.3, 0.6, 0.8))][:b] + [t] * (b - 4)
        whole = predicted(subject, x, time(t_each), cond)
        mates = x.clone()
        mates[1:] *= -3.0
        others = _of_others(cond, b)
        found = predicted(subject, mates, time(t_each), others)
        trial.close(found[:1], whole[:1], "clip 0 among clips of other latents and conditions")
        if 1 in trial.batch:
            last = slice(b - 1, b)
            alone = predicted(subject, mates[last].clone(), time(t_each[-1]), rows(others, last, b))
            trial.close(alone, found[last], f"clip {b - 1} alone and among clips of another condition")
        for row in range(b) if 1 in trial.batch else ():
            part = slice(row, row + 1)
            alone = predicted(subject, x[part].clone(), time(t_each[row]), rows(cond, part, b))
            trial.close(alone, whole[part], f"clip {row} alone and in a batch")


def _of_others(cond: Condition, b: int) -> Condition:
    """A copy of a condition with other numbers in all rows but the first."""

    def changed(value: Tensor) -> Tensor:
        value = value.clone()
        if value.is_floating_point() and value.shape[0] == b:
            value[1:] *= -0.5
        return value

    return map_condition(cond, lambda name, v: changed(v), lambda name, v: PerFrame(changed(v)))


@check("denoiser")
def one_time_for_all_rows(subject: Any, trial: Trial) -> None:
    """t as a single number and t filled ``(b,)`` are the same."""

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        x, cond = noisy(subject, trial, shape, t, seed), trial.condition(shape[0], shape[2])
        each = predicted(subject, x, time([t] * shape[0]), cond)
        trial.close(each, predicted(subject, x, time(t), cond), f"t {t:g} for each row")


@check("denoiser")
def the_same_each_time(subject: Any, trial: Trial) -> None:
    """It predicts the same again, after other clips and times; what it returned is not written on."""

    @trial.given(
        shape=trial.shapes(), other=trial.shapes(), t=trial.moments(), s=trial.moments(), seed=seeds()
    )
    def _(shape: tuple[int, ...], other: tuple[int, ...], t: float, s: float, seed: int) -> None:
        x, cond = noisy(subject, trial, shape, t, seed), trial.condition(shape[0], shape[2])
        first = predicted(subject, x, time(t), cond)
        kept = first.clone()
        predicted(
            subject, noisy(subject, trial, other, s, seed + 9), time(s), trial.condition(other[0], other[2])
        )
        predicted(subject, 2.0 * x, time(s), cond)
        trial.close(first, kept, "what was handed out, after other calls", 0.0)
        trial.close(predicted(subject, x, time(t), cond), kept, "evaluated again", 1e-6)
        first.zero_()
        trial.same(x, noisy(subject, trial, shape, t, seed), "x after its prediction was written on")


@check("denoiser")
def conditions_are_read_each_time(subject: Any, trial: Trial) -> None:
    """Nothing of another condition is left over: not of one of the same size before, nor of one that was edited in place."""
    if not any(value.is_floating_point() for _, value in tensors("", trial.condition(1, trial.frames[0]))):
        trial.skip("it is given no condition of numbers: conforms(..., cond=lambda b, f: {...})", "cond")

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        b = shape[0]
        # Another one for each size of batch: what is kept by size shows at another size.
        x, cond = noisy(subject, trial, shape, t, seed), _scaled(trial.condition(b, shape[2]), 1.0 / b)
        other = _scaled(cond, -0.5)
        first, expected = predicted(subject, x, time(t), cond), predicted(subject, x, time(t), other)
        trial.close(
            predicted(subject, x, time(t), cond), first, "evaluated again, after another condition", 1e-6
        )
        if 1 in trial.batch:
            alone = predicted(subject, x[:1].clone(), time(t), rows(other, slice(0, 1), b))
            trial.close(alone, expected[:1], "with another condition, alone and in a batch")
        for (_, value), (_, wanted) in zip(tensors("", cond), tensors("", other), strict=True):
            value.copy_(wanted)
        trial.close(
            predicted(subject, x, time(t), cond), expected, "after the condition was edited in place", 1e-6
        )


def _scaled(cond: Condition, by: float) -> Condition:
    """A copy of a condition, its numbers times ``by``."""

    def scaled(value: Tensor) -> Tensor:
        return value * by if value.is_floating_point() else value.clone()

    return map_condition(cond, lambda name, v: scaled(v), lambda name, v: PerFrame(scaled(v)))


@check("denoiser")
def any_layout_in_memory(subject: Any, trial: Trial) -> None:
    """Latents whose axes lie in another order in memory are denoised alike."""

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        x, cond = noisy(subject, trial, shape, t, seed), trial.condition(shape[0], shape[2])
        folded = x.transpose(1, 2).contiguous().transpose(1, 2)
        expected = predicted(subject, x, time(t), cond)
        trial.close(predicted(subject, folded, time(t), cond), expected, "frames before channels in memory")


@check("denoiser")
def bridged_there_and_back(subject: Any, trial: Trial) -> None:
    """On another schedule and back on its own, by equal angle, it is itself: its schedule and inverse agree."""
    own = subject.schedule
    other = FlowMatching(shift=2.0)  # from clean to pure noise: it has all levels that any schedule has
    there = Bridged(subject, other)
    back = Bridged(_On(there, other), own)

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        x, cond = noisy(subject, trial, shape, t, seed), trial.condition(shape[0], shape[2])
        expected = predicted(subject, x, time(t), cond)
        trial.close(predicted(back, x, time(t), cond), expected, f"bridged there and back at t {t:g}")


class _On:
    """A denoiser that differs from what is inside by its schedule alone."""

    def __init__(self, denoiser: Any, schedule: Any) -> None:
        self.denoiser, self.schedule = denoiser, schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out: Tensor = self.denoiser(x, t, cond)
        return out


@check("denoiser")
def a_missing_condition_is_named(subject: Any, trial: Trial) -> None:
    """Without a condition that it needs, it raises an ``InputError`` that names the condition."""
    b, c, f = (sizes[0] for sizes in (trial.batch, trial.channels, trial.frames))
    h, w = (sizes[0] for sizes in (trial.heights or trial.sides, trial.widths or trial.sides))
    cond = trial.condition(b, f)
    if not cond:
        trial.skip("it is given no condition: conforms(..., cond=lambda b, f: {...})", "cond")
    t = sum(trial.times) / 2.0
    x = noisy(subject, trial, (b, c, f, h, w), t, 0)
    for name in cond:
        fewer = {key: value for key, value in cond.items() if key != name}
        try:
            predicted(subject, x, time(t), fewer)
        except Exception as error:
            if not isinstance(error, InputError):
                wrong = f"raises {type(error).__name__}: expected an InputError that names it"
            elif name not in str(error):
                wrong = f"raises {str(error)!r}, which does not name it"
            else:
                continue
            raise AssertionError(f"without {name!r} it {wrong}") from error


@check("denoiser")
def predicts_x_0(subject: Any, trial: Trial) -> None:
    """On noised data it comes nearer to x_0 than the noisy latents and the data's mean do, where signal and noise are alike."""
    data = trial.option("data")
    if data is None:
        trial.skip("no data to measure predictions with: conforms(..., data=latents)", "data")
    x_0 = data.double().cpu()
    b, _, f = x_0.shape[:3]
    mean, variance = x_0.mean(), float(x_0.var(correction=0))
    cond = trial.condition(b, f)
    low, high = trial.times
    tried = 0
    trial.takes(8)
    for part in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        t = time(low + part * (high - low))
        alpha, sigma = (level.cpu() for level in levels(subject, t.to(trial.device)))
        noise = float((sigma / alpha) ** 2) if alpha > 0 else float("inf")
        if not 0.2 * variance <= noise <= 5.0 * variance:
            continue
        tried += 1
        x = alpha * x_0 + sigma * keyed_normal(range(b), ("data",), x_0.shape[1:], F64)
        found = predicted(subject, x.to(trial.device, trial.dtype[-1]), t, cond)
        missed = float((found.cpu().double() - x_0).square().mean())
        best = min(noise, float((x_0 - mean).square().mean()))
        assert missed < best, (
            f"at t {float(t):.3g} its mean square error is {missed:.4g}, that of the noisy latents or of the mean {best:.4g}: "
            "it predicts something else than x_0, or is evaluated at another level than it was trained at"
        )
    assert tried, (
        f"no time in [{low:g}, {high:g}] has signal and noise alike: expected times of its own schedule"
    )


vary("denoiser")
