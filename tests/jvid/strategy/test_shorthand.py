"""Guidance, gamma and r as shorthand: numbers to choices of the registry and back, and what is none of them refused."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid import paper
from jvid.cli.shorthand import by_expert, guided, stacked
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.strategy import EVERY, ExpertStrategy, Guidance, Strategy
from jvid.strategy.guidance import as_guidance
from jvid.strategy.shape import noise_choice, noise_numbers
from jvid.strategy.shorthand import guidance_of, noise_of, with_guidance, with_noise

BASE = Strategy("always:name=video")
WHOLE = Guidance(3, (0.2, 0.8), 0.5)
unit = st.floats(0, 1)
guidances = st.builds(
    Guidance,
    st.floats(-10, 10),
    st.none() | st.tuples(unit, unit).map(sorted),
    unit,
    st.sampled_from(["", "early", "image"]),
)
names = st.sampled_from(["video", "image", "high"])


@given(guidances)
def test_guidance_is_a_choice_and_back(guidance: Guidance) -> None:
    choice = guidance.choice()
    assert Guidance.of(choice) == guidance
    assert Guidance.of(Choice.from_plain(choice.to_plain())) == guidance
    assert as_guidance(guidance) == as_guidance(choice) == as_guidance(str(choice)) == guidance


@pytest.mark.parametrize(
    ("guidance", "text"),
    [
        (Guidance(2), "guided:scale=2.0"),
        (WHOLE, "guided:scale=3.0,low=0.2,high=0.8,rescale=0.5"),
        (Guidance(2, (0, 1)), "guided:scale=2.0"),  # everywhere has one form
        (Guidance(1.5, against="early"), "guided:scale=1.5,against=early"),
    ],
)
def test_numbers_that_change_nothing_are_left_out(guidance: Guidance, text: str) -> None:
    assert str(guidance.choice()) == text


@given(st.dictionaries(names, guidances, min_size=1), guidances | st.floats(-10, 10))
def test_guidance_that_is_stated_is_read_back(stated: dict[str, Guidance], whole: Any) -> None:
    everywhere = with_guidance(BASE, whole)
    assert guidance_of(everywhere, "whoever") == as_guidance(whole)
    strategy = with_guidance(everywhere, stated)
    for name in ("video", "image", "high"):
        assert guidance_of(strategy, name) == stated.get(name, as_guidance(whole))
    # A value of all replaces those by expert, which then say nothing of their own.
    assert with_guidance(strategy, whole) == everywhere
    # Who has no guidance takes what the ensemble has, and says so by None.
    assert guidance_of(with_guidance(BASE, stated), "early") is None


def test_the_other_wrappers_of_a_stack_stay_where_they_are() -> None:
    stack = ("cached", "guided:scale=2", "corrected:postprocessor=(temporal)")
    strategy = attrs.evolve(
        BASE, experts={"video": ExpertStrategy(stack), "image": ExpertStrategy(("cached",))}
    )

    def stacks(changed: Strategy) -> dict[str, list[str]]:
        return {name: list(map(str, changed.of(name).wrappers or ())) for name in ("video", "image", "high")}

    assert stacks(with_guidance(strategy, {"video": 3})) == {
        "video": ["cached", "guided:scale=3.0", "corrected:postprocessor=(temporal)"], "image": ["cached"], "high": [],
    }  # fmt: skip
    assert stacks(with_guidance(strategy, 3)) == {
        "video": ["cached", "guided:scale=3.0", "corrected:postprocessor=(temporal)"],
        "image": ["guided:scale=3.0", "cached"],  # it becomes the innermost
        "high": ["guided:scale=3.0"],
    }
    # Noise is none of its business.
    noisy = with_noise(strategy, "video", gamma=0.5)
    assert with_guidance(noisy, 3).of("video").noise == Choice("scaled", {"gamma": 0.5})


@pytest.mark.parametrize(
    ("guidance", "words"),
    [
        (math.nan, "got scale=nan"), (math.inf, "finite"), (True, "got scale=True"), (None, "got scale=None"),
        ({}, "names none"), ({"video": []}, r"got scale=\[\]"), ({"video": "much"}, "wrapper much: expected guided"),
        ("2", "wrapper 2: expected guided"),
        ({"video": "guided:scale=2,lo=1"}, "guided got 'lo': expected scale, low, high, rescale, against"),
    ],
)  # fmt: skip
def test_guidance_of_another_form_is_refused(guidance: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_guidance(BASE, guidance)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": (0.8, 0.2)}, "low <= high"), ({"interval": (0, 1.5)}, "high <= 1"), ({"interval": 0.5}, "two numbers"),
        ({"interval": (0.1,)}, "two numbers"), ({"interval": (0, math.nan)}, "low <= high"),
        ({"interval": ("0", "1")}, "two numbers"), ({"rescale": 1.5}, "from 0"), ({"rescale": math.nan}, "from 0"),
        ({"rescale": "x"}, "from 0"), ({"scale": 10**400}, "finite"), ({"against": 2}, "got against=2"),
    ],
)  # fmt: skip
def test_guidance_out_of_range_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Guidance(**{"scale": 2.0, **options})


gammas = st.sampled_from([0.0, 1.0]) | st.floats(0, 5)
ratios = st.sampled_from([0.0, 1.0]) | unit


@given(gammas, ratios)
def test_gamma_and_r_are_a_choice_and_back(gamma: float, ratio: float) -> None:
    choice = noise_choice(gamma, ratio)
    assert noise_numbers(choice) == (gamma, ratio)
    assert (choice is None) == ((gamma, ratio) == (1.0, 0.0))


def test_the_forms_of_gamma_and_r() -> None:
    shown = {numbers: str(noise_choice(*numbers)) for numbers in ((0.1, 0.0), (1.0, 0.3), (0.1, 0.3))}
    assert shown == {
        (0.1, 0.0): "scaled:gamma=0.1", (1.0, 0.3): "shared:ratio=0.3", (0.1, 0.3): "scaled:gamma=0.1,ratio=0.3",
    }  # fmt: skip
    assert noise_numbers(Choice("independent")) == (1.0, 0.0)
    for other in ("mixed:alpha=1", "scaled:gamma=2,inner=(mixed:alpha=1)", "shared", "cartoon/ink"):
        assert noise_numbers(Choice.parse(other)) is None


@given(names, gammas, ratios, gammas | st.none(), ratios | st.none())
def test_noise_that_is_stated_is_read_back(
    name: str, gamma: float, ratio: float, more: float | None, other: float | None
) -> None:
    strategy = with_noise(BASE, name, gamma, ratio)
    assert noise_of(strategy, name) == (gamma, ratio)
    # Each number is changed by itself.
    changed = with_noise(strategy, name, more, other)
    assert noise_of(changed, name) == (gamma if more is None else more, ratio if other is None else other)
    assert noise_of(changed, "low") == (1.0, 0.0)
    assert with_noise(strategy, name, 1.0, 0.0) == BASE
    # Over noise of every expert, plain noise has to be stated.
    every = with_noise(BASE, EVERY, gamma=0.5, ratio=0.25)
    assert noise_of(with_noise(every, name, 1.0, 0.0), name) == (1.0, 0.0)
    assert noise_of(with_noise(every, name, 1.0, 0.0), "low") == (0.5, 0.25)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"gamma": -1.0}, "gamma -1.0: expected a finite number, 0 or more"), ({"gamma": math.inf}, "gamma inf: expected"),
        ({"gamma": math.nan}, "gamma nan: expected"), ({"gamma": True}, "gamma True: expected"),
        ({"ratio": 1.5}, "ratio 1.5: expected a number from 0 to 1"), ({"ratio": "x"}, "ratio 'x': expected"),
    ],
)  # fmt: skip
def test_noise_out_of_range_is_refused(numbers: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_noise(BASE, "image", **numbers)


def test_numbers_do_not_change_noise_of_another_kind() -> None:
    mixed = attrs.evolve(BASE, experts={"image": ExpertStrategy(noise="mixed:alpha=1")})
    with pytest.raises(InputError, match="the noise of image is mixed:alpha=1: gamma and ratio are those of"):
        with_noise(mixed, "image", gamma=0.5)


def test_the_papers_strategy_is_shorthand() -> None:
    for size, gamma in paper.GAMMA.items():
        strategy = paper.strategy(size)
        assert noise_of(strategy, "image") == (gamma, 0.0)
        assert noise_of(strategy, "video") == (1.0, 0.0)
        assert guidance_of(strategy, "video") == guidance_of(strategy, "image") == Guidance(2.0)
        assert list(map(str, strategy.postprocessors)) == ["temporal:threshold=2.0"]
    with pytest.raises(InputError, match="64, 128, 256"):
        paper.strategy(512)


TEXT = "video:scale=3,low=.2,high=.8,rescale=.5"


@pytest.mark.parametrize(
    ("base", "texts", "expected"),
    [
        (2.0, ["3"], 3.0),
        ({"video": 4, "image": Guidance(3, (0, 0.5))}, ["-1.5"], -1.5),
        (2.0, ["video=3,image=4"], {EVERY: 2.0, "video": 3, "image": 4}),
        (2.0, ["video=3", "image = 4"], {EVERY: 2.0, "video": 3, "image": 4}),
        (2.0, ["image=4"], {EVERY: 2, "image": 4}),
        (2.0, [TEXT], {EVERY: 2, "video": WHOLE}),
        (2.0, ["5", TEXT], {EVERY: 5, "video": WHOLE}),
        (2.0, [TEXT, "5"], {EVERY: 5, "video": WHOLE}),
        (2.0, ["video:scale=3,low=.2"], {EVERY: 2, "video": Guidance(3, (0.2, 1))}),
        (2.0, ["video:scale=3,high=.2"], {EVERY: 2, "video": Guidance(3, (0, 0.2))}),
        (2.0, ["video:scale=2,against=early,low=.2"], {EVERY: 2, "video": Guidance(2, (0.2, 1), against="early")}),
        ({"video": Guidance(4, (0, 0.5))}, ["image=3"], {"video": Guidance(4, (0, 0.5)), "image": 3}),
        ({"video": Guidance(4, (0, 0.5))}, ["video=3"], {"video": 3}),
        (2.0, ["high=3,low=1"], {EVERY: 2.0, "high": 3, "low": 1}),
        (2.0, ["*=3"], 3.0),
    ],
)  # fmt: skip
def test_guidance_is_read_from_text(base: Any, texts: list[str], expected: Any) -> None:
    assert guided(with_guidance(BASE, base), texts) == with_guidance(BASE, expected)


@given(names, st.floats(-10, 10), unit, unit, unit)
def test_numbers_survive_text(expert: str, scale: float, low: float, high: float, rescale: float) -> None:
    low, high = sorted((low, high))
    text = f"{expert}:scale={scale},low={low},high={high},rescale={rescale}"
    assert guidance_of(guided(BASE, [text]), expert) == Guidance(scale, (low, high), rescale)


def test_stacks_and_noise_are_read_from_text() -> None:
    strategy = stacked(
        with_guidance(BASE, 2.0),
        ["high=guided:scale=3", "high=cached", "low=none", "framewise"],
        ["high=mixed:alpha=1", "shared:ratio=.5", "low=none"],
    )
    assert strategy == Strategy(
        "always:name=video",
        experts={
            "high": ExpertStrategy(("guided:scale=3", "cached"), "mixed:alpha=1"),
            "low": ExpertStrategy(()),
            EVERY: ExpertStrategy(("framewise",), "shared:ratio=.5"),
        },
    )
    with pytest.raises(InputError, match="the noise of high is given twice"):
        stacked(BASE, [], ["high=shared:ratio=1", "high=none"])


def test_numbers_by_expert_are_read_from_text() -> None:
    assert by_expert("gamma", ".5", ["image", "sharp"]) == [("image", 0.5), ("sharp", 0.5)]
    assert by_expert("gamma", "video=1, image=.1", []) == [("video", 1.0), ("image", 0.1)]
    with pytest.raises(InputError, match=r"no expert of frames, name one as NAME=0\.5"):
        by_expert("gamma", "0.5", [])


def test_guidance_keeps_the_rest_of_an_ensembles_default_stack() -> None:
    """An expert whose stack the strategy does not state has the ensemble's: its windows stay, its guidance changes."""
    stack = (Choice.parse("guided:scale=2"), Choice.parse("windowed:size=8"))
    defaults = {"a": stack, "b": (Choice.parse("guided:scale=2"),)}
    base = Strategy("cycle:experts=a+b")
    changed = (Choice("guided", {"scale": 3.0}), stack[1])
    for guidance in (3.0, {"a": 3.0}, {"*": 3.0}):
        assert with_guidance(base, guidance, defaults).of("a").wrappers == changed
    assert with_guidance(base, 3.0, defaults).of("b").wrappers == changed[:1]
    # A stack that the strategy states is its own.
    stated = base.with_expert("a", ExpertStrategy(["guided:scale=4"]))
    assert with_guidance(stated, 3.0, defaults).of("a").wrappers == changed[:1]
