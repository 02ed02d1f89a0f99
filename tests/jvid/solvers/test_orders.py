"""Every registered solver's order, measured; the table in docs/solvers.md is that of the solvers as they are."""

from __future__ import annotations

import math
import re

import pytest
import torch

from benchmarks import orders
from benchmarks.orders import F64, SCHEDULES, VARIANTS, flow_of, levels_between, paste
from jvid.core.levels import level_at
from jvid.core.protocols import Level
from jvid.testing import GaussianOracle, TwoModeOracle

PLAIN = [(name, {}) for name in orders.registered()]


def committed():
    """The cells of the page's table, by solver."""
    text = (
        orders.PAGE.read_text(encoding="utf-8").split("<!-- orders -->")[1].split("<!-- end of orders -->")[0]
    )
    head, _, *lines = text.strip().splitlines()
    return head, [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("name", "options"), [*PLAIN, *VARIANTS], ids=str)
def test_the_order_measured_is_at_least_the_order_declared(name, options):
    row = orders.measure(name, options, counts=(60, 120) if "lower_order_final" in options else (80, 160))
    assert len(row.orders) == (2 if row.stochastic else 4)
    assert row.least >= row.declared - 0.25, row
    assert math.isfinite(row.least)


def test_first_order_is_not_taken_for_second():
    row = orders.measure("ddim", {}, counts=(80, 160))
    assert max(row.orders.values()) < 1.25
    assert max(orders.measure("ddpm", {}, counts=(80, 160)).orders.values()) < 1.25


def test_the_last_step_limits_unipc():
    options = {"solver_order": 3, "lower_order_final": True}
    assert max(orders.measure("unipc", options, counts=(60, 120)).orders.values()) < 2.4
    free = orders.measure("unipc", options | {"lower_order_final": False}, counts=(60, 120))
    assert min(free.orders.values()) > 2.6


def test_the_page_holds_every_registered_solver_and_what_it_declares():
    head, rows = committed()
    assert re.findall(r"[^|]+", head)[4].strip() == "Gaussian, flow"
    found = {}
    for name, options in [*PLAIN, *VARIANTS]:
        solver = orders.load("solver", name, **options)
        found[orders.text_of(name, options)] = str(solver.order)
    assert {row[0].strip("`"): row[3] for row in rows} == found
    for row in rows:
        measured = [float(cell) for cell in row[4:] if cell]
        assert len(measured) == (2 if row[1] == "moments" else 4), row
        assert min(measured) >= int(row[3]) - 0.25, row


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_the_flow_of_two_modes_solves_its_equation(schedule):
    oracle = TwoModeOracle(schedule, offset=1.0, std=0.4, mean=0.3)
    start, end = level_at(schedule, 0.6), level_at(schedule, 0.4)
    x = torch.linspace(-3, 3, 13, dtype=F64).view(1, 1, 1, 1, -1)
    there = flow_of(oracle, x, start, end)
    torch.testing.assert_close(flow_of(oracle, there, end, start), x, atol=1e-11, rtol=0)
    # Far apart, two modes are two Gaussians, each with its own flow.
    far = TwoModeOracle(schedule, offset=40.0, std=0.4, mean=0.3)
    near = 40.3 * start.alpha + torch.linspace(-1, 1, 5, dtype=F64).view(1, 1, 1, 1, -1)
    expected = GaussianOracle(schedule, 40.3, 0.4).flow(near, start, end)
    torch.testing.assert_close(flow_of(far, near, start, end), expected, atol=1e-10, rtol=0)
    # Small steps of Heun come to the same.
    steps = orders.steps_of(schedule, levels_between(schedule, 0.6, 0.4, 200))
    ran = orders.run(orders.load("solver", "heun"), {"a": oracle}, steps, x)
    torch.testing.assert_close(ran, there, atol=1e-5, rtol=0)


def test_moments_of_one_step_of_ddpm_are_those_by_hand():
    schedule = SCHEDULES["flow"]
    oracle = GaussianOracle(schedule, 0.4, 0.6)
    from jvid.solvers.kernel import coefficients

    start, end = level_at(schedule, 0.9), level_at(schedule, 0.1)
    c_x, c_0, c_z = coefficients(start, end, 1.0)
    gain = start.alpha * 0.36 / oracle.variance(start)
    variance = (c_x + c_0 * gain) ** 2 * oracle.variance(start) + c_z**2
    error = orders.moments_error(orders.load("solver", "ddpm"), oracle, 1)
    assert error == pytest.approx(abs(variance - oracle.variance(end)), rel=1e-9)
    assert error > 1e-2


def test_a_table_is_pasted_between_its_own_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n<!-- y -->\n<!-- end of y -->\n")
    paste(page, "x", "new")
    assert page.read_text() == "a\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nb\n<!-- y -->\n<!-- end of y -->\n"


def test_steps_show_where_others_predict():
    schedule = SCHEDULES["flow"]
    steps = orders.steps_of(
        schedule, levels_between(schedule, 0.8, 0.0, 4), lambda t: "a" if t > 0.4 else "b"
    )
    assert [(step.expert, step.switched) for step in steps] == [
        ("a", False),
        ("a", False),
        ("b", True),
        ("b", False),
    ]
    assert steps[0].start == Level(0.8, pytest.approx(0.2), pytest.approx(0.8))
