"""Guidance away from another denoiser: its mathematics, its price, and how strategies, pairs and texts name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jvid.cli.guiding import guided
from torch import Tensor

from jvid import paper
from jvid.core.bridged import Bridged
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.errors import InputError
from jvid.grids import ByAngle
from jvid.plugins.choice import Choice
from jvid.plugins.registry import using
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid.strategy.guidance import Guidance
from jvid.strategy.strategy import Strategy
from jvid.testing import conforms
from jvid.testing.oracles import TwoModeOracle
from jvid_training.report.words import words
from jvid_training.search.cost import Prices, measure
from jvid_training.search.space import Space
from tests.toy import Conditional, ToyPair, toy_registry

SCHEDULE = TabulatedSchedule.scaled_linear()
VIDEO = Choice("always", {"name": "video"})
COND = {"text": torch.full((2, 2, 3), 0.3), "null": {"text": torch.zeros(2, 2, 3)}}


class GuidePair(ToyPair):
    """The toy pair with a guide."""

    @property
    def guides(self) -> dict[str, Conditional]:
        return {"early": Conditional(self.schedule, 1.5)}


@attrs.define
class Counted:
    """A denoiser that counts its calls."""

    inner: Any
    calls: int = 0

    @property
    def schedule(self) -> Any:
        return self.inner.schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        self.calls += 1
        return self.inner(x, t, cond)


@attrs.frozen
class Unprompted:
    """A denoiser asked with the null condition, whatever it is asked with."""

    inner: Any

    @property
    def schedule(self) -> Any:
        return self.inner.schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return self.inner(x, t, {"text": torch.zeros_like(cond["text"])})


@pytest.fixture(autouse=True)
def _toys() -> Iterator[None]:
    with using(toy_registry()):
        yield


def latents(seed: int = 0) -> Tensor:
    return torch.randn(2, 4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@given(st.floats(-2, 6), st.floats(0.02, 0.98), st.integers(0, 2**16))
def test_it_is_equation_4_with_the_weaker_model_for_the_null_condition(
    scale: float, t: float, seed: int
) -> None:
    good, weak = Conditional(SCHEDULE, 0.5), Conditional(SCHEDULE, 1.5)
    x, time = latents(seed), torch.tensor(t, dtype=torch.float64)
    plain = {"text": COND["text"]}
    told = Guided(good, scale, against=weak)(x, time, COND)
    strong, other = good(x, time, plain), weak(x, time, plain)
    torch.testing.assert_close(told, other + scale * (strong - other), rtol=1e-5, atol=1e-5)


@given(st.floats(-2, 6), st.floats(0.02, 0.98))
def test_against_itself_without_a_prompt_it_is_classifier_free_guidance(scale: float, t: float) -> None:
    good, time = Conditional(SCHEDULE, 0.5), torch.tensor(t, dtype=torch.float64)
    for rescale, interval in ((0.0, None), (0.7, (0.3, 0.8))):
        options: dict[str, Any] = {"rescale": rescale, "interval": interval}
        ours = Guided(good, scale, against=Unprompted(good), **options)(latents(), time, COND)
        torch.testing.assert_close(
            ours, Guided(good, scale, **options)(latents(), time, COND), rtol=1e-5, atol=1e-5
        )


def test_only_those_are_asked_whose_prediction_counts() -> None:
    def asked(scale: float, t: float = 0.5) -> tuple[int, int]:
        good, weak = Counted(Conditional(SCHEDULE, 0.5)), Counted(Conditional(SCHEDULE, 1.5))
        # No null condition is needed.
        Guided(good, scale, against=weak, interval=(0.3, 1.0))(
            latents(), torch.tensor(t, dtype=torch.float64), {"text": COND["text"]}
        )
        return good.calls, weak.calls

    assert (asked(2.0), asked(1.0), asked(0.0), asked(2.0, t=0.1)) == ((1, 1), (1, 0), (0, 1), (1, 0))


def test_it_draws_samples_nearer_and_keeps_both_modes() -> None:
    """What autoguidance is for: data at -1 and 1, known through .35 of blur by the model and through .7 by its guide."""
    strong, weak = (TwoModeOracle(SCHEDULE, std=std) for std in (0.35, 0.7))

    def drawn(denoiser: Any) -> Tensor:
        sampler = Sampler({"a": Expert(denoiser)}, Always("a"), DDIM(), ByAngle(40))
        return sampler((1, 1, 64, 64), seeds=[0, 1], cond={})

    plain, led = drawn(strong), drawn(Guided(strong, 2.0, against=weak))
    beyond = [float((x.abs() - 1.0).square().mean().sqrt()) for x in (plain, led)]
    assert beyond[1] < 0.75 * beyond[0]
    for x in (plain, led):
        assert abs(float((x > 0).double().mean()) - 0.5) < 0.05


def test_it_conforms() -> None:
    report = conforms("wrapper", lambda denoiser: Guided(denoiser, 2.0, against=denoiser))
    report.raise_for_failures()
    assert "15 passed" in str(report)


def test_what_does_not_belong_together_is_refused() -> None:
    good, other = Conditional(SCHEDULE, 0.5), Conditional(FlowMatching(), 1.5)
    with pytest.raises(
        InputError, match=r"another schedule: bridge it first, Bridged\(against, denoiser.schedule\)"
    ):
        Guided(good, 2.0, against=other)
    assert torch.isfinite(
        Guided(good, 2.0, against=Bridged(other, SCHEDULE))(latents(), torch.tensor(0.5), COND)
    ).all()
    with pytest.raises(InputError, match="null and against"):
        Guided(good, 2.0, null=COND["null"], against=good)
    with pytest.raises(InputError, match="got no denoiser to lead away from: give both or none"):
        paper.sampler(good, good, guidance=Guidance(2.0, against="image"))
    with pytest.raises(InputError, match="got a denoiser to lead away from: give both or none"):
        Guidance(2.0).guided(good, good)
    with pytest.raises(InputError, match="got against=2"):
        Guidance(2.0, against=2)  # type: ignore[arg-type]


def test_a_strategy_names_a_guide_of_its_pair() -> None:
    pair = GuidePair()
    guidance = {"video": Guidance(2.0, against="early"), "image": Guidance(3.0, against="video")}
    strategy = attrs.evolve(ToyPair.strategy, guidance=guidance)
    assert Strategy.from_dict(strategy.to_dict()) == strategy
    experts = {name: expert.denoiser for name, expert in strategy.sampler(pair).experts.items()}
    assert experts["video"].against == pair.guides["early"]
    assert experts["image"].against == pair.video
    contrast = attrs.evolve(strategy, selector=VIDEO, guidance={"video": Guidance(1.5, against="image")})
    assert isinstance(contrast.sampler(pair).experts["video"].denoiser.against, Framewise)
    run = {"shape": pair.shape, "seeds": [5], "cond": pair.text_encoder(["a person waving"])}
    by_hand = attrs.evolve(strategy, guidance=1.0).sampler(pair)
    by_hand = Sampler(
        {
            "video": Expert(Guided(pair.video, 2.0, against=pair.guides["early"])),
            "image": attrs.evolve(
                by_hand.experts["image"], denoiser=Guided(Framewise(pair.image), 3.0, against=pair.video)
            ),
        },
        by_hand.selector, by_hand.solver, by_hand.grid, postprocessors=by_hand.postprocessors,
    )  # fmt: skip
    assert torch.equal(strategy.sampler(pair)(**run), by_hand(**run))
    # What says nothing of it is written as it always was.
    assert "against" not in attrs.evolve(strategy, guidance=Guidance(2.0)).to_dict()["guidance"]["video"]
    with pytest.raises(
        InputError, match=r"pair 'toy' has no denoiser 'early' .* expected one of video, image"
    ):
        strategy.sampler(ToyPair())
    with pytest.raises(InputError, match="video cannot be guided against itself"):
        attrs.evolve(strategy, selector=VIDEO, guidance=Guidance(2.0, against="video")).sampler(pair)


def test_longer_clips_are_guided_within_their_windows() -> None:
    pair = GuidePair()
    strategy = attrs.evolve(
        pair.strategy, selector=VIDEO, guidance={"video": Guidance(2.0, against="early")}, overlap=2
    )
    clip = strategy.sampler(pair, frames=8)(
        (4, 8, 8, 8), seeds=[1], cond=pair.text_encoder(["a person waving"])
    )
    assert clip.shape == (1, 4, 8, 8, 8)
    assert torch.isfinite(clip).all()


def test_its_price_is_a_call_of_each() -> None:
    pair = GuidePair()
    seconds = measure(pair, rounds=1)
    assert list(seconds) == ["video", "image", "early"]
    prices = Prices(
        {"video": {"guided": 2.0, "unguided": 1.0}, "image": {"guided": 0.5, "unguided": 0.25},
         "early": {"guided": 9.0, "unguided": 0.5}},
        pair.schedule,
    )  # fmt: skip
    for scale, price in ((2.0, 10 * 1.5), (1.0, 10 * 1.0), (0.0, 10 * 0.5)):
        guide = {"video": Guidance(scale, against="early")}
        assert prices.price(
            attrs.evolve(pair.strategy, selector=VIDEO, steps=10, guidance=guide)
        ) == pytest.approx(price)
    # As often as a run asks.
    strategy = attrs.evolve(
        pair.strategy,
        selector=VIDEO,
        steps=10,
        guidance={"video": Guidance(2.0, (0.2, 0.8), against="early")},
    )
    sampler = strategy.sampler(pair)
    guided_video = sampler.experts["video"].denoiser
    counted = {"video": Counted(guided_video.denoiser), "early": Counted(guided_video.against)}
    denoiser = attrs.evolve(guided_video, denoiser=counted["video"], against=counted["early"])
    Sampler({"video": Expert(denoiser)}, sampler.selector, sampler.solver, sampler.grid)(
        pair.shape, seeds=[0], cond=pair.text_encoder(["a person waving"])
    )
    calls = prices.calls(strategy)
    assert {name: calls[name]["unguided"] for name in counted} == {
        name: each.calls for name, each in counted.items()
    }
    assert sum(calls[name]["guided"] for name in calls) == 0


def test_it_is_said_in_texts_recipes_and_reports() -> None:
    said = guided(2.0, ["video:scale=2,against=early,low=.2"])
    assert said["video"] == Guidance(2.0, (0.2, 1.0), against="early")
    assert said["image"] == Guidance(2.0)
    strategy = attrs.evolve(ToyPair.strategy, guidance=said)
    assert "video: scale 2 away from early for t from 0.2 to 1" in words(strategy)["guidance"]
    space = Space.of(
        {"guidance": {"video": {"scale": [1.0, 2.0], "against": ["", "early"]}}}, ToyPair.strategy
    )
    found = space.strategy({"guidance.video.scale": 2.0, "guidance.video.against": "early"})
    assert found.guidance["video"] == Guidance(2.0, against="early")
    assert space.values(found) == {"guidance.video.scale": 2.0, "guidance.video.against": "early"}


def test_a_pair_in_a_folder_carries_guides(tmp_path: Path) -> None:
    from jvid_models.ensembles.export import export_pair
    from jvid_training.generation.making import pair_fingerprint
    from tests.jvid_models.ensembles.test_folder import meta, parts

    def exported(folder: Path, guides: dict[str, Any] | None = None) -> Any:
        return export_pair(folder, *parts(), meta(), guides)

    pair = exported(tmp_path / "plain")
    assert dict(pair.guides) == {}
    led = exported(tmp_path / "led", guides={"early": pair.module("video")})
    assert list(led.guides) == ["early"]
    assert (tmp_path / "led/guide-early.safetensors").read_bytes() == (
        tmp_path / "plain/video.safetensors"
    ).read_bytes()
    assert pair_fingerprint(led) != pair_fingerprint(pair)
    run = {"shape": led.shape, "seeds": [0], "cond": led.text_encoder(led.prompts[:1])}
    unguided = attrs.evolve(led.strategy, selector=VIDEO, guidance=1.0, steps=2)
    # Away from a copy of itself leads nowhere.
    against = attrs.evolve(unguided, guidance={"video": Guidance(3.0, against="early")})
    torch.testing.assert_close(
        against.sampler(led)(**run), unguided.sampler(led)(**run), rtol=1e-4, atol=1e-4
    )
    for name in ("video", "a b", "../x"):
        with pytest.raises(InputError, match=r"guide .*: expected a name of letters"):
            exported(tmp_path / "wrong", guides={name: pair.module("video")})
    assert not (tmp_path / "wrong").exists()
