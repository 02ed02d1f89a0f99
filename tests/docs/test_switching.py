"""What a multistep solver's past is worth where the experts change: the claims of docs/solvers.md, measured again in small."""

from __future__ import annotations

import json

import pytest

from benchmarks import switching
from benchmarks.orders import PAGE, slope
from benchmarks.switching import EXPERTS, MODES, PLANS, SCHEDULES, SOLVERS, blocks, oracle_errors
from jvid.solvers import DPMPP2M, DPMPP2MSDE, PNDM, UniPC

FEW = (40, 80)


def errors(plan, solver, mode, counts=FEW, experts="two Gaussians", schedule="flow"):
    return oracle_errors(experts, schedule, plan, solver, mode, counts)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("experts", EXPERTS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_second_order_is_kept_across_a_boundary_unless_the_switch_is_ignored(solver, experts, schedule):
    found = {mode: errors("boundary", solver, mode, FEW, experts, schedule) for mode in MODES}
    assert slope(found["per-expert"]) > 1.75
    # The second expert has no past of its own there.
    assert found["per-expert"] == found["restart"]
    assert slope(found["ignore"]) < 1.25
    assert found["ignore"][-1] > 10 * found["per-expert"][-1]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_past_of_each_expert_errs_least_where_experts_take_turns(solver, schedule):
    drawn = {mode: errors("drawn, 20 blocks", solver, mode, (20,), schedule=schedule)[0] for mode in MODES}
    assert drawn["per-expert"] < drawn["restart"]
    assert drawn["per-expert"] < drawn["ignore"]
    turns = {mode: errors("every step", solver, mode, (40,), schedule=schedule)[0] for mode in MODES}
    assert turns["per-expert"] < turns["restart"] / 3


@pytest.mark.parametrize("solver", [DPMPP2M, DPMPP2MSDE, PNDM, UniPC])
def test_the_default_is_what_the_page_has(solver):
    assert "`per-expert` (default)" in PAGE.read_text(encoding="utf-8")
    assert solver().history == "per-expert"


def test_the_page_has_a_row_for_each_plan_and_solver():
    text = PAGE.read_text(encoding="utf-8")
    part = text.split("<!-- switching oracles -->")[1].split("<!-- end of switching oracles -->")[0]
    rows = [
        tuple(cell.strip(" `") for cell in line.strip("|").split("|")[:2])
        for line in part.splitlines()[4:]
        if line
    ]
    assert rows == [(plan, solver) for plan in PLANS for solver in SOLVERS]
    head = part.strip().splitlines()[0]
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["who predicts", "solver", *MODES]


def test_the_tables_have_the_form_of_the_page(monkeypatch):
    monkeypatch.setattr(switching, "PLANS", {"boundary": PLANS["boundary"]})
    monkeypatch.setattr(switching, "SOLVERS", {"dpmpp-2m": SOLVERS["dpmpp-2m"]})
    head, line, row = switching.oracle_table((10, 20)).splitlines()
    assert head in PAGE.read_text(encoding="utf-8")
    assert line.count("---") == row.count("|") - 1 == 5


def test_blocks_are_equal_in_time():
    choose = blocks("abc", 0.9, 0.3)
    assert "".join(choose(0.9 - 0.6 * (i + 0.5) / 12) for i in range(12)) == "aaaabbbbcccc"
    assert choose(0.3) == "c"


def test_the_networks_table_gathers_clips(tmp_path):
    path = tmp_path / "switching.json"
    path.write_text(
        json.dumps(
            {f"boundary | unipc | 10 | {mode} | p, seed {s}": 0.1 * 4**s for mode in MODES for s in (0, 1)}
            | {"boundary | pndm | 10 | restart | p, seed 0": 1.0}
        )
    )
    lines = switching.network_table(path).splitlines()
    cell = "0.2000 (0.1000, 0.4000)"
    assert lines[2:] == [f"| boundary | `unipc` | 10 | {cell} | {cell} | {cell} |"]


def test_the_networks_plans_switch_on_every_grid():
    for choose, counts in switching.network_plans().values():
        taken = set()
        for count in counts:
            length = (switching.TOP - switching.BOTTOM) / count
            names = [choose(switching.TOP - (i + 0.5) * length) for i in range(count)]
            taken.add("".join(name[0] * (120 // count) for name in names))
        assert len(taken) == 1
        assert len(set(taken.pop())) == 2
