"""What a step's keyed noise costs beside the cheapest guided call of the bundled ensemble: at most a fiftieth."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ratios import claim, interleaved, threads
from jvid.core.keyed import keyed_normal
from jvid.denoisers.guided import Guided
from jvid.ensemble import Source

MOST = 0.02


@pytest.mark.parametrize("count", [1, 2])
def test_keyed_noise(benchmark, ensemble, count):
    with threads(count) as used:
        models = Source(ensemble).load()
        shape = tuple(models.shape)
        cond = models.condition([""])
        x = keyed_normal([0], ("x",), shape)
        t = torch.tensor(0.5, dtype=torch.float64)
        experts = {name: Guided(models.clips(name), 2.0) for name in ("video", "image")}
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
        figure=f"a step's noise, over the cheapest guided call, {used}",
        remarks=f"latents {'x'.join(map(str, shape))}, {cheapest} expert",
    )  # fmt: skip
    if ensemble == "actions-64":
        assert share < MOST
