"""The accelerated forward behind the adapters: given the rows that repeat, equal to the stock one over whole runs."""

from __future__ import annotations

import gc
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jvid import DDPM, Cycle, Expert, Framewise, Guided, Leading, PerFrame, Sampler, ScaledNoise, Windowed
from jvid.core.conditions import LAYOUT, Layout, fold_frames
from jvid.denoisers.wrapper import Wrapper
from jvid.noise import IndependentNoise
from jvid_models.adapters.unet import from_unet
from jvid_models.fast import AcceleratedUNet, accelerate
from tests.jvid_models.fast.test_unets import TEXT, image_unet, randn, video_unet

SCHEDULER = {"_class_name": "DDPMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
             "beta_end": 0.012, "num_train_timesteps": 1000}  # fmt: skip
F64 = torch.float64
T = torch.tensor(0.5, dtype=F64)


def conds(b=1, tokens=5, null_rows=1, seed=0):
    text, null = randn(b, tokens, TEXT, seed=seed), randn(null_rows, tokens, TEXT, seed=seed + 1)
    return {"text": text, "null": {"text": null}}


class Seen(Wrapper):
    """Notes the layouts that it is called with."""

    def __init__(self, denoiser):
        self.denoiser, self.layouts = denoiser, []

    def __call__(self, x, t, cond):
        self.layouts.append(Layout.within(cond))
        return self.denoiser(x, t, cond)


@pytest.fixture(scope="module")
def unets():
    return {"image": image_unet(), "video": video_unet()}


def both(unet):
    return from_unet(unet, SCHEDULER), from_unet(unet, SCHEDULER, fast=False)


def test_wrappers_say_which_rows_repeat(unets):
    image = Seen(from_unet(unets["image"], SCHEDULER))
    x = randn(2, 4, 3, 8, 8)
    with torch.no_grad():
        for wrapped, expected in (
            (Guided(Framewise(image), 3.0), (2, 3)),
            (Framewise(Guided(image, 3.0)), (2, 3)),
            (Framewise(image), (1, 3)),
            (Framewise(Guided(image, 1.0)), (1, 3)),
            (Guided(Windowed(Framewise(image), 2, 1), 3.0), (2, 2)),
        ):
            wrapped(x, T, conds(2))
            assert (image.layouts[-1].halves, image.layouts[-1].frames) == expected


def test_frames_with_texts_of_their_own_are_not_reported_to_share_one():
    cond = {"text": PerFrame(randn(2, 3, 5, TEXT))}
    assert fold_frames(cond, 2, 3)[LAYOUT] == Layout(1, 1)
    assert fold_frames({"text": randn(2, 5, TEXT)}, 2, 3)[LAYOUT] == Layout(1, 3)
    nested = {"text": randn(2, 5, TEXT), "null": cond}
    assert fold_frames(nested, 2, 3)[LAYOUT] == Layout(1, 1)


@settings(max_examples=12)
@given(
    kind=st.sampled_from(["image", "video"]), b=st.integers(1, 2), f=st.sampled_from([1, 2, 3, 5]),
    side=st.sampled_from([4, 6, 8]), own_times=st.booleans(), null_rows=st.booleans(), scale=st.sampled_from([1.0, 0.0, 2.5]),
)  # fmt: skip
def test_any_guided_call_is_the_stock_one(unets, kind, b, f, side, own_times, null_rows, scale):
    x, cond = randn(b, 4, f, side, side, seed=f), conds(b, null_rows=b if null_rows else 1)
    t = torch.linspace(0.2, 0.8, b, dtype=F64) if own_times else T
    results = []
    for denoiser in both(unets[kind]):
        wrapped = Guided(denoiser if kind == "video" else Framewise(denoiser), scale)
        with torch.no_grad():
            results.append(wrapped(x, t, cond))
            again = wrapped(x, t, cond)
        assert torch.equal(again, results[-1])
    assert (results[0] - results[1]).abs().max() < 1e-4


def test_per_frame_texts_go_each_to_its_frame(unets):
    x, text = randn(1, 4, 3, 8, 8), PerFrame(randn(1, 3, 5, TEXT))
    cond = {"text": text, "null": {"text": PerFrame(randn(1, 3, 5, TEXT, seed=3))}}
    fast, stock = both(unets["image"])
    with torch.no_grad():
        results = [Guided(Framewise(each), 2.0)(x, T, cond) for each in (fast, stock)]
    torch.testing.assert_close(*results, atol=1e-4, rtol=0)


class Apart(Wrapper):
    """Changes the conditional rows alone, and does not take the hint out."""

    def __init__(self, denoiser):
        self.denoiser = denoiser

    def __call__(self, x, t, cond):
        x = x.clone()
        x[: len(x) // 2] *= 1.5
        return self.denoiser(x, t, cond)


def test_a_hint_that_does_not_hold_is_not_believed(unets):
    x = randn(1, 4, 3, 8, 8)
    fast, stock = both(unets["video"])
    with torch.no_grad():
        results = [Guided(Apart(each), 2.0)(x, T, conds()) for each in (fast, stock)]
    torch.testing.assert_close(*results, atol=1e-4, rtol=0)


def test_a_run_of_both_experts_in_turn_is_the_stock_one(unets):
    """The whole strategy: both experts in turn, four switches each way, at one plan and noise."""
    b = 2
    made, plans = [], []
    for fast in (True, False):
        video, image = (from_unet(unets[kind], SCHEDULER, fast=fast) for kind in ("video", "image"))
        noise = ScaledNoise(IndependentNoise(), 0.1)
        experts = {"video": Expert(Guided(video, 2.0)), "image": Expert(Guided(Framewise(image), 2.0), noise)}
        sampler = Sampler(experts, Cycle(("video", "image"), (2, 1)), DDPM(), Leading(12))
        plans.append(sampler.plan(0))
        made.append(sampler((4, 3, 8, 8), seeds=range(b), cond=conds(b)))
    assert plans[0].counts == {"video": 8, "image": 4}
    assert made[0].abs().max() > 1.0
    # Untrained networks amplify what differs in a step; trained ones do not.
    torch.testing.assert_close(*made, atol=1e-3, rtol=1e-3)


def test_what_is_kept_of_a_run_goes_with_its_condition(unets):
    denoiser = from_unet(unets["video"], SCHEDULER)
    images = from_unet(unets["image"], SCHEDULER)
    kept = [each.network._forward.kept for each in (denoiser, images)]
    experts = {"video": Expert(Guided(denoiser, 2.0)), "image": Expert(Guided(Framewise(images), 2.0))}
    sampler = Sampler(experts, Cycle(("video", "image")), DDPM(), Leading(4))

    def run(seed):
        cond = conds(seed=seed)
        for _ in sampler.trace((4, 2, 8, 8), seeds=[0], cond=cond):
            assert all(len(each._texts) <= 1 for each in kept)
        assert all(len(each._texts) == 1 for each in kept)

    run(0)
    run(5)
    gc.collect()
    assert [len(each._texts) for each in kept] == [0, 0]
    assert [len(each._thinned) for each in kept] == [0, 0]


def test_two_interleaved_runs_never_mix(unets):
    experts = {"video": Expert(Guided(from_unet(unets["video"], SCHEDULER), 2.0))}
    sampler = Sampler(experts, Cycle(("video",)), DDPM(), Leading(3))
    one, two = conds(seed=0), conds(seed=7)
    alone = [sampler((4, 2, 8, 8), seeds=[0], cond=cond) for cond in (one, two)]
    turns = zip(*(sampler.trace((4, 2, 8, 8), seeds=[0], cond=cond) for cond in (one, two)), strict=True)
    states = list(turns)[-1]
    for state, expected in zip(states, alone, strict=True):
        assert torch.equal(sampler.finish(state.x), expected)
    assert not torch.equal(*alone)


def test_networks_moved_between_steps_give_the_right_answer():
    unet = video_unet()
    denoiser, x, cond = Guided(from_unet(unet, SCHEDULER), 2.0), randn(1, 4, 2, 8, 8), conds()
    with torch.no_grad():
        before = denoiser(x, T, cond)
        unet.double()
        wide = denoiser(x, T, cond)
        unet.bfloat16()
        half = denoiser(x, T, cond)
        unet.float()
        after = denoiser(x, T, cond)
    torch.testing.assert_close(wide, before, atol=1e-4, rtol=0)
    assert (half - before).abs().max() < 0.5
    # The weights went through bfloat16, and what was kept of others is not used.
    expected = Guided(from_unet(unet, SCHEDULER, fast=False), 2.0)(x, T, cond)
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=0)


def test_an_accelerated_unet_may_be_given(unets):
    wrapped = accelerate(unets["image"])
    denoiser = from_unet(wrapped, SCHEDULER)
    assert denoiser.network.unet is unets["image"]
    assert denoiser.network._forward is wrapped
    assert isinstance(from_unet(unets["image"], SCHEDULER).network._forward, AcceleratedUNet)
    assert from_unet(wrapped, SCHEDULER, fast=False).network._forward is unets["image"]


def test_the_switch_makes_no_warning_and_an_unknown_part_makes_one(unets):
    from diffusers.models.attention_processor import SlicedAttnProcessor

    unet = image_unet()
    unet.set_attn_processor(SlicedAttnProcessor(1))
    x, cond = randn(1, 4, 1, 8, 8), conds()
    stock = from_unet(unet, SCHEDULER, fast=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = stock(x, T, cond)
    fast = from_unet(unet, SCHEDULER)
    with pytest.warns(UserWarning, match="SlicedAttnProcessor") as stated:
        results = [fast(x, T, cond) for _ in range(3)]
    assert len(stated) == 1
    assert all(torch.equal(each, expected) for each in results)


def test_the_bundled_ensemble_has_the_switch():
    from jvid_models.ensembles.bundled import actions_64

    fast, stock = actions_64(), actions_64(fast=False)
    x, cond = randn(1, 4, 16, 8, 8), fast.condition(["a person running"])
    with torch.no_grad():
        for name in ("video", "image"):
            results = [Guided(ensemble.clips(name), 2.0)(x, T, cond) for ensemble in (fast, stock)]
            torch.testing.assert_close(*results, atol=1e-4, rtol=0)
            assert not torch.equal(*results)
