"""UNets with motion modules: equal to diffusers' own forward with a text for each frame, and to AnimateDiffPipeline."""

from __future__ import annotations

import warnings

import diffusers
import pytest
import torch

import jvid
from jvid.errors import InputError
from jvid_models.adapters.unet import from_unet

SCHEDULER = {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012}
WIDTH, FRAMES = 8, 6


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    image = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=WIDTH, sample_size=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
    )  # fmt: skip
    motion = diffusers.MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_num_attention_heads=2, motion_norm_num_groups=2,
        motion_max_seq_length=FRAMES,
    )  # fmt: skip
    for weight in motion.parameters():  # they begin as identities
        torch.nn.init.normal_(weight, 0, 0.1)
    return diffusers.UNetMotionModel.from_unet2d(image, motion).eval().requires_grad_(False)


def test_each_frame_sees_the_clips_text(unet):
    denoiser = from_unet(unet, diffusers.DDIMScheduler(**SCHEDULER), fast=False)
    x, text = torch.randn(2, 4, 3, 4, 4), torch.randn(2, 5, WIDTH)
    got = denoiser.network(x, torch.tensor(0.4, dtype=torch.float64), {"text": text})
    by_hand = unet(x, 399, text.repeat_interleave(3, 0)).sample
    torch.testing.assert_close(got, by_hand, atol=1e-6, rtol=1e-5)
    assert denoiser.denoises == "clips"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # there is no accelerated forward, and none is announced
        again = from_unet(unet, SCHEDULER).network(x, torch.tensor(0.4), {"text": text})
    torch.testing.assert_close(again, got, atol=1e-4, rtol=1e-3)


def test_more_frames_than_its_positions_are_refused(unet):
    denoiser = from_unet(unet, SCHEDULER, fast=False)
    t, cond = torch.tensor(0.4), {"text": torch.randn(1, 5, WIDTH)}
    assert denoiser(torch.randn(1, 4, FRAMES, 4, 4), t, cond).isfinite().all()
    with pytest.raises(InputError, match=rf"{FRAMES + 1} frames.*at most {FRAMES}") as caught:
        denoiser(torch.randn(1, 4, FRAMES + 1, 4, 4), t, cond)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_run_equals_the_pipelines(unet, guidance):
    scheduler = diffusers.DDIMScheduler(**SCHEDULER, clip_sample=False, steps_offset=1)
    pipe = diffusers.AnimateDiffPipeline(
        vae=diffusers.AutoencoderKL(),
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        motion_adapter=None,
        scheduler=scheduler,
    )
    pipe.set_progress_bar_config(disable=True)
    x, text, null = torch.randn(1, 4, 4, 8, 8), torch.randn(1, 5, WIDTH), torch.randn(1, 5, WIDTH)
    expected = pipe(
        prompt_embeds=text, negative_prompt_embeds=null, latents=x, num_frames=4, num_inference_steps=5, height=8, width=8,
        guidance_scale=guidance, output_type="latent",
    ).frames  # fmt: skip
    denoiser = from_unet(unet, scheduler, fast=False)
    if guidance != 1.0:
        denoiser = jvid.Guided(denoiser, guidance)
    sampler = jvid.Sampler(
        {"clip": jvid.Expert(denoiser)}, jvid.Always("clip"), jvid.DDIM(), jvid.Leading(5, offset=1)
    )
    got = sampler(seeds=[0], x=x, cond={"text": text, "null": {"text": null}})
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
