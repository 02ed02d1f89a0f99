"""What a step's keyed noise costs beside the cheapest guided call of the bundled pair: at most a fiftieth."""

from __future__ import annotations

import pytest
import torch

import jvid
from benchmarks.ratios import claim, interleaved, threads
from jvid.core.keyed import keyed_normal
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided

MOST = 0.02


@pytest.mark.parametrize("count", [1, 2])
def test_keyed_noise(benchmark, pair, count):
    with threads(count) as told:
        models = jvid.load("pair", pair)
        shape = tuple(models.shape)
        cond = models.text_encoder([""])
        x = keyed_normal([0], ("x",), shape)
        t = torch.tensor(0.5, dtype=torch.float64)
        experts = {
            "video": Guided(models.video, 2.0),
            "image": Guided(Framewise(models.image), 2.0),
        }
        indices = iter(range(10**9))
        with torch.no_grad():
            sides = {name: lambda expert=expert: expert(x, t, cond) for name, expert in experts.items()}
            sides["noise"] = lambda: keyed_normal([0], (next(indices), "z", "independent"), shape)
            medians = benchmark.pedantic(
                interleaved, args=(sides,), kwargs={"rounds": 15, "warmup": 2}, rounds=1
            )
    cheapest = min(experts, key=lambda name: medians[name])
    share = medians["noise"] / medians[cheapest]
    claim(
        benchmark, f"{1e3 * medians[cheapest]:.1f} ms", f"{1e3 * medians['noise']:.2f} ms", share, MOST, least=False,
        figure=f"a step's noise, over the cheapest guided call, {told}",
        remarks=f"latents {'x'.join(map(str, shape))}, {cheapest} expert",
    )  # fmt: skip
    if pair == "actions-64":
        assert share < MOST
