"""Fewer steps: one path for all stochastic runs, plans that mean the same at any number of steps, the page's section."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fewer_steps as fewer
from benchmarks import fewer_steps_page as page
from benchmarks import fewer_steps_rows as rows
from benchmarks.brownian import BrownianPath
from benchmarks.fewer_steps_rows import BASE, Row
from benchmarks.orders import PAGE, SCHEDULES, draws, run, steps_of
from jvid.core.levels import level_at
from jvid.core.planning import levels_of
from jvid.grids import ByAngle, Leading, Trailing
from jvid.plugins.registry import load
from jvid.schedules import TabulatedSchedule
from jvid.selectors import PiecewiseAffine
from jvid.solvers import DDPM, DPMPP2MSDE
from jvid.testing import GaussianOracle

SCHEDULE = TabulatedSchedule.scaled_linear()
SHAPE = (2, 1, 4, 4)


class Constant:
    """A network that knows the clip: x_0 = 0.7 everywhere."""

    schedule = SCHEDULE

    def __call__(self, x, t, cond):
        return torch.full_like(x, 0.7)


def walk(path, solver, grid, denoiser, last=None):
    """x before the clean end (or up to the level ``last``), on the path."""
    levels = [level for level in levels_of(grid, SCHEDULE) if level.t >= (last or 1e-9)]
    steps = steps_of(SCHEDULE, levels)
    first = path.initial(levels[0]) * levels[0].sigma + 0.7 * levels[0].alpha
    return levels[-1], run(solver, {"a": denoiser}, steps, first, lambda i: path.increment(steps[i]))


@settings(deadline=None, max_examples=15)
@given(
    few=st.sampled_from([2, 4, 5, 10, 25, 40]),
    many=st.sampled_from([200, 200, 1000]),
    seed=st.integers(0, 2**40),
)
def test_while_x_0_stands_still_any_number_of_steps_comes_to_the_same(few, many, seed):
    path = BrownianPath(SCHEDULE, [seed], SHAPE)
    for solver in (DDPM(), DPMPP2MSDE()):
        end, x = walk(path, solver, Trailing(few), Constant())
        _, fine = walk(path, solver, Trailing(many), Constant(), end.t)
        torch.testing.assert_close(x, fine, atol=2e-4, rtol=0)
        # It is the forward process at that level, with the path's own noise.
        torch.testing.assert_close(x, 0.7 * end.alpha + end.sigma * path.initial(end), atol=2e-4, rtol=0)


def test_the_noise_of_steps_is_standard_and_independent():
    path = BrownianPath(SCHEDULE, range(40), (4, 4, 8, 8))
    levels = [level for level in levels_of(Leading(10), SCHEDULE) if level.t > 0]
    steps = steps_of(SCHEDULE, levels)
    draws = torch.stack([path.initial(levels[0]), *map(path.increment, steps)]).flatten(1)
    count = draws.shape[1]
    covariance = draws @ draws.T / count
    # Six sigma: a variance estimate deviates by sqrt(2 / count), a covariance by sqrt(1 / count).
    assert (covariance - torch.eye(len(draws))).abs().max() < 6 * (2 / count) ** 0.5
    assert draws.mean(1).abs().max() < 6 * count**-0.5


def test_a_path_leads_ddpm_to_its_own_limit():
    """On a Gaussian, errors along one path halve with the step; on two paths they do not fall."""
    oracle = GaussianOracle(SCHEDULE, 0.4, 0.6)
    path, other = (BrownianPath(SCHEDULE, [seed], (4, 1, 8, 8)) for seed in (0, 1))
    _, fine = walk(path, DDPM(), Trailing(1000), oracle, 0.1)
    errors = [
        float((walk(path, DDPM(), Trailing(n), oracle, 0.1)[1] - fine).square().mean().sqrt())
        for n in (20, 40, 80)
    ]
    assert errors[0] > 1.7 * errors[1] > 1.7**2 * errors[2]
    _, apart = walk(other, DDPM(), Trailing(80), oracle, 0.1)
    assert (apart - fine).square().mean().sqrt() > 10 * errors[2]


def test_a_level_off_the_table_is_refused():
    path = BrownianPath(SCHEDULE, [0], SHAPE)
    with pytest.raises(ValueError, match="an entry of a table of 1000"):
        path.initial(levels_of(ByAngle(7), SCHEDULE)[2])
    with pytest.raises(ValueError, match="above 0"):
        path.initial(level_at(SCHEDULE, 0.0))


# The cases and the page


@pytest.fixture(scope="module")
def cases():
    return rows.cases()


def test_the_mixture_gives_the_image_model_the_strategys_share_at_any_number_of_steps(cases):
    mixture = cases[0]
    # The curve by hand: the image model has 0.3 x 0.25 + 0.1 x 0.6 = 0.135 of progress, an eighth nearly.
    assert rows.held_share(PiecewiseAffine(0.6, 0.9, 0.5, 0.3)) == pytest.approx(0.865, abs=1e-6)
    assert mixture.selector.at == (0.875,)
    assert mixture.gamma == {"image": 0.02}
    for row in mixture.rows:
        plan = rows.plan_of(mixture, row, SCHEDULE)
        assert all((step.expert == "image") == (step.start.t <= 0.125 + 1e-12) for step in plan.steps)
        assert sum(step.switched for step in plan.steps) == 1
    for row in (*rows.FINE.values(), Row("unipc", "trailing", 16), Row("unipc", "trailing", 24)):
        switch = next(step for step in rows.plan_of(mixture, row, SCHEDULE).steps if step.switched)
        assert switch.start.t == pytest.approx(0.125, abs=1e-9)


def test_every_case_has_its_base_and_stochastic_rows_are_on_the_table(cases):
    for case in cases:
        assert BASE in case.rows
        assert len(set(case.rows)) == len(case.rows)
        assert {row.grid for row in case.rows if row.stochastic} <= {"leading", "trailing"}
    solvers = {"ddpm", "ddim", "dpmpp-2m", "dpmpp-2m-sde", "heun", "unipc", "pndm", "euler"}
    assert {row.solver for row in cases[0].rows} == solvers
    found = {name for name in solvers if draws(load("solver", name), SCHEDULES["flow"])}
    assert found == set(rows.STOCHASTIC)


def test_figures_measure_error_detail_and_motion():
    fine = torch.randn(1, 4, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    assert fewer.figures_of(fine, fine) == {"error": 0.0, "detail": 1.0, "motion": 1.0}
    # Half the contrast; the mean moves only the error.
    found = fewer.figures_of(0.5 * fine + 3.0, fine)
    assert found["detail"] == pytest.approx(0.5)
    assert found["motion"] == pytest.approx(0.5)
    assert found["error"] > 2.9
    still = fine.mean(2, keepdim=True).expand_as(fine)
    assert fewer.figures_of(still, fine)["motion"] == 0.0


@pytest.fixture
def known(cases):
    """Figures as if the error were 1 / calls^2 for second order, 10 / calls for others; base 0.2."""
    found: dict[str, object] = {"seconds": {"video": 2.0, "image": 1.0}}
    for case in cases[:2]:
        for row in case.rows:
            error = 5 / row.steps**2 if row.solver == "unipc" else 10 / row.steps
            shape = 1.5 if row.solver == "unipc" and row.steps < 16 else 1.1
            for seed, factor in enumerate((1.0, 4.0)):
                found[f"{case.name} | {row} | p, seed {seed}"] = {
                    "error": error * factor, "detail": shape, "motion": 1.0,
                }  # fmt: skip
    return found


def test_the_least_cost_counts_calls_by_seconds_of_each_expert(cases, known):
    points = page.points_of(known, cases[0], SCHEDULE)
    base = next(point for point in points if point.row == BASE)
    assert base.error == pytest.approx(0.4)  # the geometric mean of 0.2 and 0.8
    assert base.calls["video"] + base.calls["image"] == 50
    assert base.seconds == 2.0 * base.calls["video"] + base.calls["image"]
    assert base.cost == 1.0
    best = page.cheapest(points, "unipc")
    assert best.row == Row("unipc", "by-angle", 8)
    assert best.cost == pytest.approx((2 * best.calls["video"] + best.calls["image"]) / base.seconds)
    assert page.cheapest(points, "unipc", "error and shape").row.steps == 16
    assert page.cheapest(points, "ddim") is None
    heun = next(point for point in points if point.row == Row("heun", "by-angle", 8))
    assert sum(heun.calls.values()) == 15  # two a step, one in the last
    assert page.cheapest(points, "heun") is None


def test_the_section_and_the_figure_hold_what_was_measured(cases, known, tmp_path):
    text = page.section(known, cases, SCHEDULE)
    assert "Clips: mixture 2, image alone 2, video alone 0." in text
    assert "| mixture | `unipc` | by-angle, 8 steps | 0.15 aim met | by-angle, 16 steps |" in text
    assert "| mixture | `heun` | not reached |  MISSED | not reached |  MISSED |" in text
    assert text.count("\n| mixture | `unipc` | by-angle | ") == 4
    assert "video alone |" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
    page.draw(known, cases, SCHEDULE, tmp_path / "new" / "fewer-steps.png")
    assert (tmp_path / "new" / "fewer-steps.png").stat().st_size < 150_000


def test_an_unmeasured_base_leaves_a_case_out(cases, known):
    known = {key: value for key, value in known.items() if str(BASE) not in key}
    assert page.points_of(known, cases[0], SCHEDULE) == []


def test_the_documents_section_is_the_commands(cases):
    text = (PAGE.parent / "performance.md").read_text(encoding="utf-8")
    part = text.split("<!-- fewer steps -->")[1].split("<!-- end of fewer steps -->")[0]
    assert (PAGE.parent / page.FIGURE).is_file()
    rows = {line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ") and "`" in line}
    assert rows
    assert rows <= {case.name for case in cases}
    assert page.curves({"seconds": {}}, [], None).splitlines()[0] in part
