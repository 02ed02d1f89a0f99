"""Samplers of the built-in components conform: of every kind of selector, solver and grid, and the paper's by its equations."""

from __future__ import annotations

import pytest

from jvid import grids, noise, selectors, solvers
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always, PiecewiseAffine
from jvid.testing import GaussianOracle, TwoModeOracle, conforms
from jvid.testing.references import postprocessors as references_of_postprocessors

TABLE, FLOW = TabulatedSchedule.scaled_linear(), FlowMatching()

EXPERTS = {
    "video": Expert(TwoModeOracle(TABLE, 0.9, 0.4), noise.SharedNoise(0.5)),
    "image": Expert(GaussianOracle(FLOW, 0.3, 0.5), noise.ScaledNoise(noise.IndependentNoise(), 0.3)),
}
NAMES = ("video", "image")
SAMPLERS = {
    "the paper's": lambda: Sampler(
        EXPERTS,
        PiecewiseAffine(0.2, 0.7, 0.3, 0.3),
        solvers.DDPM(),
        grids.Leading(6),
        postprocessors=[TemporalSmoothing(2.0)],
    ),
    "turns": lambda: Sampler(EXPERTS, selectors.Cycle(NAMES), solvers.DPMPP2M(), grids.Karras(6)),
    "blend": lambda: Sampler(
        EXPERTS,
        selectors.Blend(NAMES, "0:1:0+1:0:1"),
        solvers.Heun(),
        grids.ByAngle(6),
        schedule=FLOW,
    ),
    "random walk": lambda: Sampler(
        EXPERTS, selectors.Random(NAMES), solvers.UniPC(), grids.Zigzag(8), initial=noise.SharedNoise(0.5)
    ),
    "refiner": lambda: Sampler(
        EXPERTS, selectors.Boundary(NAMES, "0.5"), solvers.DPMPP2MSDE(), grids.Trailing(6)
    ),
    "one expert": lambda: Sampler(EXPERTS, Always("image"), solvers.PNDM(), grids.Linspace(6)),
}


def ancestral(x, steps, denoise, noise):
    """Equations (2) and (5) of the paper in sigma / alpha, with the experts in turn, and section 3.6 at the end."""
    for step in steps:
        rho, lower = (level.sigma / level.alpha for level in (step.start, step.end))
        x_0 = sum(weight * denoise(name, x, step.start) for name, weight in step.weights.items())
        kept = (lower / rho) ** 2
        x = step.end.alpha * ((1.0 - kept) * x_0 + kept * x / step.start.alpha)
        if lower:
            x = x + step.end.alpha * lower * (1.0 - kept) ** 0.5 * noise(step)
    return references_of_postprocessors.temporal(x, threshold=2.0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_conform(name):
    context = {"reference": ancestral} if name == "the paper's" else {}
    report = conforms("sampler", SAMPLERS[name](), frames=range(2, 5), examples=3, **context)
    report.raise_for_failures()
    skipped = {outcome.check for outcome in report.outcomes if outcome.status == "skipped"}
    # Noise that the sampler is given has any law.
    given = {"begins_with_noise_of_its_level"} if name == "random walk" else set()
    assert skipped == given | (set() if context else {"as_referenced"})
    assert report.counts["passed"] == len(report.outcomes) - len(skipped)
