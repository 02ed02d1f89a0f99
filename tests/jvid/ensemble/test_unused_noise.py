"""Noise that shapes nothing: found by what a solver declares, reported, and left out of what is made once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid import paper
from jvid.cli import main
from jvid.core.evaluations import draws_noise
from jvid.ensemble import Composition, compose
from jvid.ensemble.canonical import canonical
from jvid.errors import JvidWarning
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load, using
from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_noise
from tests.toy import PROMPTS, toy_ensemble, toy_registry

DRAWING = ("ddpm", "ddim:eta=1", "dpmpp-2m-sde", "euler-ancestral")
"""Solvers whose every step but the last draws noise."""
DETERMINISTIC = (
    "ddim:eta=0",
    "dpmpp-2m",
    "dpmpp-2m-sde:eta=0",
    "euler",
    "heun",
    "pndm",
    "unipc",
    "euler-ancestral:eta=0",
)
BOTH = Choice("piecewise-affine", {"t_v": 0.3, "t_e": 0.9, "p_e": 0.5, "p_f": 0.5})


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with using(toy_registry()):
        yield


def _latents(strategy: Strategy) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JvidWarning)
        toy = toy_ensemble()
        sampler = compose(strategy, toy)
    return sampler(toy.shape, seeds=[3], cond=toy.condition(PROMPTS[:1]), plan=strategy.plan_seed)


@given(
    st.sampled_from(DRAWING + DETERMINISTIC),
    st.sampled_from([BOTH, Choice("always", {"name": "image"}), Choice("boundary", {"experts": "video+image", "at": 0.9})]),
    st.integers(1, 6),
    st.sampled_from([(0.25, 0.0), (1.0, 0.5), (0.0, 1.0)]),
    st.integers(0, 5),
)  # fmt: skip
def test_unused_is_what_changes_no_clip(
    solver: str, selector: Choice, steps: int, numbers: tuple[float, float], plan_seed: int
) -> None:
    """Against samples themselves, of every bundled solver, whoever takes which steps."""
    with using(toy_registry()):
        plain = Strategy(selector, Choice.parse(solver), steps=steps, plan_seed=plan_seed)
        shaped = with_noise(plain, "image", *numbers)
        same = torch.equal(_latents(plain), _latents(shaped))
        toy = toy_ensemble()
        unused = {"image": shaped.of("image").noise} if same else {}
        assert Composition(shaped, toy).unused_noise() == unused
        assert (canonical(shaped, toy) == canonical(plain, toy)) is same


@pytest.mark.parametrize("solver", DRAWING)
def test_the_last_step_of_a_solver_that_draws_is_quiet(solver: str) -> None:
    composition = Composition(Strategy(BOTH, Choice.parse(solver), steps=4))
    steps = composition.plan().steps
    assert [step for step in steps if draws_noise(composition.solver, step)] == list(steps[:-1])


@pytest.mark.parametrize("solver", DETERMINISTIC)
def test_a_deterministic_solver_draws_nowhere(solver: str) -> None:
    composition = Composition(Strategy(BOTH, Choice.parse(solver), steps=4))
    assert not any(draws_noise(composition.solver, step) for step in composition.plan().steps)


def test_every_bundled_solver_is_one_or_the_other() -> None:
    from jvid.plugins.registry import names

    known = {Choice.parse(each).name for each in DRAWING + DETERMINISTIC}
    assert known == set(names("solver"))
    assert all(draws_noise(load("solver", Choice.parse(each)), step) is False
               for each in DETERMINISTIC for step in Composition(Strategy(BOTH, steps=3)).plan().steps)  # fmt: skip


def test_noise_that_changes_nothing_is_reported() -> None:
    strategy = with_noise(Strategy(BOTH, "unipc", steps=4), "image", gamma=0.02)
    with pytest.warns(JvidWarning, match=r"noise of image \(gamma, ratio\) changes nothing: solver unipc"):
        compose(strategy, toy_ensemble())


@pytest.mark.parametrize(
    "strategy",
    [
        # On this plan the image model's one step is the last, which draws none; on another it is not.
        with_noise(Strategy(BOTH, "ddpm", steps=8), "image", gamma=0.02),
        Strategy(BOTH, "unipc", steps=4),
        with_noise(Strategy("always:name=video", "unipc"), "image", gamma=0.02),
    ],
    ids=["drawn", "plain", "of an expert that is not chosen"],
)
def test_nothing_is_reported_of_noise_that_is_drawn_or_plain(strategy: Strategy) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", JvidWarning)
        compose(strategy, toy_ensemble())


def test_the_command_line_reports_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "sample",
        PROMPTS[0],
        "--ensemble",
        "toy",
        "--solver",
        "ddim:eta=0",
        "--steps",
        "3",
        "--gamma",
        ".5",
    ]
    assert main([*words, "-o", str(tmp_path / "clip.mp4")]) == 0
    stated = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(stated) == 1
    assert stated[0].startswith(
        "jvid: warning: noise of image (gamma, ratio) changes nothing: solver ddim draws"
    )


def test_the_papers_noise_is_drawn() -> None:
    assert [Composition(paper.strategy(size)).unused_noise() for size in (64, 128, 256)] == [{}, {}, {}]
