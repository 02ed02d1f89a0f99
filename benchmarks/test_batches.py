"""Four clips at once, as ``--batch 4`` computes them, against one by one: three steps of the paper's strategy, two threads."""

from __future__ import annotations

import attrs
import torch

from benchmarks.paper_strategy import paper_strategy
from benchmarks.ratios import claim, interleaved, threads
from jvid.ensemble import Source, compose

CLIPS, STEPS = 4, 3


def test_clips_at_once(benchmark, ensemble):
    models = Source(ensemble).load()
    sampler = compose(attrs.evolve(paper_strategy(), steps=STEPS), models)
    prompt = models.prompts[0]

    def sample(*seeds: int) -> torch.Tensor:
        return sampler(models.shape, seeds=seeds, cond=models.condition([prompt] * len(seeds)))

    sides = {
        "one by one": lambda: [sample(seed) for seed in range(CLIPS)],
        "at once": lambda: sample(*range(CLIPS)),
    }
    with threads(2) as used:
        error = (torch.cat(sides["one by one"]()) - sides["at once"]()).abs().max().item()
        assert error < 1e-3, error
        medians = benchmark.pedantic(interleaved, args=(sides,), kwargs={"warmup": 0}, rounds=1)
    alone, together = (CLIPS / medians[name] for name in sides)
    claim(
        benchmark, f"{alone:.2f} clips/s", f"{together:.2f} clips/s", together / alone,
        figure=f"{CLIPS} clips at once, against one by one",
        remarks=f"{STEPS} steps, {used}, largest difference {error:.1e}",
    )  # fmt: skip
