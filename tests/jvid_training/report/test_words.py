"""Strategies in words and as strips, and the commands of a page."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import attrs
import pytest

import jvid
from jvid import paper
from jvid.cli.ensembles import EnsembleOptions
from jvid.ensemble import Ensemble, Member, Source
from jvid.schedules import TabulatedSchedule
from jvid.strategy import ExpertStrategy, Guidance, Strategy
from jvid.strategy.shorthand import with_guidance
from jvid.testing import GaussianOracle
from jvid_training import report
from jvid_training.report.commands import ensemble_words
from jvid_training.report.page import _colour
from jvid_training.report.strips import COLOURS, experts_of, strip
from jvid_training.report.words import one_line, words

STYLE = (Path(report.__file__).parent / "templates/style.css").read_text(encoding="utf-8")


def ensemble(*names: str, schedule: TabulatedSchedule | None = None, **wrappers: tuple[str, ...]) -> Ensemble:
    """Oracles of these names."""
    schedule = schedule or TabulatedSchedule.scaled_linear()
    members = {name: Member(GaussianOracle(schedule), wrappers=wrappers.get(name, ())) for name in names}
    return Ensemble(members, (1, 4, 8, 8), schedule=schedule)


def test_the_strip_is_the_plan() -> None:
    strategy = attrs.evolve(paper.strategy(64), steps=40)
    drawn, plan = strip(strategy), jvid.Composition(strategy).plan()
    assert [("video", "image")[cell.expert] for cell in drawn.cells] == [step.expert for step in plan.steps]
    assert [cell.x for cell in drawn.cells] == list(range(40))
    assert all((cell.y, cell.height) == (0.0, 1.0) for cell in drawn.cells)
    lengths = [part.split() for part in drawn.runs.split(", ")]
    stated = [name for span, name in lengths for _ in range(-eval(span) + 1 if "-" in span else 1)]
    assert stated == [step.expert for step in plan.steps]


def test_the_plan_is_drawn_on_the_ensembles_schedule() -> None:
    """A grid by angle visits other times on another schedule."""
    strategy = attrs.evolve(paper.strategy(64), grid="by-angle", steps=40)
    runs = {}
    for name in ("linear", "scaled_linear"):
        own = ensemble("video", "image", schedule=getattr(TabulatedSchedule, name)())
        runs[name] = strip(strategy, own).cells
        assert [cell.expert for cell in runs[name]] == [
            ("video", "image").index(step.expert) for step in jvid.Composition(strategy, own).plan().steps
        ]
    assert runs["linear"] != runs["scaled_linear"] == strip(strategy).cells


def test_blended_steps_are_stacked() -> None:
    blend = attrs.evolve(paper.strategy(64), steps=4, selector="blend:knots=0:.75:.25,experts=video+image")
    drawn = strip(blend)
    assert [(c.expert, c.y, c.height) for c in drawn.cells] == [(0, 0.25, 0.75), (1, 0.0, 0.25)] * 4


def test_an_expert_has_the_colour_of_its_place_in_the_ensemble() -> None:
    own = ensemble("a", "b", "c", "d", "e")
    cycle = Strategy("cycle:experts=e+b", steps=4)
    assert experts_of(cycle, own) == own.experts
    assert [cell.expert for cell in strip(cycle, own, own.experts).cells] == [4, 1, 4, 1]
    assert experts_of(cycle) == ("e", "b")
    assert [_colour(place) for place in (0, 7, 8, 17)] == ["e0", "e7", "e0 pale", "e1 pale"]


def test_a_strategy_of_what_is_not_installed_has_no_strip() -> None:
    absent = Strategy("a-selector-that-is-not-there", experts={"x": ExpertStrategy(("guided:scale=3",))})
    assert strip(absent) is None
    assert experts_of(absent) == ()
    assert words(absent)["guidance"] == "scale 3"


def test_the_papers_words() -> None:
    strategy = with_guidance(
        paper.strategy(64), {"video": Guidance(2, (0.2, 0.8), 0.5), "image": Guidance(3)}
    )
    strategy = attrs.evolve(
        strategy.with_expert(
            "image", attrs.evolve(strategy.of("image"), noise="scaled:gamma=0.02,ratio=0.5")
        ),
        postprocessors=(),
    )
    assert words(strategy) == {
        "selector": "piecewise-affine (t_v 0.2, t_e 0.7, p_e 0.3, p_f 0.3)",
        "solver": "ddpm, 50 steps",
        "guidance": "video: scale 2 for t from 0.2 to 0.8, rescaled by 0.5; image: scale 3",
        "noise": "image steps: γ 0.02, r 0.5",
        "smoothing": "none",
    }
    assert one_line(paper.strategy(64)) == (
        "ddpm, 50 steps; piecewise-affine (t_v 0.2, t_e 0.7, p_e 0.3, p_f 0.3); guidance scale 2; "
        "noise image steps: γ 0.02, r 0; smoothing temporal (threshold 2)"
    )
    assert words(with_guidance(paper.strategy(256), 1.0))["noise"] == "plain (γ 1, r 0)"


def test_words_of_any_choice() -> None:
    """Wrappers by name from the inside out, noise and postprocessors with their options."""
    strategy = Strategy(
        "boundary:experts=high+low,at=0.5", solver="dpmpp-2m-sde", grid="trailing", steps=16,
        experts={
            "high": ExpertStrategy(("guided:scale=3,against=weak", "corrected:postprocessor=(uniform:size=3)"), "mixed:alpha=1"),
            "low": ExpertStrategy((), "shared:ratio=0.3"),
        },
        postprocessors=("temporal:threshold=2", "gaussian:std=1"), initial="progressive:alpha=2", schedule="cosine",
    )  # fmt: skip
    assert words(strategy, ensemble("high", "low", "weak")) == {
        "selector": "boundary (experts high+low, at 0.5)",
        "solver": "dpmpp-2m-sde, 16 steps, trailing grid",
        "schedule": "cosine",
        "guidance": "high: scale 3 away from weak; low: none",
        "wrappers": "high: guidance, then corrected (postprocessor uniform (size 3)); low: none",
        "noise": "high steps: mixed (alpha 1); low steps: γ 1, r 0.3",
        "first noise": "progressive (alpha 2)",
        "postprocessors": "temporal (threshold 2), then gaussian (std 1)",
    }


def test_wrappers_that_a_strategy_does_not_state_are_the_ensembles() -> None:
    plain = Strategy("boundary:experts=high+low,at=0.5")
    assert words(plain)["guidance"] == "the ensemble's own"
    own = ensemble("high", "low", high=("guided:scale=2.0",), low=("guided:scale=4.0,low=0.1,high=0.9",))
    assert words(plain, own)["guidance"] == "high: scale 2; low: scale 4 for t from 0.1 to 0.9"
    every = attrs.evolve(plain, experts={"*": ExpertStrategy(("guided:scale=1.5",), "mixed:alpha=1")})
    assert (words(every, own)["guidance"], words(every, own)["noise"]) == (
        "scale 1.5",
        "all steps: mixed (alpha 1)",
    )


@pytest.mark.parametrize("source", [
    Source("actions-64"),
    Source(experts={"high": "gaussian:std=.5,schedule=cosine", "low": "runs/low#video"}, shape=(1, 4, 8, 8), fps=12.5),
    Source("pairs/mine", {"early": "runs/early"}, {"*": "minilm", "high": "clip:path=a b"}, "taesd"),
    Source(experts={"a": "runs/a", "b": "runs/b"}, shape=(1, 4, 8, 8), same_space=True),
])  # fmt: skip
def test_the_words_of_a_command_are_the_source_again(source: Source) -> None:
    options: dict[str, list[str]] = {}
    given = ensemble_words(source)
    same_space = given[-1:] == ["--same-space"]
    given = given[:-1] if same_space else given
    for option, value in zip(given[::2], given[1::2], strict=True):
        options.setdefault(option.removeprefix("--"), []).append(value)
    single = {name: options.pop(name)[0] for name in ("ensemble", "codec", "shape", "fps") if name in options}
    if "fps" in single:
        single["fps"] = float(single["fps"])  # as the command line reads it
    assert EnsembleOptions(**options, **single, same_space=same_space).source() == source


# Machado, Oliveira and Fernandes 2009, at full severity; of linear RGB.
SEEN = {
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "without red cones": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "without green cones": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "without blue cones": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}  # fmt: skip


def lab(colour: str, eye: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """A colour #rrggbb as an eye sees it, in CIE Lab."""
    codes = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in codes]
    r, g, b = (min(1.0, max(0.0, sum(m * c for m, c in zip(row, linear, strict=True)))) for row in eye)
    white = ((0.4124, 0.3576, 0.1805, 0.9505), (0.2126, 0.7152, 0.0722, 1.0), (0.0193, 0.1192, 0.9505, 1.089))
    x, y, z = ((p * r + q * g + s * b) / w for p, q, s, w in white)
    f_x, f_y, f_z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * f_y - 16, 500 * (f_x - f_y), 200 * (f_y - f_z)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("eye", SEEN, ids=str)
def test_the_colours_of_experts_are_distinguished(theme: int, eye: str) -> None:
    """Any two of eight by ten times what can just be seen; the first two also by their lightness, as on grey paper."""
    themes = [re.findall(rf"--e{place}: (#[0-9a-f]{{6}})", STYLE) for place in range(COLOURS)]
    colours = [found[theme] for found in themes]
    for one, other in itertools.combinations(colours, 2):
        assert math.dist(lab(one, SEEN[eye]), lab(other, SEEN[eye])) > 10, (one, other)
    if theme == 0:  # what is printed
        assert abs(lab(colours[0], SEEN[eye])[0] - lab(colours[1], SEEN[eye])[0]) > 15
    assert all(f".e{place} {{ fill: var(--e{place})" in STYLE for place in range(COLOURS))
