"""What a solver declares of the noise of a step is what the step does: at levels of 0, rising ones and steps of no length."""

from __future__ import annotations

import pytest

from jvid.core.protocols import DeclaresNoise
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load, names
from jvid.testing import conforms

CHECK = "declares_the_noise_that_it_draws"
SOLVERS = [
    "ddpm", "ddim", "ddim:eta=.5", "ddim:eta=1", "euler", "euler:s_churn=5", "euler:s_churn=5,s_noise=0",
    "euler:s_churn=5,s_tmin=.5,s_tmax=2", "euler-ancestral", "euler-ancestral:eta=0", "euler-ancestral:s_noise=0", "heun",
    "heun:s_churn=5", "heun:s_churn=5,s_noise=0", "heun:s_churn=5,s_tmin=.5,s_tmax=2", "pndm", "pndm:start=runge-kutta",
    "dpmpp-2m", "dpmpp-2m:form=heun", "dpmpp-2m-sde", "dpmpp-2m-sde:eta=0", "dpmpp-2m-sde:eta=.5,form=heun", "unipc",
    "unipc:solver_order=3",
]  # fmt: skip


def test_every_bundled_solver_is_here_and_declares() -> None:
    assert {Choice.parse(text).name for text in SOLVERS} == set(names("solver"))
    assert all(isinstance(load("solver", Choice.parse(text)), DeclaresNoise) for text in SOLVERS)


@pytest.mark.parametrize("text", SOLVERS)
def test_a_step_draws_as_declared(text: str) -> None:
    report = conforms("solver", load("solver", Choice.parse(text)), only=[CHECK])
    report.raise_for_failures()
    assert report.counts == {"passed": 1}
