"""Guidance by a weaker model: its mathematics, and how strategies name it, whatever its encoder and schedule."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid import paper
from jvid.core.bridged import Bridged
from jvid.core.conditions import LAYOUT, PerExpert
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.core.spaces import LatentSpace
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.ensemble import Composition, Ensemble, Member, compose
from jvid.errors import InputError
from jvid.grids import ByAngle
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid.strategy import ExpertStrategy, Guidance, Strategy
from jvid.strategy.shorthand import with_guidance
from jvid.testing import conforms
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from tests.toy import SHAPE, STRATEGY, Conditional, toy_ensemble

pytestmark = pytest.mark.usefixtures("toys")
SCHEDULE = TabulatedSchedule.scaled_linear()
VIDEO = attrs.evolve(STRATEGY, selector="always:name=video")
COND = {"text": torch.full((2, 2, 3), 0.3), "null": {"text": torch.zeros(2, 2, 3)}}


def led_toy() -> Ensemble:
    """The toy with a weaker expert."""
    return toy_ensemble(guides={"early": Conditional(SCHEDULE, 1.5)})


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
    """A denoiser given the null condition, whatever it is called with."""

    inner: Any

    @property
    def schedule(self) -> Any:
        return self.inner.schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        return self.inner(x, t, {"text": torch.zeros_like(cond["text"])})


def latents(seed: int = 0) -> Tensor:
    return torch.randn(2, 4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@given(st.floats(-2, 6), st.floats(0.02, 0.98), st.integers(0, 2**16))
def test_it_is_equation_4_with_the_weaker_model_for_the_null_condition(
    scale: float, t: float, seed: int
) -> None:
    good, weak = Conditional(SCHEDULE, 0.5), Conditional(SCHEDULE, 1.5)
    x, time = latents(seed), torch.tensor(t, dtype=torch.float64)
    plain = {"text": COND["text"]}
    found = Guided(good, scale, against=weak)(x, time, COND)
    strong, other = good(x, time, plain), weak(x, time, plain)
    torch.testing.assert_close(found, other + scale * (strong - other), rtol=1e-5, atol=1e-5)


@given(st.floats(-2, 6), st.floats(0.02, 0.98))
def test_against_itself_without_a_prompt_it_is_classifier_free_guidance(scale: float, t: float) -> None:
    good, time = Conditional(SCHEDULE, 0.5), torch.tensor(t, dtype=torch.float64)
    for rescale, interval in ((0.0, None), (0.7, (0.3, 0.8))):
        options: dict[str, Any] = {"rescale": rescale, "interval": interval}
        ours = Guided(good, scale, against=Unprompted(good), **options)(latents(), time, COND)
        torch.testing.assert_close(
            ours, Guided(good, scale, **options)(latents(), time, COND), rtol=1e-5, atol=1e-5
        )


def test_only_those_are_evaluated_whose_prediction_counts() -> None:
    def calls_of(scale: float, t: float = 0.5) -> tuple[int, int]:
        good, weak = Counted(Conditional(SCHEDULE, 0.5)), Counted(Conditional(SCHEDULE, 1.5))
        # No null condition is needed.
        Guided(good, scale, against=weak, interval=(0.3, 1.0))(
            latents(), torch.tensor(t, dtype=torch.float64), {"text": COND["text"]}
        )
        return good.calls, weak.calls

    assert (calls_of(2.0), calls_of(1.0), calls_of(0.0), calls_of(2.0, t=0.1)) == (
        (1, 1),
        (1, 0),
        (0, 1),
        (1, 0),
    )


def test_it_draws_samples_nearer_and_keeps_both_modes() -> None:
    """What autoguidance is for: data at -1 and 1, known through .35 of blur by the model and through .7 by the weaker one."""
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
    assert "21 passed, 5 skipped" in str(report)


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
    with pytest.raises(InputError, match="got no denoiser to guide against: give both or none"):
        paper.sampler(good, good, guidance=Guidance(2.0, against="image"))
    with pytest.raises(InputError, match="got a denoiser to guide against: give both or none"):
        Guidance(2.0).guided(good, good)
    with pytest.raises(InputError, match="got against=2"):
        Guidance(2.0, against=2)  # type: ignore[arg-type]


def test_a_strategy_names_another_expert() -> None:
    toy = led_toy()
    strategy = with_guidance(
        STRATEGY, {"video": Guidance(2.0, against="early"), "image": Guidance(3.0, against="video")}
    )
    assert Strategy.from_dict(strategy.to_dict()) == strategy
    composition = Composition(strategy, toy)
    assert composition.references == {"video": ("early",), "image": ("video",)}
    experts = {name: expert.denoiser for name, expert in composition.sampler().experts.items()}
    assert set(experts) == {"video", "image"}  # early is evaluated and never chosen
    assert experts["video"].against is toy.denoiser("early")
    assert experts["image"].against is toy.denoiser("video")
    contrast = with_guidance(VIDEO, {"video": Guidance(1.5, against="image")})
    # An expert of frames is lifted there, too.
    assert isinstance(compose(contrast, toy).experts["video"].denoiser.against, Framewise)
    run = {"shape": toy.shape, "seeds": [5], "cond": composition.condition(["a person waving"])}
    by_hand = compose(with_guidance(strategy, 1.0), toy)
    video, image, early = toy.denoiser("video"), toy.denoiser("image"), toy.denoiser("early")
    by_hand = Sampler(
        {
            "video": Expert(Guided(video, 2.0, against=early)),
            "image": attrs.evolve(by_hand.experts["image"], denoiser=Guided(Framewise(image), 3.0, against=video)),
        },
        by_hand.selector, by_hand.solver, by_hand.grid, postprocessors=by_hand.postprocessors,
    )  # fmt: skip
    assert torch.equal(composition.sampler()(**run), by_hand(**run))
    with pytest.raises(
        InputError,
        match="expert 'video': wrapper 'guided' names expert 'early': expected one of video, image",
    ):
        compose(strategy, toy_ensemble())
    with pytest.raises(
        InputError, match=r"expert 'video': .*video cannot be its own weaker model: name another"
    ):
        compose(with_guidance(VIDEO, Guidance(2.0, against="video")), toy)


def test_longer_clips_are_guided_within_their_windows() -> None:
    toy = led_toy()
    strategy = attrs.evolve(with_guidance(VIDEO, {"video": Guidance(2.0, against="early")}), overlap=2)
    clip = compose(strategy, toy, 8)((4, 8, 8, 8), seeds=[1], cond=toy.condition(["a person waving"]))
    assert clip.shape == (1, 4, 8, 8, 8)
    assert torch.isfinite(clip).all()


@attrs.frozen
class Reads:
    """x_0 is the mean of what its own encoder gave under ``key``; ``seen`` are the conditions of its calls."""

    key: str
    schedule: Any = SCHEDULE
    seen: list[dict[str, Any]] = attrs.field(factory=list, eq=False)

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        self.seen.append(dict(cond))
        return torch.zeros_like(x) + cond[self.key].mean(dim=1).reshape(-1, 1, 1, 1, 1).to(x)


def encoder(key: str, scale: float) -> Any:
    """Lengths of prompts times a scale, under a key of its own."""

    def encode(prompts: list[str]) -> dict[str, Any]:
        text = torch.tensor([[scale * len(each)] for each in prompts])
        return {key: text, "null": {key: torch.zeros_like(text)}}

    return encode


def two_encoders(**experts: Any) -> Ensemble:
    strong, weak = experts.get("strong", Reads("t5")), experts.get("weak", Reads("clip"))
    members = {
        "strong": Member(strong, conditioner=encoder("t5", 1.0)),
        "weak": Member(weak, experts.get("denoises", "clips"), encoder("clip", 0.5)),
    }
    return Ensemble(members, SHAPE, schedule=SCHEDULE)


ENDS = Strategy("always:name=strong", "ddim", steps=2)


def sampled(strategy: Strategy, ensemble: Ensemble, prompts: list[str]) -> Tensor:
    composition = Composition(strategy, ensemble)
    return composition.sampler()(
        ensemble.shape, seeds=range(len(prompts)), cond=composition.condition(prompts)
    )


def test_two_experts_with_different_encoders_each_get_their_own_embedding() -> None:
    ensemble = two_encoders()
    turns = Strategy("cycle:experts=strong+weak", "ddim", steps=4)
    clips = sampled(turns, ensemble, ["walk", "runs on"])
    # The last step is the weak one's and ends at its x_0: half of a prompt's length.
    assert clips.mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx([2.0, 3.5], abs=1e-5)
    for name, key, scale in (("strong", "t5", 1.0), ("weak", "clip", 0.5)):
        seen = ensemble.denoiser(name).seen  # type: ignore[attr-defined]
        assert len(seen) == 2
        for cond in seen:
            assert set(cond) - {"null"} == {key}
            assert cond[key].flatten().tolist() == [4 * scale, 7 * scale]


@pytest.mark.parametrize("denoises", ["clips", "frames"])
def test_a_weaker_expert_with_another_encoder_gets_that_ones_embedding(denoises: str) -> None:
    ensemble = two_encoders(denoises=denoises)
    against = with_guidance(ENDS, {"strong": Guidance(3.0, against="weak")})
    clips = sampled(against, ensemble, ["walk", "runs on"])
    # weak + 3 (strong - weak) of strong = length, weak = length / 2: twice the length.
    assert clips.mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx([8.0, 14.0], abs=1e-5)
    weak = ensemble.denoiser("weak").seen  # type: ignore[attr-defined]
    assert {key for cond in weak for key in cond} - {LAYOUT} == {"clip"}
    strong = ensemble.denoiser("strong").seen  # type: ignore[attr-defined]
    assert all(cond["t5"].flatten().tolist() == [4.0, 7.0] for cond in strong)
    cond = Composition(against, ensemble).condition(["walk"])
    assert isinstance(cond, PerExpert)
    assert set(cond.conditions) == {"strong"}


def test_it_stands_within_classifier_free_guidance() -> None:
    """A stack of both: the empty prompt's half carries the weaker expert's own embedding of the empty prompt."""
    ensemble = two_encoders()
    stack = ExpertStrategy(("guided:scale=3,against=weak", "guided:scale=2"))
    clips = sampled(ENDS.with_expert("strong", stack), ensemble, ["walk", "runs on"])
    # The inner one makes 2 L of a prompt's length L and 0 of the empty one, the outer one 0 + 2 (2 L - 0).
    assert clips.mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx([16.0, 28.0], abs=1e-4)
    alone = Composition(ENDS.with_expert("strong", stack), ensemble).condition(["walk"])
    assert isinstance(alone, PerExpert)
    null = alone.conditions["strong"]["null"]
    assert (null["t5"].item(), null["borrowed"]["weak"]["clip"].item()) == (0.0, 0.0)


def test_a_weaker_expert_of_another_schedule_is_bridged() -> None:
    ensemble = two_encoders(weak=Reads("clip", FlowMatching(3.0)))
    against = with_guidance(ENDS, {"strong": Guidance(3.0, against="weak")})
    denoiser = compose(against, ensemble).experts["strong"].denoiser
    assert isinstance(denoiser.against, Bridged)
    assert denoiser.against.schedule == SCHEDULE
    clips = sampled(against, ensemble, ["walk"])
    assert clips.mean().item() == pytest.approx(8.0, abs=1e-5)


def test_a_prompt_that_the_weaker_expert_does_not_know_names_it() -> None:
    ensemble = two_encoders()

    def picky(prompts: list[str]) -> Any:
        raise InputError(f"unknown prompt {prompts[0]!r}: expected one of walk")

    members = {**ensemble.members, "weak": attrs.evolve(ensemble.member("weak"), conditioner=picky)}
    other = Ensemble(members, SHAPE, schedule=SCHEDULE)
    against = with_guidance(ENDS, {"strong": Guidance(3.0, against="weak")})
    with pytest.raises(InputError, match="expert 'weak': unknown prompt 'fly': expected one of walk"):
        Composition(against, other).condition(["fly"])
    Composition(ENDS, other).condition(["fly"])  # it is not evaluated


def test_a_weaker_expert_of_clips_sees_long_clips_in_windows() -> None:
    """Whatever kind of expert it guides; the price counts the windows too."""
    seen: list[int] = []

    class Spy:
        schedule = SCHEDULE

        def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
            seen.append(x.shape[2])
            return torch.zeros_like(x)

    c, f, h, w = SHAPE
    oracle = GaussianOracle(SCHEDULE, 0.2, 0.5)
    ensemble = Ensemble({"still": Member(oracle, "frames"), "weak": Member(Spy())}, SHAPE)
    guided = {"still": ExpertStrategy(["guided:scale=2,against=weak"])}
    strategy = Strategy("always:name=still", "ddim", steps=2, experts=guided, overlap=1)
    composition = Composition(strategy, ensemble)
    clip = composition.sampler(2 * f + 1)((c, 2 * f + 1, h, w), seeds=[0])
    assert clip.shape[2] == 2 * f + 1
    assert set(seen) == {f}
    assert composition.outline("still", 2 * f + 1).evaluations(0.5, 2 * f + 1)


def test_each_of_two_encoders_gives_its_expert_a_condition_alone() -> None:
    """Neither network sees what the other is conditioned on, and experts of other spaces are named."""
    seen: dict[str, set[str]] = {}

    def spy(name: str, **more: Any) -> Any:
        class Spy:
            schedule = SCHEDULE

            def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
                seen.setdefault(name, set()).update(cond)
                return torch.zeros_like(x)

        for key, value in more.items():
            setattr(Spy, key, value)
        return Spy()

    def encoder(key: str) -> Any:
        return lambda prompts: {key: torch.ones(len(prompts), 2)}

    members = {name: Member(spy(name), conditioner=encoder(name)) for name in ("strong", "weak")}
    strategy = Strategy(
        "always:name=strong",
        "ddim",
        steps=1,
        experts={"strong": ExpertStrategy(["guided:scale=2,against=weak"])},
    )
    composition = Composition(strategy, Ensemble(members, SHAPE))
    composition.sampler()(SHAPE, seeds=[0], cond=composition.condition(["x"]))
    assert seen == {"strong": {"strong"}, "weak": {"weak"}}
    spaces = {name: LatentSpace(name, channels=SHAPE[0]) for name in members}
    apart = {name: Member(spy(name, space=spaces[name])) for name in members}
    with pytest.raises(InputError, match="experts 'strong' and 'weak' do not share a latent space"):
        compose(strategy, Ensemble(apart, SHAPE))
