"""Right but unusual components pass once they declare their limits, and a report states what it could not check."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import torch

from jvid.core.conditions import PerFrame
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.grids import Leading
from jvid.noise import IndependentNoise
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDPM
from jvid.solvers.kernel import transition
from jvid.testing import GaussianOracle, conforms
from tests.mutants.solver_bases import Ancestral, FirstOrder, TwoStages, TwoSteps
from tests.mutants.wrapper_bases import Guide, Windows

CHECKED = ("exact_where_x_0_is_known", "rises_from_the_clean_end", "same_on_any_scale")


class HeunInT:
    """Heun on dx / dt = alpha' x_0 + sigma' eps, slopes of the schedule by differences; the kernel's step at the ends."""

    order = 2

    def init(self):
        return None

    def at_an_end(self, step):
        return 0.0 in (step.start.sigma, step.end.sigma, step.start.alpha, step.end.alpha)

    def slope(self, x, x_0, level, step):
        low, high = max(level.t - 1e-4, 0.0), min(level.t + 1e-4, 1.0)
        one, two = step.level_at(low), step.level_at(high)
        eps = (x - level.alpha * x_0) / level.sigma
        return ((two.alpha - one.alpha) * x_0 + (two.sigma - one.sigma) * eps) / (high - low)

    def step(self, x, step, denoise, noise, memory):
        x_0 = denoise(x, step.start)
        if self.at_an_end(step):
            return transition(x, x_0, step.start, step.end, 0.0, noise), None
        length = step.end.t - step.start.t
        first = self.slope(x, x_0, step.start, step)
        euler = x + length * first
        if self.order == 1:
            return euler, None
        second = self.slope(euler, denoise(euler, step.end), step.end, step)
        return x + length * (first + second) / 2, None


class EulerInT(HeunInT):
    """Its first order."""

    order = 1


def test_integrators_that_are_not_exponential_are_exact_in_the_limit():
    conforms("solver", HeunInT(), only=CHECKED).raise_for_failures()
    conforms("solver", EulerInT(), only=CHECKED, exponential=False).raise_for_failures()
    assert not conforms("solver", EulerInT(), only=CHECKED).ok


class Drifting(HeunInT):
    """Wrong: a slope that is a tenth too steep does not come to x_0."""

    def slope(self, x, x_0, level, step):
        return 1.1 * super().slope(x, x_0, level, step)


def test_one_that_does_not_converge_still_fails():
    assert not conforms("solver", Drifting(), only="exact_where_x_0_is_known").ok


@attrs.frozen
class OfOneSize:
    """Takes clips of 3x5 alone."""

    schedule = FlowMatching()

    def __call__(self, x, t, cond):
        assert x.shape[-2:] == (3, 5)
        return GaussianOracle(self.schedule, 0.3, 0.5)(x, t, cond)


def test_height_and_width_are_declared_apart():
    report = conforms("denoiser", OfOneSize(), heights=3, widths=5, examples=3).raise_for_failures()
    assert report.counts["passed"] >= 11


@pytest.mark.parametrize(("check", "least"), [("covariance_as_declared", 3120), ("as_referenced", 3120)])
def test_covariances_are_of_few_elements(check, least):
    context = {"only": check, "reference": lambda i, j: float(i == j), "examples": 3}
    large = conforms("noise", IndependentNoise(), heights=30, widths=52, **context)[check]
    assert (large.status, large.detail) == (
        "skipped", f"noise of the sizes declared has {least} elements at least: covariances are of 512 at most"
    )  # fmt: skip
    assert conforms("noise", IndependentNoise(), sides=8, **context)[check].status == "passed"


@attrs.frozen
class Jittery:
    """Sums in another order each time, as kernels without an order do."""

    schedule = FlowMatching()
    calls: list = attrs.field(factory=list)

    def __call__(self, x, t, cond):
        self.calls.append(1)
        return GaussianOracle(self.schedule, 0.3, 0.5)(x, t, cond) + 1e-5 * (len(self.calls) % 7)


def test_a_declared_tolerance_reaches_every_check():
    conforms("denoiser", Jittery(), tolerance=1e-3, examples=3).raise_for_failures()
    assert not conforms("denoiser", Jittery(), examples=3).ok


class Conditioned:
    """Adds the text of each clip, and the move of each frame."""

    schedule = FlowMatching()

    def __call__(self, x, t, cond):
        own = cond["text"].view(-1, 1, 1, 1, 1)
        if "move" in cond:
            own = own + cond["move"].tensor[:, None, :, None, None]
        return GaussianOracle(self.schedule, 0.3, 0.5)(x, t, cond) + own.to(x)


class OfTheFirstTexts(Conditioned):
    """Wrong: clips behind the fourth get the first text."""

    def __call__(self, x, t, cond):
        text = torch.cat([cond["text"][:4], cond["text"][:1].expand_as(cond["text"][4:])])
        return super().__call__(x, t, {**cond, "text": text})


TEXTS, MOVES = torch.linspace(0.1, 0.9, 4).double(), torch.linspace(-0.5, 0.5, 4 * 6).view(4, 6).double()


@pytest.mark.parametrize(
    "cond",
    [
        lambda b, f: {"text": TEXTS[:b]},
        lambda b, f: {"text": torch.stack([TEXTS[k] for k in range(b)])},
        lambda b, f: {"text": TEXTS[:b], "move": PerFrame(MOVES[:b, :f])},
    ],
    ids=["cut", "raises", "per-frame"],
)
def test_a_condition_may_be_made_for_few_clips_of_few_frames(cond):
    only = "rows_in_any_order"
    conforms("denoiser", Conditioned(), cond=cond, only=only).raise_for_failures()
    report = conforms("denoiser", OfTheFirstTexts(), cond=cond, only=only)
    assert report[only].status == "failed", report
    assert "rows [" in report[only].detail


def test_a_condition_that_is_broken_at_any_size_is_reported():
    report = conforms(
        "denoiser", Conditioned(), cond=lambda b, f: {"text": TEXTS[9]}, only="rows_in_any_order"
    )
    assert report["rows_in_any_order"].detail.startswith("IndexError")


class Plain:
    """A sampler that is no attrs class."""

    def __init__(self, experts, selector, solver, grid, postprocessors=()):
        self.inner = Sampler(experts, selector, solver, grid, postprocessors=postprocessors)
        self.experts, self.selector, self.solver, self.grid = experts, selector, solver, grid
        self.postprocessors = self.inner.postprocessors
        self.plan, self.trace = self.inner.plan, self.inner.trace

    def __call__(self, *arguments, **options):
        return self.inner(*arguments, **options)


def test_a_sampler_may_be_any_class():
    experts = {"a": Expert(GaussianOracle(TabulatedSchedule.scaled_linear(), 0.3, 0.5))}
    report = conforms("sampler", Plain(experts, Always("a"), DDPM(), Leading(4)), frames=2, examples=1)
    report.raise_for_failures()
    assert {each.check for each in report.outcomes if each.status == "skipped"} == {"as_referenced"}


def test_the_first_line_reports_what_is_not_declared():
    report = conforms("denoiser", GaussianOracle(FlowMatching()), examples=2)
    assert str(report).splitlines()[0].endswith("(not declared: cond, data, ranges, reference)")
    assert report.ok


def test_a_named_check_that_is_skipped_is_not_ok():
    report = conforms("denoiser", GaussianOracle(FlowMatching()), only="predicts_x_0")
    assert not report.ok
    with pytest.raises(AssertionError, match="predicts_x_0: skipped: no data to measure predictions with"):
        report.raise_for_failures()
    data = torch.randn(4, 2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    assert conforms("denoiser", GaussianOracle(FlowMatching()), only="predicts_x_0", data=data).ok


class NaturalHalf:
    """x_0 of one formula in the dtype of x, coefficients too, as networks in bfloat16 compute."""

    schedule = TabulatedSchedule.scaled_linear()

    def __call__(self, x, t, cond):
        alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in self.schedule(t.double()))
        gain = 0.25 * alpha / (0.25 * alpha**2 + sigma**2)
        kept, added = (each.to(x.dtype) for each in (gain, (1.0 - alpha * gain) * 0.3))
        return kept * x + added


class LevelsInHalf(NaturalHalf):
    """Wrong: the time is cast along with x."""

    def __call__(self, x, t, cond):
        return super().__call__(x, t.to(x.dtype), cond)


def test_what_computes_in_bfloat16_passes_within_its_roundings():
    only = "half_precision_agrees"
    conforms("denoiser", NaturalHalf(), only=only).raise_for_failures()
    for scale in (2.0, 7.5):
        conforms("wrapper", partial(Guide, scale=scale), only=only).raise_for_failures()
    conforms("wrapper", Windows, only=only, frames=(1, 4, 7)).raise_for_failures()
    for solver in (FirstOrder(), Ancestral(), TwoSteps(), TwoStages()):
        conforms("solver", solver, only=only).raise_for_failures()


def test_options_whose_ranges_are_not_declared_are_not_guessed():
    @attrs.frozen
    class Third:
        """Right: its ``shift`` is no factor, and 0 to 1 alone."""

        shift: float = 0.5

        def __call__(self, t):
            assert self.shift <= 1.0
            return 1.0 - t, t

        def time_at(self, angle):
            return FlowMatching().time_at(angle)

    found = conforms("schedule", Third())["holds_for_other_options"]
    assert (found.status, found.needs) == ("skipped", "ranges")
