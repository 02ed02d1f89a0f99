"""One test for each row of docs/features.md: each need is met by composing few parts, nothing else.

Closed-form experts stand for networks, so that what comes out is known: a Gaussian expert on an element-wise
problem draws samples whose mean and deviation are its own.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
import torch

import jvid
from jvid import (
    DDIM,
    DDPM,
    Always,
    Blend,
    Boundary,
    Composition,
    Corrected,
    Cycle,
    Ensemble,
    Expert,
    Explicit,
    FlowMatching,
    Framewise,
    Guidance,
    Guided,
    Known,
    Leading,
    Member,
    MixedNoise,
    OffsetNoise,
    Parameterized,
    ProgressiveNoise,
    Sampler,
    ScaledNoise,
    SharedNoise,
    Strategy,
    Table,
    TabulatedSchedule,
    TemporalSmoothing,
    VarianceExploding,
    Windowed,
    Zigzag,
    paper,
    with_guidance,
)
from jvid.testing import GaussianOracle

VP = TabulatedSchedule.scaled_linear()
SHAPE = (4, 6, 8, 8)
PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def gaussian(mean, std=0.5, schedule=VP):
    return GaussianOracle(schedule, mean=mean, std=std)


def eps_network(oracle):
    """The eps prediction that ``oracle`` amounts to."""

    def network(x, t, cond):
        alpha, sigma = (level.reshape(-1, 1, 1, 1, 1) for level in oracle.schedule(t.double()))
        return ((x - alpha * oracle(x, t, cond)) / sigma).to(x.dtype)

    return network


def who(sampler, seed=0):
    return [step.expert for step in sampler.plan(seed).steps]


def test_the_paper():
    video, image = gaussian(0.4), gaussian(0.4, 0.7)
    sampler = paper.sampler(video, image, resolution=64, guidance=1.0)
    plan = sampler.plan(0)
    assert plan.steps[0].expert == "video"
    assert plan.counts["video"] + plan.counts["image"] == 50
    latents = sampler(SHAPE, seeds=range(4), plan=plan)
    assert abs(latents.mean().item() - 0.4) < 0.05
    # By hand, of the same parts.
    experts = {"video": Expert(video), "image": Expert(Framewise(image), ScaledNoise(SharedNoise(0.0), 0.02))}
    by_hand = Sampler(
        experts, paper.TABLE_6[64], DDPM(), Leading(50), postprocessors=[TemporalSmoothing(2.0)]
    )
    torch.testing.assert_close(by_hand(SHAPE, seeds=range(4)), latents)


@pytest.mark.parametrize(("by", "at"), [("progress", [0.3, 0.6]), ("timestep", [675, 375])])
def test_boundaries_between_k_experts(by, at):
    experts = {name: Expert(gaussian(mean)) for name, mean in (("a", -1.0), ("b", 0.0), ("c", 1.0))}
    sampler = Sampler(experts, Boundary(["a", "b", "c"], at=at, by=by), DDIM(), Leading(20))
    steps = sampler.plan().steps
    expected = ["a" if s.progress < 0.3 else "b" if s.progress < 0.6 else "c" for s in steps]
    assert [s.expert for s in steps] == expected
    assert set(expected) == {"a", "b", "c"}
    assert torch.isfinite(sampler(SHAPE, seeds=[0])).all()


def test_experts_in_turn():
    experts = {name: Expert(gaussian(0.5)) for name in "ab"}
    alone = Sampler({"a": experts["a"]}, Always("a"), DDIM(), Leading(12))(SHAPE, seeds=[1])
    turns = Sampler(experts, Cycle(["a", "b"]), DDIM(), Leading(12))
    assert who(turns) == ["a", "b"] * 6
    table = Sampler(experts, Table(["a"] * 4 + ["b"] * 8), DDIM(), Leading(12))
    assert who(table) == ["a"] * 4 + ["b"] * 8
    for sampler in (turns, table):  # experts that agree are one expert
        torch.testing.assert_close(sampler(SHAPE, seeds=[1]), alone)


def test_blended_scores_that_move_with_progress():
    experts = {"a": Expert(gaussian(-1.0)), "b": Expert(gaussian(1.0))}
    blend = Blend(["a", "b"], [(0.3, [1.0, 0.0]), (1.0, [0.0, 1.0])])
    sampler = Sampler(experts, blend, DDIM(), Leading(20))
    weights = [step.weights.get("b", 0.0) for step in sampler.plan().steps]
    assert weights == sorted(weights)
    assert weights[-1] > 0.9
    states = list(sampler.trace(SHAPE, seeds=[0]))
    evaluated = sum(weight > 0 for weight in weights)
    assert 0 < evaluated < 20
    assert states[-1].calls == {"a": 20, "b": evaluated}  # a weight of 0 is not evaluated


def test_models_of_different_schedules_and_parameterizations():
    flow, ve = FlowMatching(3.0), VarianceExploding()
    eps = Parameterized(eps_network(gaussian(0.3)), VP, "eps")
    velocity = gaussian(0.3, schedule=flow)

    def flow_network(x, t, cond):
        sigma = flow(t.double())[1].reshape(-1, 1, 1, 1, 1)
        return (x - velocity(x, t, cond)) / sigma  # v = eps - x_0 = (x - x_0) / sigma where alpha + sigma = 1

    experts = {
        "published": Expert(eps),
        "flow": Expert(Parameterized(flow_network, flow, "flow")),
        "edm": Expert(Parameterized(gaussian(0.3, schedule=ve), ve, "x0")),
    }
    mixed = Sampler(experts, Cycle(list(experts)), DDIM(), Leading(15))
    alone = Sampler({"published": Expert(eps)}, Always("published"), DDIM(), Leading(15))
    options = {"seeds": [0, 1], "dtype": torch.float64}
    torch.testing.assert_close(mixed(SHAPE, **options), alone(SHAPE, **options), atol=1e-10, rtol=0)


def test_guidance_for_all_or_for_each_expert():
    class Conditional:
        schedule = VP

        def __call__(self, x, t, cond):
            return torch.zeros_like(x) + cond["text"].reshape(-1, 1, 1, 1, 1)

    cond = {"text": torch.ones(1, 1), "null": {"text": torch.zeros(1, 1)}}
    for scale, expected in ((1.0, 1.0), (3.0, 3.0)):
        sampler = Sampler({"a": Expert(Guided(Conditional(), scale))}, Always("a"), DDIM(), Leading(5))
        assert torch.allclose(sampler(SHAPE, seeds=[0], cond=cond), torch.tensor(expected))
    experts = {"a": Expert(Guided(Conditional(), 2.0)), "b": Expert(Guided(Conditional(), 4.0))}
    ends = Sampler(experts, Cycle(["a", "b"]), DDIM(), Leading(4))(SHAPE, seeds=[0], cond=cond)
    assert torch.allclose(ends, torch.tensor(4.0))  # the last step is b's
    early = Guided(Conditional(), 3.0, interval=(0.5, 1.0))
    ends = Sampler({"a": Expert(early)}, Always("a"), DDIM(), Leading(4))(SHAPE, seeds=[0], cond=cond)
    assert torch.allclose(ends, torch.tensor(1.0))


def test_guidance_away_from_a_weaker_model():
    good, weaker = gaussian(1.0, 0.5), gaussian(-1.0, 0.5)
    # x_0 of both is affine with one slope: away from -1 by as much again as 1 is from it is 3.
    ends = [
        Sampler({"a": Expert(denoiser)}, Always("a"), DDIM(), Leading(50))(SHAPE, seeds=[0])
        for denoiser in (Guided(good, 2.0, against=weaker), gaussian(3.0, 0.5))
    ]
    assert torch.allclose(*ends, atol=1e-4)


@pytest.mark.parametrize("noise", [MixedNoise(1.0), ProgressiveNoise(1.0), OffsetNoise(strength=0.5)])
def test_noise_that_is_shaped_across_frames(noise):
    sampler = Sampler({"a": Expert(gaussian(0.0), noise)}, Always("a"), DDPM(), Leading(4))
    drawn = torch.stack([s.x for s in sampler.trace((4, 3, 32, 32), seeds=range(8))])
    assert torch.isfinite(drawn).all()
    plain = Sampler({"a": Expert(gaussian(0.0))}, Always("a"), DDPM(), Leading(4))
    first = drawn[0]
    other = next(iter(plain.trace((4, 3, 32, 32), seeds=range(8)))).x
    frames = lambda x: torch.corrcoef(x.movedim(2, 0).flatten(1))[0, 1].item()  # noqa: E731
    assert frames(first) > frames(other) + 0.05


def test_long_clips_by_windows():
    class Centred:
        """Sees at most 16 frames, and pulls a clip towards its mean over them."""

        schedule = VP

        def __call__(self, x, t, cond):
            assert x.shape[2] <= 16
            return 0.5 * x + 0.5 * x.mean(dim=2, keepdim=True)

    sampler = Sampler({"a": Expert(Windowed(Centred(), 16, 12))}, Always("a"), DDIM(), Leading(4))
    long = sampler((4, 64, 4, 4), seeds=[0])
    assert long.shape == (1, 4, 64, 4, 4)
    assert torch.isfinite(long).all()


@pytest.mark.parametrize("solver", [DDPM(), DDIM()])
def test_known_frames_and_regions_are_kept(solver):
    known = torch.full((1, 4, 2, 8, 8), 0.25)
    expert = Known.frames(gaussian(-0.5), known, at=[0, 1], frames=6)
    clip = Sampler({"a": Expert(expert)}, Always("a"), solver, Leading(10))(SHAPE, seeds=[0])
    torch.testing.assert_close(clip[:, :, :2], known)
    assert clip[:, :, 2:].mean() < -0.3
    mask = torch.zeros(1, 1, 1, 8, 8)
    mask[..., :4] = 1.0
    inside = Known(gaussian(-0.5), mask, torch.full((1, 4, 6, 8, 8), 0.25))
    clip = Sampler({"a": Expert(inside)}, Always("a"), solver, Leading(10))(SHAPE, seeds=[0])
    torch.testing.assert_close(clip[..., :4], torch.full((1, 4, 6, 8, 4), 0.25))
    assert clip[..., 4:].mean() < -0.3


def test_a_run_starts_from_given_latents():
    oracle = gaussian(0.0)
    sampler = Sampler({"a": Expert(oracle)}, Always("a"), DDIM(), Explicit([0.4, 0.3, 0.2, 0.1, 0.0]))
    alpha, sigma = VP(torch.tensor(0.4, dtype=torch.float64))
    picture = torch.full((1, *SHAPE), 1.0)
    noise = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    near = sampler(x=(alpha * picture + sigma * noise).float(), seeds=[0])
    far = sampler(SHAPE, seeds=[0])
    assert near.mean() > far.mean() + 0.2


def test_postprocessing_at_every_step():
    sampler = Sampler(
        {"a": Expert(Corrected(gaussian(0.0), TemporalSmoothing(1e9)))}, Always("a"), DDIM(), Leading(6)
    )
    still = sampler(SHAPE, seeds=[0])
    assert (still - still.mean(dim=2, keepdim=True)).abs().max() < 1e-5


def test_grids_that_step_back_up():
    sampler = Sampler({"a": Expert(gaussian(0.2))}, Always("a"), DDPM(), Zigzag(10))
    steps = sampler.plan().steps
    assert any(step.end.t > step.start.t for step in steps)
    latents = sampler(SHAPE, seeds=range(4))
    assert abs(latents.mean().item() - 0.2) < 0.05


def test_named_experts_with_encoders_of_their_own():
    @attrs.frozen
    class Reads:
        key: str
        schedule: object = VP

        def __call__(self, x, t, cond):
            return torch.zeros_like(x) + cond[self.key].reshape(-1, 1, 1, 1, 1)

    def encoder(key, scale):
        return lambda prompts: {key: torch.tensor([scale * len(prompt) for prompt in prompts])}

    members = {
        "high": Member(Reads("t5"), conditioner=encoder("t5", 1.0)),
        "low": Member(Reads("clip"), conditioner=encoder("clip", 0.5)),
    }
    ensemble = Ensemble(members, SHAPE)
    for strategy, expected in (
        ("boundary:experts=high+low,at=.5", [2.0, 1.5]),
        ("always:name=high", [4.0, 3.0]),
    ):
        composition = Composition(Strategy(strategy, "ddim", steps=4), ensemble)
        clips = composition.sampler()(SHAPE, seeds=[0, 1], cond=composition.condition(["walk", "run"]))
        assert clips.mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_strategy_travels_as_json(tmp_path):
    guidance = {"video": Guidance(2, interval=(0.2, 0.8)), "image": 3}
    for strategy in (paper.strategy(128), with_guidance(paper.strategy(128), guidance)):
        assert Strategy.from_dict(strategy.to_dict()) == strategy
        strategy.save(tmp_path / "strategy.json")
        assert Strategy.load(tmp_path / "strategy.json") == strategy


def test_the_page_names_a_test_of_this_file_in_every_row():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    rows = [row for row in rows if not row.startswith("| ---")]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert all(len(names) >= 1 for names in named)
    here = {name for name in globals() if name.startswith("test_")} - {
        "test_the_page_names_a_test_of_this_file_in_every_row"
    }
    assert {name for names in named for name in names} == here
    for row in rows:  # what a row says can be imported
        for name in re.findall(r"`([A-Z]\w+)[`(]", row):
            assert hasattr(jvid, name), name
