"""Guidance of a strategy: one scale for all experts, or each its own, as composing by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import torch

from jvid import paper
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.ensemble import EXPERTS
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.noise import IndependentNoise, ScaledNoise
from jvid.plugins.choice import Choice
from jvid.plugins.registry import using
from jvid.postprocessors import TemporalSmoothing
from jvid.solvers import DDPM
from jvid.strategy.guidance import Guidance
from jvid.strategy.strategy import Strategy
from tests.toy import ToyPair, built, toy_registry


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    built.clear()
    with using(toy_registry()):
        yield


def test_guidance_is_a_number_or_by_expert() -> None:
    always = Choice("always", {"name": "video"})
    whole = Guidance(3, (0.2, 0.8), 0.5)
    assert Strategy(always, guidance=3).guidance == 3.0
    assert Strategy(always, guidance={"image": 3, "video": whole}).guidance == {
        "video": whole,
        "image": Guidance(3.0),
    }
    assert Strategy(always, guidance=whole).guidance == dict.fromkeys(EXPERTS, whole)
    said = {"image": 3, "video": {"scale": 3, "interval": [0.2, 0.8], "rescale": 0.5}}
    read = Strategy.from_dict({"selector": "always:name=video", "guidance": said})
    assert read == Strategy(always, guidance={"image": 3, "video": whole})
    assert read.to_dict()["guidance"]["video"] == said["video"]


def test_each_expert_is_guided_as_the_strategy_says() -> None:
    guidance = {"video": Guidance(3.0, (0.25, 0.75), 0.5), "image": 4.0}
    experts = attrs.evolve(ToyPair.strategy, guidance=guidance).sampler(ToyPair()).experts
    told = {name: expert.denoiser for name, expert in experts.items()}
    assert (told["video"].scale, told["video"].interval, told["video"].rescale) == (3.0, (0.25, 0.75), 0.5)
    assert (told["image"].scale, told["image"].interval, told["image"].rescale) == (4.0, None, 0.0)


def test_guidance_by_expert_is_composing_by_hand() -> None:
    pair = ToyPair()
    guidance = {"video": Guidance(3.0, (0.3, 1.0), 0.5), "image": Guidance(1.5)}
    run = {"shape": pair.shape, "seeds": [5, 6], "cond": pair.text_encoder(["a person waving"] * 2)}
    by_name = attrs.evolve(Strategy.paper(64), guidance=guidance).sampler(pair)(**run)
    by_hand = Sampler(
        {
            "video": Expert(Guided(pair.video, 3.0, interval=(0.3, 1.0), rescale=0.5)),
            "image": Expert(
                Guided(Framewise(pair.image), 1.5), ScaledNoise(IndependentNoise(), paper.GAMMA[64])
            ),
        },
        paper.TABLE_6[64], DDPM(), Leading(50), postprocessors=(TemporalSmoothing(2.0),),
    )  # fmt: skip
    assert torch.equal(by_name, by_hand(**run))
    assert torch.equal(by_name, paper.sampler(pair.video, pair.image, guidance=guidance)(**run))
    assert not torch.equal(by_name, Strategy.paper(64).sampler(pair)(**run))


def test_an_expert_that_may_be_chosen_needs_guidance() -> None:
    lone = attrs.evolve(ToyPair.strategy, guidance={"video": 2})
    for attempt in (lone.check, lambda: lone.sampler(ToyPair())):
        with pytest.raises(InputError, match="given for video and not for 'image'"):
            attempt()
    assert built == []
    alone = attrs.evolve(lone, selector=Choice("always", {"name": "video"}))
    alone.check()
    assert alone.sampler(ToyPair()).experts["video"].denoiser.scale == 2.0


@pytest.mark.parametrize(
    ("guidance", "words"),
    [
        (math.nan, "got scale=nan"), (math.inf, "finite"), ("2", "got scale='2'"), (True, "got scale=True"),
        (None, "got scale=None"), ({"audio": 2}, "expert 'audio': expected one of video, image"),
        ({}, "names none"), ({"video": "much"}, "got scale='much'"),
    ],
)  # fmt: skip
def test_guidance_of_another_form_is_refused(guidance: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Strategy(Choice("always", {"name": "video"}), guidance=guidance)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": (0.8, 0.2)}, "low <= high"), ({"interval": (0, 1.5)}, "high <= 1"), ({"interval": 0.5}, "two numbers"),
        ({"interval": (0.1,)}, "two numbers"), ({"interval": (0, math.nan)}, "low <= high"),
        ({"interval": ("0", "1")}, "two numbers"), ({"rescale": 1.5}, "from 0"), ({"rescale": math.nan}, "from 0"),
        ({"rescale": "x"}, "from 0"), ({"scale": 10**400}, "finite"),
    ],
)  # fmt: skip
def test_guidance_out_of_range_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Guidance(**{"scale": 2.0, **options})
