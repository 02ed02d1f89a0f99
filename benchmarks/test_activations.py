"""The peak of a guided step's tensors beside the weights, against diffusers' forward: 16 frames, latents of 16x16, 64 wide.

What one forward allocates and has not yet freed, at its highest; text keys and values that stand from the step before, and
inputs, count on neither side. Blocks of a feed-forward grow with the threads, so both numbers are measured.
"""

from __future__ import annotations

import pytest
import torch

from benchmarks.memory import peak_bytes
from benchmarks.ratios import claim, threads
from benchmarks.test_fast_unets import FRAMES, _inputs, _unet
from jvid_models.fast import accelerate

SIDE = 16
BOUNDS = {"video": (0.25, 0.2), "image": (None, None)}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", BOUNDS)
def test_peak_activations(benchmark, kind, count):
    unet = _unet("64 wide", kind)
    fast = accelerate(unet)
    x, text, hints = _inputs(kind, SIDE)
    t = torch.tensor(500.0)
    sides = {
        "stock": lambda: unet(x, t, text, return_dict=False),
        "fast": lambda: fast(x, t, text, return_dict=False, **hints),
    }
    with threads(count) as used, torch.inference_mode():
        error = (sides["stock"]()[0] - sides["fast"]()[0]).abs().max().item()
        assert error < 1e-4, error
        peaks = benchmark.pedantic(lambda: {name: peak_bytes(run) for name, run in sides.items()}, rounds=1)
    claim(
        benchmark, f"{peaks['stock'] / 1e6:.1f} MB", f"{peaks['fast'] / 1e6:.1f} MB", peaks["fast"] / peaks["stock"],
        *BOUNDS[kind], least=False, figure=f"peak activations, 64 wide, {kind}, {SIDE}x{SIDE}, {used}",
        remarks=f"latents 4x{FRAMES}x{SIDE}x{SIDE}, largest error {error:.1e}",
    )  # fmt: skip
