"""Plans: deterministic, counted, priced, printed, plotted, and the same after a trip through JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid import paper
from jvid.core.keyed import keyed_uniform
from jvid.core.plan import Plan
from jvid.core.planning import draw_plan, levels_of
from jvid.core.protocols import Level, Step
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.selectors import Always, PiecewiseAffine
from jvid.views.plan_plot import plan_figure, plot_plan
from jvid.views.plan_table import plan_table

EXPERTS = ("video", "image")
LEVELS = levels_of(Leading(50), paper.SCHEDULE())


class Blend:
    """Half of each, then one alone: a selector that is neither a choice nor an attrs class."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video": 0.25, "image": 0.75} if step.index < 2 else {"image": 1.0, "video": 0.0}


def plan_of(selector: object = paper.TABLE_6[128], seed: int = 0) -> Plan:
    return draw_plan(selector, LEVELS, EXPERTS, seed)


def test_plan_equals_calls_of_the_selector_step_by_step() -> None:
    selector = paper.TABLE_6[64]
    plan = plan_of(selector, 5)
    assert len(plan) == 50
    before: Mapping[str, float] | None = None
    for index, step in enumerate(plan.steps):
        assert (step.index, step.count) == (index, 50)
        assert (step.start, step.end) == (LEVELS[index], LEVELS[index + 1])
        bare = Step(index, 50, step.start, step.end)
        assert step.weights == selector(bare, keyed_uniform(5, ("plan", index)))
        assert step.switched == (before is not None and step.weights != before)
        before = step.weights
    assert plan.shares == tuple(selector.shares(step) for step in plan.steps)
    assert plan.shares[-1]["video"] == selector.probability(plan.steps[-1].progress)
    assert {step.expert for step in plan.steps if step.progress <= selector.t_v} == {"video"}
    assert plan.steps[0].start.t == pytest.approx(0.981)
    assert plan.steps[-1].end == Level(0.0, 1.0, 0.0)


def test_same_seed_same_plan_other_seed_other_plan() -> None:
    assert plan_of(seed=3) == plan_of(seed=3)
    assert len({tuple(s.expert for s in plan_of(seed=seed).steps) for seed in (0, 1, 2**64)}) == 3


def test_share_of_the_video_model_over_many_plans() -> None:
    n = 300
    plans = [plan_of(seed=seed) for seed in range(n)]
    stated = [shares["video"] for shares in plans[0].shares or ()]
    expected = sum(stated)
    variance = sum(p * (1 - p) for p in stated)
    mean = sum(plan.counts["video"] for plan in plans) / n
    assert abs(mean - expected) < 6 * (variance / n) ** 0.5


@given(st.integers(0, 2**70), st.sampled_from([paper.TABLE_6[64], Always("image"), Blend()]))
def test_json_round_trip(seed: int, selector: object) -> None:
    plan = plan_of(selector, seed)
    back = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert back == plan
    assert [type(weight) for weight in back.steps[0].weights.values()] == [float] * len(back.steps[0].weights)


def test_counts_and_price() -> None:
    plan = plan_of(Blend())
    assert plan.counts == {"video": 2, "image": 50}
    assert plan.price({"video": 10.0, "image": 0.5}) == 45.0
    assert plan_of(Always("video")).price({"video": 2.0}) == 100.0
    for seconds in ({"video": 1.0}, {"video": 1.0, "image": -1.0}, {"video": 1.0, "image": float("nan")}):
        with pytest.raises(InputError, match="seconds per call of 'image'"):
            plan.price(seconds)
    assert [step.switched for step in plan.steps[:4]] == [False, False, True, False]
    assert "video" not in plan.steps[2].weights  # a weight of 0 is not evaluated


def test_printed_table() -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(plan_table(plan_of(Blend())))
    text = console.export_text()
    assert "plan seed 0: 50 steps, video 2, image 50, 1 switch" in text
    assert "video 0.25  image 0.75" in text
    console.print(plan_table(plan_of()))
    text = console.export_text()
    assert "P(video)" in text
    assert text.count("0.981") == 1


@pytest.mark.parametrize("width", [60, 100])
def test_printed_plan_shows_every_step_on_one_screen(width: int) -> None:
    from rich.console import Console

    plan = plan_of(paper.TABLE_6[64])
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(plan_table(plan))
    lines = console.export_text().splitlines()
    runs = 1 + sum(step.switched for step in plan.steps)
    assert len(lines) == runs + 4
    drawn = "".join(step.expert[0] for step in plan.steps)
    assert lines[-2].replace(" ", "") == drawn
    assert lines[-1] == plan.summary()
    # The first column alone gives back who predicts when.
    stated = ""
    for line in lines[1 : runs + 1]:
        span, *_, expert = line.split()
        first, _, last = span.partition("-")
        assert len(stated) == int(first) - 1
        stated += expert[0] * (int(last or first) - int(first) + 1)
    assert stated == drawn


@pytest.mark.parametrize(
    "weights", [{}, {"video": 0.5}, {"video": 2.0, "image": -1.0}, {"video": float("nan")}]
)
def test_weights_that_are_not_weights(weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"function gave .* sum to 1"):
        plan_of(lambda step, u: weights)


def test_unknown_names_and_bad_plans() -> None:
    with pytest.raises(InputError, match="Always names 'vidoe': expected experts among 'video', 'image'"):
        plan_of(Always("vidoe"))
    for values in ({}, {"steps": 3}, {**plan_of().to_dict(), "steps": [{"index": 0}]}):
        with pytest.raises(InputError, match="not a plan"):
            Plan.from_dict(values)
    with pytest.raises(InputError, match="without steps"):
        Plan(())


@pytest.mark.parametrize("grid", [[], [0.5], [1.0, -0.1], [float("nan"), 0.0], [1.5, 0.0]])
def test_bad_grids(grid: list[float]) -> None:
    with pytest.raises(InputError, match="grid"):
        levels_of(grid, paper.SCHEDULE())


def test_levels_are_double_precision() -> None:
    table = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bar = (1 - table).cumprod(0)
    assert LEVELS[0].alpha == pytest.approx(bar[980].item() ** 0.5, abs=1e-15)
    assert LEVELS[0].sigma == pytest.approx((1 - bar[980].item()) ** 0.5, abs=1e-15)


SELECTORS = [paper.TABLE_6[64], PiecewiseAffine(0.0, 1.0, 0.5, 0.5), Always("image"), Blend()]


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot(tmp_path: Path, ending: str, selector: object) -> None:
    path = plot_plan(plan_of(selector), tmp_path / f"plan.{ending}")
    assert path.read_bytes()[:5] == {"png": b"\x89PNG\r", "svg": b"<?xml", "pdf": b"%PDF-"}[ending]


def test_plot_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan.jpg' ends in '.jpg': expected .png, .svg, .pdf"):
        plot_plan(plan_of(), tmp_path / "plan.jpg")
    with pytest.raises(InputError, match="there is no folder"):
        plot_plan(plan_of(), tmp_path / "missing" / "plan.png")


def test_a_plot_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    def full(self: Figure, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(InputError, match="No space left on device"):
        plot_plan(plan_of(), tmp_path / "plan.png")
    assert list(tmp_path.iterdir()) == []


AFFINE = [(0.2, 0.7, 0.3, 0.3), (0.2, 0.7, 0.3, 0.95), (0.1, 0.6, 0.2, 0.1), (0.0, 1.0, 0.5, 0.5),
          (0.4, 0.45, 0.3, 1.0), (0.9, 0.95, 0.8, 0.1)]  # fmt: skip


@pytest.mark.parametrize("parameters", AFFINE)
def test_labels_of_the_plot_are_clear_of_the_curve_and_of_each_other(parameters: tuple[float, ...]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    selector = PiecewiseAffine(*parameters)
    figure = plan_figure(plan_of(selector))
    figure.set_dpi(160)
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    labels = {label.get_text(): label.get_window_extent() for label in axes.texts}
    assert len(labels) == (4 if selector.t_e < 1 else 3)
    ends = np.linspace(0.0, 1.0, 2001)
    curve = axes.transData.transform([(u, selector.probability(u)) for u in ends])
    for text, box in labels.items():
        inside = (
            (box.x0 < curve[:, 0]) & (curve[:, 0] < box.x1) & (box.y0 < curve[:, 1]) & (curve[:, 1] < box.y1)
        )
        assert not inside.any(), text
        assert figure.bbox.x0 <= box.x0, text
        assert box.x1 <= figure.bbox.x1, text
        assert not [other for other, its in labels.items() if other != text and box.overlaps(its)], text
