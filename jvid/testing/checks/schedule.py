"""Checks of noise schedules: x_t = alpha_t x_0 + sigma_t eps, t = 0 clean, t = 1 noise.

Angles are atan2(sigma, alpha), finite at both ends. They are compared in place of times: a schedule may be flat, and then
several times are one level.
"""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from jvid.testing.checking import check
from jvid.testing.checks import schedule_reference, schedule_smooth  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.strategies import SCHEDULES, times
from jvid.testing.trial import Trial

F64 = torch.float64
EVENLY = torch.linspace(0.0, 1.0, 257, dtype=F64)
SHAPES = ((), (1,), (5,), (2, 3), (3, 1, 2))
CLOSE = 1e-9
DTYPES = st.sampled_from(["float32", "float64"])  # by name: what is drawn can be pasted


def _levels(subject: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = subject(t)
    return alpha, sigma


def _angle(subject: Any, t: Tensor) -> Tensor:
    alpha, sigma = _levels(subject, t)
    return torch.atan2(sigma, alpha)


def _time(trial: Trial, t: float) -> Tensor:
    return torch.tensor(t, dtype=F64, device=trial.device)


def _evenly(trial: Trial) -> Tensor:
    return EVENLY.to(trial.device)


def _moments(trial: Trial, shape: tuple[int, ...], seed: int, dtype: torch.dtype = F64) -> Tensor:
    """Times of a shape, the ends among them where there is room."""
    t = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)
    if t.numel() > 1:
        t.view(-1)[seed % t.numel()], t.view(-1)[-1] = 0.0, 1.0
    return t.to(trial.device, dtype)


@check("schedule")
def alpha_and_sigma_like_t(subject: Any, trial: Trial) -> None:
    """A pair alpha, sigma, each of the shape, dtype and device of t, which may be a single number or have any axes."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if "device" in trial.declared:
        devices = [str(trial.device)]

    @trial.given(shape=st.sampled_from(SHAPES), dtype=DTYPES, seed=st.integers(0, 99))
    def _(shape: tuple[int, ...], dtype: str, seed: int) -> None:
        for device in devices:
            t = _moments(trial, shape, seed, getattr(torch, dtype)).to(device)
            made = subject(t)
            assert len(made) == 2, f"{len(made)} values: expected alpha and sigma"
            for name, value in zip(("alpha", "sigma"), made, strict=True):
                got = value.shape, value.dtype, value.device.type
                assert got == (t.shape, t.dtype, t.device.type), (
                    f"{name} is {got} for t {(t.shape, t.dtype, device)}"
                )


@check("schedule")
def levels_are_levels(subject: Any, trial: Trial) -> None:
    """alpha and sigma are finite and at least 0, and never both 0, the ends included; in float32 too."""

    @trial.given(t=times())
    def _(t: float) -> None:
        for dtype in (F64, torch.float32):
            levels = subject(torch.tensor(t, dtype=dtype, device=trial.device))
            alpha, sigma = (float(level) for level in levels)
            found = f"alpha {alpha:g}, sigma {sigma:g} at t {t:g} in {dtype}"
            assert all(map(math.isfinite, (alpha, sigma))), f"{found}: expected finite numbers"
            assert min(alpha, sigma) >= 0.0, f"{found}: expected at least 0"
            assert max(alpha, sigma) > 0.0, f"{found}: expected one of them above 0"


@check("schedule")
def from_clean_to_noise(subject: Any, trial: Trial) -> None:
    """t = 0 is clean, sigma = 0 and alpha above it; t = 1 is noisier than anything before."""
    alpha, sigma = (float(level) for level in subject(_time(trial, 0.0)))
    assert alpha > 0.0, f"alpha is {alpha:g} at t 0"
    # What cos(pi / 2) leaves in float64 is no noise.
    assert sigma <= 1e-12 * alpha, f"sigma is {sigma:g} at t 0: expected 0, no noise at the clean end"
    angles = _angle(subject, _evenly(trial))
    assert angles[-1] > angles[0], "t 1 is as clean as t 0"
    assert angles[-1] >= angles.max() - 1e-12, (
        f"t {float(EVENLY[int(angles.argmax())]):g} is noisier than t 1"
    )


@check("schedule")
def angle_never_falls(subject: Any, trial: Trial) -> None:
    """The angle atan2(sigma, alpha) never falls as t goes from 0 to 1."""
    fallen = _angle(subject, _evenly(trial)).diff() < -1e-12
    assert not fallen.any(), f"it falls after t {float(EVENLY[int(fallen.int().argmax())]):g}"

    @trial.given(one=times(), two=times())
    def _(one: float, two: float) -> None:
        t = torch.tensor(sorted([one, two]), dtype=F64)
        alpha, sigma = subject(t)
        low, high = torch.atan2(sigma, alpha).tolist()
        assert high >= low - 1e-12, f"{low:.9g} at t {t[0]:g}, {high:.9g} at t {t[1]:g}"


@check("schedule")
def times_are_alone(subject: Any, trial: Trial) -> None:
    """Element by element: a time among others has the level that it has by itself."""

    @trial.given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 99))
    def _(shape: tuple[int, ...], seed: int) -> None:
        t = _moments(trial, shape, seed)
        together = torch.stack(_levels(subject, t)).reshape(2, -1)
        alone = [torch.stack(_levels(subject, one)) for one in t.flatten()]
        trial.close(
            together, torch.stack(alone, dim=1), f"{tuple(shape)} times at once and one by one", 1e-12
        )


@check("schedule")
def float32_agrees(subject: Any, trial: Trial) -> None:
    """Levels of float32 times are those of float64, to what float32 holds."""

    @trial.given(t=times())
    def _(t: float) -> None:
        short = torch.tensor(t, dtype=torch.float32, device=trial.device)
        got, expected = torch.stack(_levels(subject, short)), torch.stack(_levels(subject, short.double()))
        trial.close(got, expected, f"alpha and sigma at t {t:g}", 2e-5)


@check("schedule")
def time_at_finds_the_level(subject: Any, trial: Trial) -> None:
    """``time_at`` of the angle at t is a time of the same angle, of the angle's shape and dtype."""
    if not hasattr(subject, "time_at"):
        raise AssertionError("it has no time_at(angle): a bridge finds its own time by it")

    @trial.given(t=times())
    def _(t: float) -> None:
        angle = _angle(subject, _time(trial, t))
        found = subject.time_at(angle)
        trial.close(_angle(subject, found), angle, f"the angle at the time found for t {t:g}", CLOSE)

    @trial.given(shape=st.sampled_from(SHAPES), dtype=DTYPES, seed=st.integers(0, 99))
    def _(shape: tuple[int, ...], dtype: str, seed: int) -> None:
        angle = _angle(subject, _moments(trial, shape, seed)).to(getattr(torch, dtype))
        found = subject.time_at(angle)
        assert (found.shape, found.dtype) == (angle.shape, angle.dtype), (
            f"time_at gave {tuple(found.shape)} in {found.dtype} for {tuple(angle.shape)} in {angle.dtype}"
        )


@check("schedule")
def time_at_stays_within(subject: Any, trial: Trial) -> None:
    """Any angle of 0 to pi / 2 has a time in [0, 1], and times do not fall as angles rise; beyond the ends, the end."""
    angles = torch.linspace(0.0, math.pi / 2, 257, dtype=F64).to(trial.device)
    found = subject.time_at(angles)
    inside = found.isfinite() & (found >= 0.0) & (found <= 1.0)
    assert inside.all(), f"time_at gave {found[~inside][0]:g}: expected 0 to 1"
    assert (found.diff() >= -1e-9).all(), "time_at falls as the angle rises"
    clean, noise = _angle(subject, _time(trial, 0.0)), _angle(subject, _time(trial, 1.0))
    for angle, end in ((angles[0], clean), (angles[-1], noise)):
        got = _angle(subject, subject.time_at(angle))
        trial.close(got, end, f"the level found for the angle {float(angle):.3g}, beyond its own", CLOSE)


@check("schedule")
def the_same_each_time(subject: Any, trial: Trial) -> None:
    """It depends on t alone and writes on nothing: neither on t, nor on what it handed out before."""

    @trial.given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 99))
    def _(shape: tuple[int, ...], seed: int) -> None:
        t = _moments(trial, shape, seed)
        kept = t.clone()
        first = [level.clone() for level in subject(t)]
        trial.untouched(t, kept, "t after the call")
        for level in subject(t):
            if (
                level.data_ptr() != t.data_ptr()
            ):  # sigma = t is t itself, and writing on that is the caller's doing
                level.zero_()
        subject(_moments(trial, (4,), seed + 1))
        for name, got, expected in zip(("alpha", "sigma"), subject(kept), first, strict=True):
            trial.same(got, expected, f"{name}, evaluated again")
        angle = torch.atan2(first[1], first[0])
        given = angle.clone()
        subject.time_at(given)
        trial.untouched(given, angle, "the angle after time_at")


@check("schedule")
def equal_by_value(subject: Any, trial: Trial) -> None:
    """A pickled copy is equal, hashes alike and has the same levels; what is equal to it has them, too."""
    first = torch.stack(_levels(subject, _evenly(trial)))
    for how, twin in (("a pickled", pickle.loads(pickle.dumps(subject))), ("a deep", copy.deepcopy(subject))):
        assert twin == subject, f"{how} copy is not equal: experts that share a schedule would be bridged"
        assert hash(twin) == hash(subject), f"{how} copy has another hash"
        trial.same(torch.stack(_levels(twin, _evenly(trial))), first, f"levels of {how} copy")
    for other in SCHEDULES:
        if subject == other:
            trial.close(
                first,
                torch.stack(_levels(other, EVENLY)),
                f"levels of {other}, which it calls its equal",
                1e-9,
            )
    assert subject != object(), "it is equal to anything"


vary("schedule")
