"""Grids: diffusers' spacings as times, and refusals."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.grids import Explicit, Leading, Linspace, Trailing

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
    ("build", "said"),
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
def test_bad_input_is_told_in_one_line(build, said):
    with pytest.raises(InputError) as caught:
        build()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
