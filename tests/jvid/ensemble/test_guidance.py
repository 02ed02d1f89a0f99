"""Guidance of a strategy: one scale for all experts, or each its own, as composing by hand."""

from __future__ import annotations

import attrs
import pytest
import torch

from jvid import paper
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.ensemble import Composition, Ensemble, compose
from jvid.grids import Leading
from jvid.noise import IndependentNoise, ScaledNoise
from jvid.postprocessors import TemporalSmoothing
from jvid.solvers import DDPM
from jvid.strategy import Guidance, Strategy
from jvid.strategy.shorthand import with_guidance
from tests.toy import STRATEGY, built, toy_ensemble

pytestmark = pytest.mark.usefixtures("toys")


def test_guidance_of_older_files_reaches_the_experts() -> None:
    stated = {"image": 3, "video": {"scale": 3, "interval": [0.2, 0.8], "rescale": 0.5}}
    read = Strategy.from_dict({"selector": "always:name=video", "guidance": stated})
    whole = Guidance(3, (0.2, 0.8), 0.5)
    assert read == with_guidance(Strategy("always:name=video"), {"image": 3, "video": whole})
    assert read.to_dict()["experts"] == {
        "image": {"wrappers": ["guided:scale=3.0"]},
        "video": {"wrappers": ["guided:scale=3.0,low=0.2,high=0.8,rescale=0.5"]},
    }


def test_each_expert_is_guided_as_the_strategy_states() -> None:
    guidance = {"video": Guidance(3.0, (0.25, 0.75), 0.5), "image": 4.0}
    experts = compose(with_guidance(STRATEGY, guidance), toy_ensemble()).experts
    found = {name: expert.denoiser for name, expert in experts.items()}
    assert (found["video"].scale, found["video"].interval, found["video"].rescale) == (3.0, (0.25, 0.75), 0.5)
    assert (found["image"].scale, found["image"].interval, found["image"].rescale) == (4.0, None, 0.0)


def test_guidance_by_expert_is_composing_by_hand() -> None:
    toy = toy_ensemble()
    guidance = {"video": Guidance(3.0, (0.3, 1.0), 0.5), "image": Guidance(1.5)}
    run = {"shape": toy.shape, "seeds": [5, 6], "cond": toy.condition(["a person waving"] * 2)}
    by_name = compose(with_guidance(paper.strategy(64), guidance), toy)(**run)
    video, image = toy.denoiser("video"), toy.denoiser("image")
    by_hand = Sampler(
        {
            "video": Expert(Guided(video, 3.0, interval=(0.3, 1.0), rescale=0.5)),
            "image": Expert(Guided(Framewise(image), 1.5), ScaledNoise(IndependentNoise(), paper.GAMMA[64])),
        },
        paper.TABLE_6[64], DDPM(), Leading(50), postprocessors=(TemporalSmoothing(2.0),),
    )  # fmt: skip
    assert torch.equal(by_name, by_hand(**run))
    assert torch.equal(by_name, paper.sampler(video, image, guidance=guidance)(**run))
    assert not torch.equal(by_name, compose(paper.strategy(64), toy)(**run))


def test_an_expert_without_guidance_of_its_own_has_the_ensembles() -> None:
    """Strategies of version 0.1 that gave one expert's guidance alone were refused; they have the default of the other now."""
    toy = toy_ensemble()
    lone = with_guidance(attrs.evolve(STRATEGY, experts={}), {"video": 2})
    assert [Composition(lone, toy).wrappers(name) for name in ("video", "image")] == [
        (Guidance(2).choice(),),
        toy.member("image").wrappers,
    ]
    guided = {name: attrs.evolve(m, wrappers=("guided:scale=5",)) for name, m in toy.members.items()}
    other = Ensemble(guided, toy.shape, schedule=toy.schedule)
    experts = compose(lone, other).experts
    assert {name: expert.denoiser.scale for name, expert in experts.items()} == {"video": 2.0, "image": 5}
    assert built == ["video", "image"]
