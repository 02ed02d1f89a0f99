"""Grids as diffusers' pipelines visit them: timesteps of five schedulers, and runs that end above t = 0."""

from __future__ import annotations

import math

import diffusers
import pytest
import torch

from jvid import (
    DDIM,
    DPMPP2M,
    PNDM,
    Always,
    Euler,
    Expert,
    Parameterized,
    Sampler,
    TabulatedSchedule,
    UniPC,
    load,
)
from jvid.errors import InputError
from jvid.grids import Explicit, Karras, Leading, Linspace, Trailing
from jvid.plugins.choice import Choice
from jvid.schedules import VarianceExploding
from jvid.testing import conforms

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
VP = TabulatedSchedule.scaled_linear()
SINGLE = (diffusers.DDIMScheduler, diffusers.PNDMScheduler)
MULTI = (diffusers.UniPCMultistepScheduler, diffusers.DPMSolverMultistepScheduler)
GRIDS = [
    *(
        (kind, spacing, grid)
        for kind in SINGLE
        for spacing, grid in (
            ("leading", lambda n: Leading(n, offset=1)), ("trailing", Trailing), ("linspace", Linspace),
        )
    ),
    (diffusers.EulerDiscreteScheduler, "leading", lambda n: Leading(n, offset=1)),
    (diffusers.EulerDiscreteScheduler, "trailing", Trailing),
    (diffusers.EulerDiscreteScheduler, "linspace", lambda n: Linspace(n, rounded=False)),
    *(
        (kind, spacing, grid)
        for kind in MULTI
        for spacing, grid in (
            ("leading", lambda n: Leading(n, offset=1, skip_lowest=True)),
            ("trailing", Trailing),
            ("linspace", lambda n: Linspace(n, skip_lowest=True)),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spacing", "grid"), GRIDS)
def test_timesteps_are_the_schedulers_own(kind, spacing, grid):
    options = {"skip_prk_steps": True} if kind is diffusers.PNDMScheduler else {}
    scheduler = kind(**SD, timestep_spacing=spacing, steps_offset=1, **options)
    for steps in (2, 7, 25, 30, 50):
        scheduler.set_timesteps(steps)
        own = sorted(set(scheduler.timesteps.tolist()), reverse=True)  # PNDM repeats one
        times = grid(steps)()
        assert [t * 1000 - 1 for t in times[:-1]] == pytest.approx(own, abs=1e-3)
        assert times[-1] == 0.0


def network(x, t, cond):
    return 0.7 * x.tanh() + 0.2 * math.sin(float(t) * 3.0)


def pipelines(scheduler, steps, x):
    """The loop of a pipeline; x and the result in the scheduler's own scale."""
    scheduler.set_timesteps(steps)
    for n in scheduler.timesteps:
        out = network(scheduler.scale_model_input(x, n), (float(n) + 1) / 1000, {})
        x = scheduler.step(out, n, x).prev_sample
    return x


def ours(solver, grid, x):
    sampler = Sampler({"a": Expert(Parameterized(network, VP))}, Always("a"), solver, grid)
    return sampler(seeds=[0], x=x)


@pytest.mark.parametrize(
    ("scheduler", "solver", "grid"),
    [
        (diffusers.DDIMScheduler(**SD, set_alpha_to_one=False, clip_sample=False, steps_offset=1), DDIM(),
         Leading(8, offset=1, clean=False)),
        (diffusers.DDIMScheduler(**SD, set_alpha_to_one=False, clip_sample=False), DDIM(), Leading(8, clean=False)),
        (diffusers.DDIMScheduler(**SD, set_alpha_to_one=False, clip_sample=False, timestep_spacing="trailing"), DDIM(),
         Trailing(8, clean=False)),
        (diffusers.PNDMScheduler(**SD, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1), PNDM(),
         Leading(8, offset=1, clean=False)),
        (diffusers.DPMSolverMultistepScheduler(**SD, final_sigmas_type="sigma_min", timestep_spacing="leading", steps_offset=1),
         DPMPP2M(), Leading(16, offset=1, skip_lowest=True, clean=False)),  # below 15 steps diffusers lowers the order
        (diffusers.UniPCMultistepScheduler(**SD, final_sigmas_type="sigma_min"), UniPC(),
         Linspace(8, skip_lowest=True, clean=False)),
    ],
)  # fmt: skip
def test_a_run_ends_where_the_pipelines_does(scheduler, solver, grid):
    x = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    expected, got = pipelines(scheduler, grid.steps, x), ours(solver, grid, x)
    assert grid()[-1] == 1 / 1000
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
    # The clean end is another one: by more than the comparison allows.
    assert not torch.allclose(ours(solver, type(grid)(grid.steps), x), expected, atol=1e-3)


def test_euler_ends_at_its_lowest_sigma_between_entries():
    scheduler = diffusers.EulerDiscreteScheduler(**SD, final_sigmas_type="sigma_min")
    grid = Linspace(8, rounded=False, clean=False)
    x = torch.randn(1, 4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    # The pipeline's latents are x / alpha. Its lowest timestep is the first entry, whose step to sigma_min changes nothing.
    alphas = [float(VP(torch.tensor(t, dtype=torch.float64))[0]) for t in (grid()[0], grid()[-1])]
    expected = pipelines(scheduler, 8, x / alphas[0]) * alphas[1]
    torch.testing.assert_close(ours(Euler(), grid, x), expected, atol=2e-5, rtol=1e-4)
    assert len(grid()) == 8


def test_edm_ends_at_sigma_min():
    schedule = VarianceExploding(0.002, 80.0)
    scheduler = diffusers.EDMEulerScheduler(final_sigmas_type="sigma_min")
    scheduler.set_timesteps(6)
    times = torch.tensor(Karras(6, clean=False)(schedule), dtype=torch.float64)
    torch.testing.assert_close(schedule(times)[1].float(), scheduler.sigmas[:-1], atol=1e-5, rtol=1e-5)
    assert scheduler.sigmas[-1] == scheduler.sigmas[-2]  # a step of no length


@pytest.mark.parametrize(
    "grid",
    [
        Leading(5, clean=False),
        Trailing(5, clean=False),
        Linspace(5, clean=False, rounded=False),
        Linspace(5, skip_lowest=True),
        Leading(5, offset=1, skip_lowest=True, clean=False),
        Karras(5, sigma_max=10.0, clean=False),
        Explicit((0.9, 0.5, 0.25), clean=False),
    ],
)
def test_grids_that_do_not_end_clean_conform(grid):
    conforms("grid", grid)


def test_what_ends_above_zero_is_declared():
    with pytest.raises(InputError, match="or clean=False"):
        Explicit((1.0, 0.5))
    with pytest.raises(InputError, match="one step"):
        Leading(1, clean=False)()
    with pytest.raises(InputError, match="steps=1"):
        Karras(1, clean=False)
    with pytest.raises(InputError, match="at most 1000"):
        Linspace(1000, skip_lowest=True)


def test_names_of_grids_take_the_options():
    assert load("grid", Choice.parse("leading:steps=5,offset=1,clean=false")) == Leading(
        5, offset=1, clean=False
    )
    assert load("grid", Choice.parse("linspace:steps=5,rounded=false,skip_lowest=true")) == Linspace(
        5, rounded=False, skip_lowest=True
    )
