"""The network cost of 16 steps of UniPC by angle over that of 50 steps of DDPM, if both are as near to their fine runs.

A part of what ``python -m benchmarks.fewer_steps`` measures, by its functions: one clip of the mixture, the two rows, and
the fine run of each (250 and 500 steps), which is what takes the time. Nothing is repeated: errors do not depend on the machine,
and the cost is counted calls times seconds per call, medians in turn.
"""

from __future__ import annotations

import torch

from benchmarks.fewer_steps import Measurement, seconds_of
from benchmarks.fewer_steps_page import AIM, MUST, cheapest, points_of
from benchmarks.fewer_steps_rows import BASE, Row, cases
from benchmarks.paper_strategy import paper_strategy
from benchmarks.ratios import claim
from jvid.ensemble import Source, compose

FEW = Row("unipc", "by-angle", 16)


def test_fewer_steps(benchmark, ensemble):
    models = Source(ensemble).load()
    denoisers = {name: expert.denoiser for name, expert in compose(paper_strategy(), models).experts.items()}
    mixture = cases()[0]
    one = Measurement(models, denoisers, mixture, 0)
    known: dict[str, object] = {"seconds": seconds_of(models, denoisers)}
    known |= benchmark.pedantic(lambda: {one.key(row): one.figures(row) for row in (BASE, FEW)}, rounds=1)
    points = {point.row: point for point in points_of(known, mixture, models.schedule)}
    base, few = points[BASE], points[FEW]
    reached = cheapest(list(points.values()), FEW.solver, "error and shape")
    claim(
        benchmark, f"{base.seconds:.2f} s", f"{few.seconds:.2f} s", None if reached is None else reached.cost, MUST, AIM,
        least=False, figure="network cost for the quality of 50-step DDPM",
        remarks=f"{FEW}: error {few.error:.3f}, DDPM's {base.error:.3f}; detail {few.detail:.2f}, {base.detail:.2f}; motion "
        f"{few.motion:.2f}, {base.motion:.2f}; 1 clip, threads {torch.get_num_threads()}",
    )  # fmt: skip
