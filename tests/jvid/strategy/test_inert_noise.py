"""Noise that shapes nothing is found by a solver's own steps, told, and left out of what is made once."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jvid.strategy.drawing import drawing_steps

import jvid
from jvid.cli import main
from jvid.errors import JvidWarning
from jvid.paper import SCHEDULE
from jvid.plugins.choice import Choice
from jvid.plugins.registry import using
from jvid.strategy.strategy import NoiseShape, Strategy
from jvid_training.search.rows import simplest
from tests.generation_tools import tiny_pair
from tests.toy import PROMPTS, ToyPair, toy_registry

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
        pair = ToyPair()
        sampler = strategy.sampler(pair)
    return sampler(pair.shape, seeds=[3], cond=pair.text_encoder(PROMPTS[:1]), plan=strategy.plan_seed)


@given(
    st.sampled_from(DRAWING + DETERMINISTIC),
    st.sampled_from([BOTH, Choice("always", {"name": "image"}), Choice("boundary", {"experts": "video+image", "at": 0.9})]),
    st.integers(1, 6),
    st.sampled_from([NoiseShape(gamma=0.25), NoiseShape(ratio=0.5), NoiseShape(0.0, 1.0)]),
    st.integers(0, 5),
)  # fmt: skip
def test_inert_is_what_changes_no_clip(
    solver: str, selector: Choice, steps: int, shape: NoiseShape, plan_seed: int
) -> None:
    """Against samples themselves, of every bundled solver, whoever takes which steps."""
    with using(toy_registry()):
        plain = Strategy(selector, Choice.parse(solver), steps=steps, plan_seed=plan_seed)
        shaped = attrs.evolve(plain, noise={"image": shape})
        same = torch.equal(_latents(plain), _latents(shaped))
        assert same == (shaped.inert() == {"image": shape})
        assert same == (simplest(shaped, SCHEDULE()) == plain)
        assert simplest(shaped) == shaped  # what a schedule would say is not guessed


@pytest.mark.parametrize("solver", DRAWING)
def test_the_last_step_of_a_solver_that_draws_is_quiet(solver: str) -> None:
    plan = Strategy(BOTH, Choice.parse(solver), steps=4).plan()
    assert drawing_steps(Choice.parse(solver).load("solver"), plan.steps) == plan.steps[:-1]


@pytest.mark.parametrize("solver", DETERMINISTIC)
def test_a_deterministic_solver_draws_nowhere(solver: str) -> None:
    plan = Strategy(BOTH, Choice.parse(solver), steps=4).plan()
    assert drawing_steps(Choice.parse(solver).load("solver"), plan.steps) == ()


def test_a_solver_that_takes_no_single_number_is_not_asked() -> None:
    class Picky:
        def init(self) -> None:
            return None

        def step(self, x: torch.Tensor, step: Any, denoise: Any, noise: Any, memory: None) -> Any:
            return x + 0 * x[:, 3], memory

    steps = Strategy(BOTH, steps=4).plan().steps
    assert drawing_steps(Picky(), steps) == steps


def test_noise_that_changes_nothing_is_told() -> None:
    strategy = Strategy(BOTH, Choice("unipc"), steps=4, noise={"image": NoiseShape(gamma=0.02)})
    with pytest.warns(JvidWarning, match=r"noise of image \(gamma, ratio\) changes nothing: solver unipc"):
        strategy.sampler(ToyPair())


@pytest.mark.parametrize(
    "strategy",
    [
        # On this plan the image model's one step is the last, which draws none; on another it is not.
        Strategy(BOTH, Choice("ddpm"), steps=8, noise={"image": NoiseShape(gamma=0.02)}),
        Strategy(BOTH, Choice("unipc"), steps=4, noise={"image": NoiseShape()}),
        Strategy(Choice("always", {"name": "video"}), Choice("unipc"), noise={"image": NoiseShape(0.02)}),
    ],
    ids=["drawn", "plain", "of an expert that is not asked"],
)
def test_nothing_is_told_of_noise_that_is_drawn_or_plain(strategy: Strategy) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", JvidWarning)
        strategy.sampler(ToyPair())


def test_the_command_line_tells_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "sample",
        PROMPTS[0],
        "--pair",
        "toy",
        "--solver",
        "ddim:eta=0",
        "--steps",
        "3",
        "--gamma",
        ".5",
    ]
    assert main([*words, "-o", str(tmp_path / "clip.mp4")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "jvid: warning: noise of image (gamma, ratio) changes nothing: solver ddim draws"
    )


def test_the_papers_noise_is_drawn() -> None:
    assert [jvid.Strategy.paper(size).inert() for size in (64, 128, 256)] == [{}, {}, {}]


TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]


@pytest.mark.parametrize(("ranks", "processes"), [([], 2), (TORCHRUN, 1)])
def test_a_generation_of_several_processes_tells_it_once(
    tmp_path: Path, ranks: list[str], processes: int
) -> None:
    strategy = Strategy(BOTH, Choice("unipc"), steps=2, noise={"image": NoiseShape(gamma=0.02)})
    strategy.save(tmp_path / "inert.json")
    words = [
        sys.executable,
        *ranks,
        "-m",
        "jvid",
        "generate",
        "-o",
        str(tmp_path / "set"),
        "-n",
        "4",
        "--batch",
        "2",
    ]
    words += ["--pair", str(tiny_pair(tmp_path / "tiny")), "--strategy", str(tmp_path / "inert.json")]
    done = subprocess.run([*words, "--processes", str(processes)], capture_output=True, text=True, check=True)
    told = [line for line in done.stderr.splitlines() if "noise of image" in line]
    assert len(told) == 1
    assert told[0].startswith("jvid: warning: noise of image")
