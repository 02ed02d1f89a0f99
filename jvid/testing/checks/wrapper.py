"""Checks of wrappers: a factory ``(denoiser) -> denoiser``. It is handed denoisers of the kit's own, which know the answer.

Options: ``schedule``, the schedule of the wrapped denoiser if not the inner one's; ``identity=False`` for a wrapper that changes
what a denoiser predicts on purpose; ``guidance=False`` for one whose option ``scale`` is not that of equation (4);
``framewise=True`` for one that takes frames one by one; ``window``, the frames that one which cuts long clips takes at once.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.protocols import Condition
from jvid.core.spaces import LatentSpace
from jvid.testing.checking import CHECKS, check, declare
from jvid.testing.checks import denoiser, wrapper_levels, wrapper_reference  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.denoising import conditioned, noisy, predicted, time
from jvid.testing.inner import Inner, conditions, direct
from jvid.testing.rounding import SCALES
from jvid.testing.strategies import SCHEDULES, seeds
from jvid.testing.trial import Trial

declare("wrapper", schedule=None, identity=True, guidance=True, framewise=False, window=None)

EXACT = 1e-9
MOST = 10
"""Examples of a promise of denoisers, of which a wrapper has ten."""


def _identity(trial: Trial) -> None:
    if not trial.option("identity"):
        trial.skip("it changes what a denoiser predicts on purpose")


@check("wrapper")
def forwards_the_schedule(subject: Any, trial: Trial) -> None:
    """The wrapped denoiser has the inner one's schedule, or the one that it was made for."""
    for schedule in SCHEDULES:
        wanted = trial.option("schedule") or schedule
        got = getattr(subject(Inner(schedule)), "schedule", None)
        assert got is not None, "it has no schedule: forward the inner denoiser's"
        assert got == wanted, f"it has {got} around a denoiser on {schedule}"


@check("wrapper")
def forwards_the_space(subject: Any, trial: Trial) -> None:
    """The wrapped denoiser declares the inner one's latent space, or none where that declares none."""
    space = LatentSpace("of the kit", channels=7)
    for wanted in (space, None):
        got = getattr(subject(Inner(space=wanted)), "space", None)
        assert got == wanted, (
            f"it declares the space {got} around a denoiser of {wanted}: experts of other spaces would be mixed"
        )


@check("wrapper")
def predictions_untouched(subject: Any, trial: Trial) -> None:
    """What the inner denoiser hands out is not written on: it may keep it."""

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        inner = Inner()
        wrapped = subject(inner)
        predicted(
            wrapped, noisy(wrapped, trial, shape, t, seed), time(t), conditioned(trial, shape[0], shape[2])
        )
        assert inner.given, "the inner denoiser is not evaluated"
        for got, kept in inner.given:
            trial.untouched(got, kept, "the inner denoiser's prediction afterwards")


@check("wrapper")
def wrapped_denoisers_share_nothing(subject: Any, trial: Trial) -> None:
    """Two wrapped denoisers, evaluated by turns, predict what each predicts alone."""

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        cond, inner = conditioned(trial, shape[0], shape[2], same=True), Inner(shift=2.0)
        one, two = subject(Inner()), subject(inner)
        x = noisy(one, trial, shape, t, seed)
        predicted(one, x, time(t), cond)
        second = predicted(two, x, time(t), cond)
        assert inner.shapes, "the second denoiser is not evaluated: it gets what the first predicted"
        trial.close(
            second, predicted(subject(Inner(shift=2.0)), x, time(t), cond), "by turns and alone", EXACT
        )
        if trial.option("identity"):
            expected = direct(Inner(two.schedule, shift=2.0), x, time(t), cond)
            trial.close(second, expected, "the second denoiser, after the first", EXACT)


@check("wrapper")
def leaves_alone_what_agrees(subject: Any, trial: Trial) -> None:
    """Around a denoiser that predicts the same with and without text, and each element by itself, it changes nothing."""
    _identity(trial)

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds(), each=st.booleans())
    def _(shape: tuple[int, ...], t: float, seed: int, each: bool) -> None:
        wrapped, cond = subject(Inner()), conditioned(trial, shape[0], shape[2], same=True)
        x = noisy(wrapped, trial, shape, t, seed)
        times = time([t] * shape[0] if each else t)
        expected = direct(Inner(wrapped.schedule), x, times, cond)
        trial.close(predicted(wrapped, x, times, cond), expected, "x_0 with and without the wrapper", EXACT)


@check("wrapper")
def errors_pass(subject: Any, trial: Trial) -> None:
    """What the inner denoiser raises goes through: a wrapper that goes on without it hides the fault."""

    class Broken(Inner):
        def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
            raise ArithmeticError("broken on purpose")

    shape = trial.fitting([(1, 1, 1, 1, 1)])[0]
    wrapped = subject(Broken())
    t = sum(trial.times) / 2.0
    try:
        predicted(
            wrapped, noisy(wrapped, trial, shape, t, 0), time(t), conditioned(trial, shape[0], shape[2])
        )
    except ArithmeticError as error:
        raised = str(error)
    else:
        raised = ""
    assert raised == "broken on purpose", "the inner denoiser's error does not come out"


def _scale_of(subject: Any, trial: Trial) -> str:
    """The option that is the scale of guidance; another name than ``scale`` is one if the null condition matters."""
    parameters = inspect.signature(subject).parameters
    name = next((name for name in SCALES if name in parameters), "")
    if not trial.option("guidance") or not name:
        trial.skip("it has no scale of guidance")
    if name != "scale":
        one, two = conditioned(trial, 1, trial.frames[0]), conditioned(trial, 1, trial.frames[0])
        two["null"]["text"].add_(1.0)
        shape = trial.fitting([(1, 2, trial.frames[0], 2, 2)])[0]
        inner = Inner()
        x = noisy(inner, trial, shape, 0.5, 0)
        if torch.equal(*(predicted(subject(Inner()), x, time(0.5), cond) for cond in (one, two))):
            trial.skip(f"its {name} is none of guidance: the null condition changes nothing")
    return name


@check("wrapper")
def scale_is_that_of_guidance(subject: Any, trial: Trial) -> None:
    """With ``scale`` 1, by whatever name, it is the conditional denoiser, with 0 the unconditional one, and linear beyond."""
    name = _scale_of(subject, trial)

    @trial.given(
        shape=trial.shapes(),
        t=trial.moments(),
        seed=seeds(),
        scale=st.sampled_from([2.0, 0.5, 7.5, -1.0, 1.5]) | st.floats(-2.0, 12.0).map(lambda g: round(g, 2)),
    )
    def _(shape: tuple[int, ...], t: float, seed: int, scale: float) -> None:
        inner, cond = Inner(), conditioned(trial, shape[0], shape[2])
        x = noisy(inner, trial, shape, t, seed)
        with_text, without = (direct(inner, x, time(t), each) for each in (cond, {**cond, **cond["null"]}))
        for g in (1.0, 0.0, scale):
            expected = without + g * (with_text - without)
            wrapped = subject(inner, **{name: g})
            trial.close(predicted(wrapped, x, time(t), cond), expected, f"{name} {g:g}", EXACT)


@check("wrapper")
def the_denoiser_is_evaluated_each_time(subject: Any, trial: Trial) -> None:
    """A denoiser that predicts something else than before, as after its weights changed, changes the wrapped one's answer."""
    shape = trial.fitting([(2, 2, 3, 3, 2)])[0]
    inner, cond = Inner(), conditioned(trial, shape[0], shape[2])
    wrapped = subject(inner)
    t = time(sum(trial.times) / 2.0)
    x = noisy(wrapped, trial, shape, float(t), 0)
    predicted(wrapped, x, t, cond)
    inner.shift = 2.0
    got, expected = predicted(wrapped, x, t, cond), predicted(subject(Inner(shift=2.0)), x, t, cond)
    trial.close(got, expected, "after the denoiser inside has changed", EXACT)


@check("wrapper")
def clips_in_use_are_left_alone(subject: Any, trial: Trial) -> None:
    """Clips beyond a window, of 33 frames, and oblong ones too: around a denoiser of single elements it changes nothing."""
    _identity(trial)
    window = trial.option("window") or 8
    wrapped_sizes = [(1, 1, frames, 1, 2) for frames in (*trial.longer(window), window + 2)]
    sizes = trial.fitting([*wrapped_sizes, (1, 4, 2, 5, 9), (4, 1, 1, 2, 1)])
    for shape in sizes:
        inner, cond = Inner(), conditioned(trial, shape[0], shape[2], same=True)
        wrapped = subject(inner)
        t = time(sum(trial.times) / 2.0)
        x = noisy(wrapped, trial, shape, float(t), 1)
        expected = direct(Inner(wrapped.schedule), x, t, cond)
        trial.close(predicted(wrapped, x, t, cond), expected, f"x_0 of clips of shape {shape}", EXACT)


@check("wrapper")
def frames_are_alone(subject: Any, trial: Trial) -> None:
    """Frames are denoised one by one: it commutes with their order, and a single frame is the inner denoiser's own."""
    if not trial.option("framewise"):
        trial.skip("it does not take frames one by one")

    @trial.given(shape=trial.shapes(), t=trial.moments(), seed=seeds())
    def _(shape: tuple[int, ...], t: float, seed: int) -> None:
        inner = Inner()
        wrapped, cond = subject(inner), {**conditioned(trial, shape[0], shape[2])}
        x = noisy(wrapped, trial, shape, t, seed)
        out = predicted(wrapped, x, time(t), cond)
        assert all(shape[2] == 1 for shape in inner.shapes), (
            f"the inner denoiser is evaluated on {inner.shapes}"
        )
        order = torch.arange(shape[2]).roll(1)
        cond["move"] = type(cond["move"])(cond["move"].tensor[:, order])
        trial.close(
            predicted(wrapped, x[:, :, order], time(t), cond),
            out[:, :, order],
            "frames in another order",
            EXACT,
        )
        first = {**cond, "move": type(cond["move"])(cond["move"].tensor[:, :1])}
        single = x[:, :, :1].clone()
        trial.close(
            predicted(wrapped, single, time(t), first),
            direct(inner, single, time(t), first),
            "one frame",
            EXACT,
        )


@check("wrapper")
def long_clips_cost_in_proportion(subject: Any, trial: Trial) -> None:
    """A clip within the window is denoised whole; longer ones never beyond it, at a cost linear in frames."""
    window = trial.option("window")
    if window is None:
        trial.skip("it does not cut long clips")
    cost = {}
    for frames in (1, window, 4 * window, 8 * window, 16 * window):
        inner = Inner()
        wrapped, cond = subject(inner), conditioned(trial, 1, frames)
        x = trial.latents((1, 1, frames, 1, 1), frames)
        out = predicted(wrapped, x, time(0.5), cond)
        longest = max(shape[2] for shape in inner.shapes)
        assert longest <= window, f"it evaluates {longest} frames at once: expected at most {window}"
        cost[frames] = sum(shape[2] for shape in inner.shapes)
        if frames <= window:
            trial.same(
                out, direct(inner, x, time(0.5), cond), f"a clip of {frames} frames, within the window"
            )
    growth = cost[16 * window] - cost[8 * window], cost[8 * window] - cost[4 * window]
    # Twice the frames, twice the growth; the last window may overlap more.
    assert growth[0] <= 2 * growth[1] + window, f"frames evaluated, by frames of the clip: {cost}"


def _promise(name: str) -> None:
    """A check of denoisers, of the wrapped denoiser."""
    of = CHECKS["denoiser"][name]

    def run(subject: Any, trial: Trial) -> None:
        of.run(subject(Inner()), trial.fewer(MOST, cond=conditions))

    run.__name__, run.__doc__ = name, of.invariant
    check("wrapper")(run)


for _name in (
    "shape_and_dtype_kept", "inputs_untouched", "a_clip_is_alone", "one_time_for_all_rows", "the_same_each_time",
    "conditions_are_read_each_time", "any_layout_in_memory", "bridged_there_and_back", "rows_in_any_order",
    "half_precision_agrees",
):  # fmt: skip
    _promise(_name)


vary("wrapper")
