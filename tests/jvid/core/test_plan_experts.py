"""Plans of any experts on any grid: counted as they run, kept in files, printed and drawn."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from jvid import names, paper
from jvid.core.plan import Plan
from jvid.core.planning import draw_plan, levels_of, on_schedule
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.errors import InputError
from jvid.grids import Explicit, Karras, Leading, Zigzag
from jvid.noise import IndependentNoise, ScaledNoise
from jvid.plugins.registry import load
from jvid.selectors import Always, Blend, Boundary, Cycle, PiecewiseAffine, Random, Table
from jvid.solvers import DDPM
from jvid.strategy.plan_file import load_plan, save_plan
from jvid.testing.oracles import GaussianOracle
from jvid.testing.strategies import grids, weights
from jvid.views.plan_plot import plan_figure
from jvid.views.plan_table import plan_table

SCHEDULE = paper.SCHEDULE()
NAMES = ("a", "b", "c")
MIXED = [{"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 1.0}, {"b": 0.9, "c": 0.1}, {"b": 0.1, "c": 0.9}, {"c": 1.0}]
SELECTORS: dict[str, Callable[[int], Any]] = {
    "piecewise-affine": lambda n: PiecewiseAffine(0.2, 0.7, 0.3, 0.1, video="a", image="b"),
    "always": lambda n: Always("b"),
    "random": lambda n: Random("a+b+c", [0.5, 0.3, 0.2]),
    "random-even": lambda n: Random("a+b"),
    "boundary": lambda n: Boundary("a+b+c", [0.3, 0.6]),
    "cycle": lambda n: Cycle("a+b+c", [1, 2, 1]),
    "table": lambda n: Table([MIXED[i * len(MIXED) // n] for i in range(n)]),
    "blend": lambda n: Blend("a+b+c", [(0, (1, 0, 0)), (0.5, (0.3, 0.7, 0)), (1, (0, 0.2, 0.8))]),
}
GRIDS = {
    "leading": Leading(20),
    "karras": Karras(12),
    "zigzag": Zigzag(20, back=3, repeats=2),
    "still": Explicit([0.9, 0.5, 0.5, 0.0]),
    "one": Leading(1),
}
EVERY = [(selector, grid) for selector in SELECTORS for grid in GRIDS]


def plan_of(selector: str, grid: str, seed: int = 0) -> Plan:
    levels = levels_of(GRIDS[grid], SCHEDULE)
    return draw_plan(SELECTORS[selector](len(levels) - 1), levels, NAMES, seed, SCHEDULE)


@cache
def figure_of(selector: str, grid: str) -> tuple[Plan, Figure]:
    """A plan and its figure, which no test changes."""
    plan = plan_of(selector, grid)
    return plan, plan_figure(plan)


@pytest.mark.parametrize("name", names("solver"))
@given(
    times=grids(2, 8, falling=False, low=0.01).map(lambda times: (*times, 0.0)),
    data=st.data(),
    blended=st.booleans(),
)
def test_calls_are_those_of_a_run(name: str, times: tuple[float, ...], data: Any, blended: bool) -> None:
    rows = weights(NAMES) if blended else st.sampled_from(NAMES)
    selector = Table([data.draw(rows) for _ in times[1:]])
    experts = {name: Expert(GaussianOracle(SCHEDULE, 0.0, 1.0)) for name in NAMES}
    sampler = Sampler(experts, selector, load("solver", name), times)
    *_, last = sampler.trace((1, 1, 1, 1), seeds=[0], dtype=torch.float64)
    assert sampler.plan(0).calls(sampler.solver) == last.calls
    assert sampler.plan(0).calls().keys() == last.calls.keys()


def test_a_solver_of_two_calls_costs_twice_but_at_the_end() -> None:
    plan = plan_of("boundary", "leading")
    assert plan.calls() == plan.counts == {"a": 6, "b": 6, "c": 8}
    assert plan.calls(load("solver", "heun")) == {"a": 12, "b": 12, "c": 15}
    seconds = {"a": 1.0, "b": 0.5, "c": 0.25}
    assert plan.price(seconds) == 11.0
    assert plan.price(seconds, load("solver", "heun")) == 21.75
    with pytest.raises(InputError, match="seconds per call of 'c': got None"):
        plan.price({"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(("selector", "grid"), EVERY)
def test_a_file_gives_the_plan_back(selector: str, grid: str, tmp_path: Path) -> None:
    plan = plan_of(selector, grid, 3)
    path = save_plan(plan, tmp_path / "plan.json")
    back = load_plan(path)
    assert back == plan
    assert back.to_dict() == plan.to_dict()
    assert on_schedule(back, SCHEDULE) == plan
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("selector", "grid"), EVERY)
def test_shares_are_those_of_the_selector(selector: str, grid: str) -> None:
    plan = plan_of(selector, grid)
    chooses = SELECTORS[selector](len(plan))
    assert plan.shares == tuple(dict(chooses.shares(step)) for step in plan.steps)
    for shares, step in zip(plan.shares, plan.steps, strict=True):
        assert sum(shares.values()) == pytest.approx(1.0)
        assert all(shares[name] > 0.0 for name in step.weights)
    if not selector.startswith(("random", "piecewise")):
        assert not plan.is_random


def changed(*path: Any, to: Any) -> dict[str, Any]:
    values: Any = copy.deepcopy(plan_of("boundary", "leading").to_dict())
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return values


NO_PLAN = {
    "a list": ([], "expected a plan"),
    "text": ("plan", "expected a plan"),
    "no steps": (changed("steps", to=[]), "without steps"),
    "seed": (changed("seed", to=-1), "not a plan"),
    "level": (changed("steps", 3, "start", "t", to="0.5"), "'0.5' is no finite number"),
    "NaN": (changed("steps", 3, "end", "t", to=float("nan")), "nan is no finite number"),
    "index": (changed("steps", 3, "index", to=4), "step 4 of 20 has index 4"),
    "count": (changed("steps", 3, "count", to=21), "step 4 of 20 has index 3 and count 21"),
    "gap": (changed("steps", 3, "start", "t", to=0.5), "step 4 of 20 starts at t 0.5; expected 0.801"),
    "no weights": (changed("steps", 3, "weights", to={}), "step 4 of 20 has weights {}"),
    "half": (changed("steps", 3, "weights", to={"a": 0.5}), "that sum to 1"),
    "nought": (changed("steps", 3, "weights", to={"a": 1.0, "b": 0.0}), "some above 0"),
    "unknown": (changed("steps", 3, "weights", to={"z": 1.0}), r"plan names \['z'\]"),
    "unmarked": (changed("steps", 3, "weights", to={"c": 1.0}), "has switched false; expected true"),
    "marked": (changed("steps", 0, "switched", to=True), "has switched true; expected false"),
    "no mark": (changed("steps", 0, "switched", to=0), "switched is 0"),
    "shares": (changed("shares", to=[{"a": 1.0}]), "shares of 1 steps in a plan of 20"),
    "share of whom": (changed("shares", 0, to={"z": 1.0}), "shares of 'z'"),
}


@pytest.mark.parametrize("case", NO_PLAN)
def test_a_file_that_holds_no_plan_is_one_line(case: str, tmp_path: Path) -> None:
    values, words = NO_PLAN[case]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=words) as stated:
        load_plan(path)
    assert str(path) in str(stated.value)
    assert "\n" not in str(stated.value)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file '.*none\.json': expected a plan"):
        load_plan(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot read"):
        load_plan(tmp_path)
    for content in (b"{", b"\xff\xfe\x00", b""):
        (tmp_path / "broken.json").write_bytes(content)
        with pytest.raises(InputError, match="is not JSON"):
            load_plan(tmp_path / "broken.json")
    with pytest.raises(InputError, match=r"expected \.json"):
        save_plan(plan_of("always", "leading"), tmp_path / "plan.txt")


@pytest.mark.parametrize(("selector", "grid"), EVERY)
def test_the_table_shows_every_step_and_who_predicts(selector: str, grid: str) -> None:
    from rich.console import Console

    plan = plan_of(selector, grid)
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(plan_table(plan))
    head, *rows = console.export_text().split("\n\n")[0].splitlines()
    assert len(rows) == 1 + sum(step.switched for step in plan.steps)
    assert ("P(" in head) is plan.is_random
    shown = 0
    for row in rows:
        span, *rest = row.split()
        first, _, last = span.partition("-")
        assert int(first) == shown + 1
        shown = int(last or first)
        for step in plan.steps[int(first) - 1 : shown]:
            assert set(rest) & set(NAMES) == set(step.weights)
    assert shown == len(plan)


def test_spans_show_whether_values_go_one_way() -> None:
    from jvid.views.plan_table import _span

    assert _span([0.9, 0.5, 0.5], ".1f") == "0.9-0.5"
    assert _span([0.9, 0.5, 0.7], ".1f") == "0.9~0.5"
    assert _span([0.1, 0.9, 0.1], ".1f") == "0.1~0.9"
    assert _span([0.5, 0.5], ".1f") == "0.5"


@pytest.mark.parametrize(("selector", "grid"), EVERY)
def test_ticks_of_the_plot_are_the_weights(selector: str, grid: str) -> None:
    plan, figure = figure_of(selector, grid)
    curve, ticks = figure.axes
    found = {
        name: [bar.get_height() for bar in bars] for name, bars in zip(NAMES, ticks.containers, strict=True)
    }
    for name in NAMES:  # a bar is kept by its two ends
        assert found[name] == pytest.approx([step.weights.get(name, 0.0) for step in plan.steps], abs=1e-12)
    centres = [bar.get_x() + bar.get_width() / 2 for bar in ticks.containers[0]]
    by_index = grid in ("zigzag", "still")
    expected = [step.index + 1 if by_index else step.progress for step in plan.steps]
    assert centres == pytest.approx(expected)
    edges = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ticks.containers[0]]
    assert all(left[1] <= right[0] + 1e-9 for left, right in pairwise(edges))
    assert ("progress" in " ".join(str(line.get_label()) for line in curve.lines)) is by_index


@pytest.mark.parametrize(
    ("selector", "grid"), [(s, g) for s, g in EVERY if s != "piecewise-affine" and g != "one"]
)
def test_lines_of_the_plot_are_the_shares(selector: str, grid: str) -> None:
    from matplotlib.colors import to_hex

    plan, figure = figure_of(selector, grid)
    legend = {text.get_text().split(",")[0]: to_hex(handle.get_color()) for text, handle in
              zip(figure.legends[0].texts, figure.legends[0].legend_handles, strict=True)}  # fmt: skip
    assert set(NAMES) <= set(legend)
    for name in NAMES:
        expected = [shares.get(name, 0.0) for shares in plan.shares or ()]
        drawn = [line.get_ydata() for line in figure.axes[0].lines
                 if to_hex(line.get_color()) == legend[name] and len(line.get_ydata())]  # fmt: skip
        assert len(drawn) == any(expected)
        for line in drawn:
            # Stairs say nothing where they would lie on the axis.
            stated = [0.0 if height != height else height for height in line]
            assert stated[: len(plan)] == expected


@pytest.mark.parametrize("experts", [
    ("video", "image"),
    tuple(f"expert-of-kind-{i}" for i in range(12)),
    ("a-very-long-name-of-an-expert-for-the-noise", "another-rather-long-name-of-one", "refiner-of-small-details"),
])  # fmt: skip
def test_nothing_is_cut_off_the_plot(experts: tuple[str, ...]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    levels = levels_of(Zigzag(30, back=2), SCHEDULE)
    figure = plan_figure(draw_plan(Random(experts), levels, experts, 0, SCHEDULE))
    FigureCanvasAgg(figure).draw()
    boxes = [figure.legends[0].get_window_extent(), figure.axes[1].get_tightbbox()]
    for box in [*boxes, figure._suptitle.get_window_extent()]:
        assert box is not None
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert not boxes[0].overlaps(boxes[1])
    colours = {handle.get_color() for handle in figure.legends[0].legend_handles}
    assert len(colours) == len(experts) + 1
    assert figure.axes[0].get_window_extent().height > 0.3 * figure.bbox.height


def test_a_blend_does_not_depend_on_the_order_of_its_weights() -> None:
    """Selectors that are equal give equal latents: sums and ties follow the experts' order, not the mapping's."""
    experts = {
        name: Expert(GaussianOracle(SCHEDULE, mean, 0.5), ScaledNoise(IndependentNoise(), gamma))
        for name, mean, gamma in (("a", 0.1, 0.1), ("b", 0.7, 2.0), ("c", -0.3, 0.5))
    }
    one, other = (Table([dict.fromkeys(names, 1 / 3)] * 4) for names in (("a", "b", "c"), ("c", "b", "a")))
    assert one == other
    clips = [
        Sampler(experts, each, DDPM(), Leading(4))((3, 2, 4, 4), seeds=[0], cond={}) for each in (one, other)
    ]
    assert torch.equal(*clips)


def test_a_plan_names_each_expert_once() -> None:
    plan = draw_plan(Always("a"), levels_of(Leading(2), SCHEDULE), ("a",), 0)
    with pytest.raises(InputError, match=r"plan of experts \['a', 'a'\]: expected each name once"):
        Plan.from_dict({**plan.to_dict(), "experts": ["a", "a"]})
