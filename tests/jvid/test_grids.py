"""Grids: diffusers' spacings as times, and refusals."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid import paper
from jvid.ensemble import Composition
from jvid.errors import InputError
from jvid.grids import ByAngle, Explicit, Karras, Leading, Linspace, Trailing, Zigzag
from jvid.plugins.choice import Choice
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.strategy import Strategy

SPACINGS = [("leading", Leading), ("trailing", Trailing), ("linspace", Linspace)]


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 30, 49, 50, 75, 200, 999, 1000])
@pytest.mark.parametrize(("spacing", "grid"), SPACINGS, ids=[name for name, _ in SPACINGS])
def test_timesteps_are_those_of_diffusers(spacing, grid, steps):
    from diffusers import DDIMScheduler

    if (spacing, steps) == ("linspace", 1):
        pytest.skip("diffusers' single linspace step starts at the clean end; ours starts at noise")
    scheduler = DDIMScheduler(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    times = grid(steps)()
    assert [round(t * 1000 - 1) for t in times[:-1]] == scheduler.timesteps.tolist()
    assert times[-1] == 0.0


def test_offset_shifts_as_stable_diffusion_does():
    assert [round(t * 1000 - 1) for t in Leading(50, offset=1)()[:-1]] == list(range(981, 0, -20))


@given(st.data())
def test_every_grid_falls_strictly_from_within_the_unit_interval_to_clean(data):
    T = data.draw(st.integers(1, 1100))
    steps = data.draw(st.integers(1, T))
    for grid in (Leading(steps, T=T), Trailing(steps, T), Linspace(steps, T)):
        times = grid()
        assert len(times) == steps + 1
        assert all(0.0 <= low < high <= 1.0 for high, low in pairwise(times))
        assert times[-1] == 0.0


def test_explicit_may_step_back_up_and_compares_by_value():
    grid = Explicit([1, 0.5, 0.75, 0])
    assert grid() == (1.0, 0.5, 0.75, 0.0)
    assert grid == Explicit((1.0, 0.5, 0.75, 0.0))
    assert len({grid, Explicit([1, 0.5, 0.75, 0]), Leading(3)}) == 2


@pytest.mark.parametrize(
    ("build", "printed"),
    [
        (lambda: Leading(0), "steps=0"),
        (lambda: Leading(1001), "at most 1000"),
        (lambda: Leading(50, offset=20), "timestep 1000"),
        (lambda: Leading(50, offset=-1), "offset=-1"),
        (lambda: Trailing(2.5), "steps=2.5"),  # type: ignore[arg-type]
        (lambda: Linspace(5, T=0), "T=0"),
        (lambda: Explicit([1.0, 0.5]), "end at 0.5"),
        (lambda: Explicit([]), "0 times"),
        (lambda: Explicit([1.2, 0.0]), "times[0] = 1.2"),
        (lambda: Explicit([float("nan"), 0.0]), "times[0] = nan"),
    ],
)
def test_bad_input_is_one_line(build, printed):
    with pytest.raises(InputError) as caught:
        build()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)


SCHEDULES = [TabulatedSchedule.scaled_linear(), VarianceExploding(), FlowMatching(3.0)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("rho", [1.0, 7.0])
def test_karras_is_equation_5(schedule, rho) -> None:
    low, high = 0.05, 12.0
    times = Karras(9, rho, low, high)(schedule)
    expected = [(high ** (1 / rho) + i / 8 * (low ** (1 / rho) - high ** (1 / rho))) ** rho for i in range(9)]
    alpha, sigma = schedule(torch.tensor(times[:-1], dtype=torch.float64))
    torch.testing.assert_close((sigma / alpha).tolist(), expected, rtol=1e-9, atol=0)
    assert times[-1] == 0.0


def test_karras_has_diffusers_default_range() -> None:
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, use_karras_sigmas=True
    )
    scheduler.set_timesteps(8)
    schedule = TabulatedSchedule.scaled_linear()
    alpha, sigma = schedule(torch.tensor(Karras(8)(schedule), dtype=torch.float64))
    torch.testing.assert_close((sigma / alpha).float(), scheduler.sigmas, rtol=2e-5, atol=1e-6)


def test_karras_ends_where_the_schedule_begins() -> None:
    for schedule, first in [
        (TabulatedSchedule.scaled_linear(T=100), 0.01),
        (VarianceExploding(0.02, 10.0, t_min=0.05), 0.05),
        (FlowMatching(), 0.001),
    ]:
        times = Karras(5, sigma_max=0.8)(schedule)
        assert times[-2] == pytest.approx(first, rel=1e-9)
    # The numbers of the paper: 18 steps from 80 to 0.002.
    schedule = VarianceExploding()
    _, sigma = schedule(torch.tensor(Karras(18)(schedule), dtype=torch.float64))
    assert sigma[[0, 1, 9, 17, 18]].tolist() == pytest.approx([80.0, 57.586, 1.92334, 0.002, 0.0], rel=1e-4)


@pytest.mark.parametrize("schedule", [*SCHEDULES, FlowMatching()], ids=repr)
@given(steps=st.integers(1, 30))
def test_by_angle_is_even_in_the_angle(schedule, steps) -> None:
    alpha, sigma = schedule(torch.tensor(ByAngle(steps)(schedule), dtype=torch.float64))
    gaps = torch.atan2(sigma, alpha).diff()
    torch.testing.assert_close(gaps, gaps.mean().expand(steps), atol=1e-9, rtol=0)


@given(steps=st.integers(2, 60), back=st.integers(1, 5), repeats=st.integers(0, 3))
def test_zigzag_walks_the_leading_grid_and_rises_within_its_range(steps, back, repeats) -> None:
    inside = sum(0.3 <= low < high <= 0.8 for high, low in pairwise(Leading(steps)()))
    if repeats and inside < back:
        with pytest.raises(InputError, match=f"no {back} of its {steps} steps"):
            Zigzag(steps, back, repeats)
        return
    times = Zigzag(steps, back, repeats)()
    base = Leading(steps)()
    assert set(times) == set(base)
    assert times[-1] == 0.0
    rises = [(a, b) for a, b in pairwise(times) if b > a]
    assert all(0.3 <= a < b <= 0.8 for a, b in rises)
    assert len(times) == len(base) + len(rises) * (back + 1)
    assert (repeats == 0) <= (not rises)


@pytest.mark.parametrize(
    ("make", "printed"),
    [
        (lambda: Karras(4)(), "without a schedule"),
        (lambda: ByAngle(4)(), "without a schedule"),
        (lambda: Karras(4, sigma_min=2.0, sigma_max=1.0)(SCHEDULES[0]), "sigma_min < sigma_max"),
        (lambda: Karras(4, sigma_max=100.0)(SCHEDULES[0]), "at most 14.6"),
        (lambda: Karras(4)(FlowMatching()), "pure noise"),
        (lambda: Karras(0), "steps=0"),
        (lambda: Karras(4, rho=-1), "rho=-1"),
        (lambda: Zigzag(10, 0), "back=0"),
        (lambda: Zigzag(10, low=0.9, high=0.2), "low=0.9"),
        (lambda: Explicit("1+x"), "as text 1+.5+0"),
    ],
)
def test_what_new_grids_refuse(make, printed) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert printed in str(caught.value)


def test_explicit_times_go_through_a_strategy() -> None:
    for grid in ("explicit:times=1+.5+.25+0", Choice("explicit", {"times": (1.0, 0.5, 0.25, 0.0)})):
        strategy = attrs.evolve(paper.strategy(64), grid=grid)
        assert [step.start.t for step in Composition(strategy).plan().steps] == [1.0, 0.5, 0.25]
        assert Strategy.from_dict(strategy.to_dict()) == strategy
