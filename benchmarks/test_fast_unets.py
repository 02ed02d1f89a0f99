"""The fast forward against diffusers' own on the same weights: ratios of medians, interleaved in one run.

One guided step (two halves) of a clip of 16 frames, 77 tokens of text 768 wide, as Stable Diffusion's. The text is
the same at every step, as in a run, so that its keys and values stand already. Sizes are those of the latents.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from benchmarks.ratios import claim, interleaved, threads
from jvid_models.fast import accelerate
from jvid_models.networks.unets import image_unet, video_unet

FRAMES, TOKENS, TEXT = 16, 77, 768
SMALL = {"channels": (64, 128, 192, 256), "head_width": 32}
# network, latent side, what must be and what is aimed at: video, then image
CASES = [
    ("Table 1", 8, {"video": (1.5, 1.9), "image": (1.7, 2.1)}),
    ("64 wide", 8, {"video": (1.9, 2.4), "image": (2.0, 2.6)}),
    ("64 wide", 16, {"video": (1.6, 1.9), "image": (1.35, 1.6)}),
]


@lru_cache(maxsize=1)  # one thread and two run on the same; Table 1's takes long to make
def _unet(network: str, kind: str) -> torch.nn.Module:
    options = {} if network == "Table 1" else SMALL
    unet = (video_unet if kind == "video" else image_unet)(**options).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for (
        weight
    ) in unet.parameters():  # zero as initialised, the temporal convolutions' last would count as little
        if not weight.any():
            weight.normal_(0.0, 0.02, generator=generator)
    return unet


def _inputs(kind: str, side: int) -> tuple[torch.Tensor, torch.Tensor, dict[str, int]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, FRAMES, side, side, generator=generator)
    text = torch.randn(2, TOKENS, TEXT, generator=generator)
    x = torch.cat([x, x])
    if kind == "video":
        return x, text, {"halves": 2}
    frames = x.transpose(1, 2).flatten(0, 1)
    return frames, text.repeat_interleave(FRAMES, 0), {"halves": 2, "frames": FRAMES}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize(
    ("network", "side", "bounds"), CASES, ids=lambda value: str(value) if not isinstance(value, dict) else ""
)
def test_one_guided_step(benchmark, network, side, bounds, kind, count):
    unet = _unet(network, kind)
    wrapped = accelerate(unet)
    x, text, hints = _inputs(kind, side)
    t = torch.tensor(500.0)
    sides = {
        "stock": lambda: unet(x, t, text, return_dict=False)[0],
        "fast": lambda: wrapped(x, t, text, return_dict=False, **hints)[0],
    }
    with threads(count) as used, torch.inference_mode():
        error = (sides["fast"]() - sides["stock"]()).abs().max().item()  # which is the warm-up
        assert error < 1e-4, error
        rounds = 5 if network == "Table 1" else 7
        medians = benchmark.pedantic(
            interleaved, args=(sides,), kwargs={"rounds": rounds, "warmup": 0}, rounds=1
        )
    must, aim = bounds[kind]
    claim(
        benchmark, f"{medians['stock']:.3f} s", f"{medians['fast']:.3f} s", medians["stock"] / medians["fast"], must, aim,
        figure=f"{network}, {kind}, {side}x{side}, {used}",
        remarks=f"latents 4x{FRAMES}x{side}x{side}, largest error {error:.1e}",
    )  # fmt: skip
