"""Table 1's exact networks: seconds and memory of the mixture's two kinds of step, at 64x64 pixels.

Latents 4x16x8x8, guidance 2 (a batch of two clips), random weights in float32 (5.9 GB). The step is
the sampler's own: selection, guidance, network and DDPM together. Against what is in ``test_fast_unets``; three times only.
"""

from __future__ import annotations

import resource

import pytest
import torch

from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.grids import Leading
from jvid.selectors import Always
from jvid.solvers import DDPM
from jvid_models.networks import table1

SHAPE = (4, 16, 8, 8)


@pytest.fixture(scope="module")
def experts() -> dict[str, Expert]:
    return {
        "video": Expert(Guided(table1.video(), 2.0)),
        "image": Expert(Guided(Framewise(table1.image()), 2.0)),
    }


@pytest.mark.parametrize("name", ["video", "image"])
def test_one_step_of_table_1(benchmark, experts, name):
    sampler = Sampler(experts, Always(name), DDPM(), Leading(50))
    text = torch.randn(1, 77, 768)
    cond = {"text": text, "null": {"text": torch.zeros_like(text)}}

    def one_step() -> torch.Tensor:
        return next(iter(sampler.trace(SHAPE, seeds=[0], cond=cond))).x

    x = benchmark.pedantic(one_step, rounds=3, warmup_rounds=1)
    assert x.shape == (1, *SHAPE)
    assert bool(x.isfinite().all())
    weights = sum(
        weight.numel() for expert in experts.values() for weight in _network(expert.denoiser).parameters()
    )
    benchmark.extra_info["million parameters of both"] = round(weights / 1e6)
    benchmark.extra_info["threads"] = torch.get_num_threads()
    benchmark.extra_info["gigabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _network(guided: Guided) -> torch.nn.Module:
    inner = guided.denoiser.denoiser if isinstance(guided.denoiser, Framewise) else guided.denoiser
    return inner.network.unet
