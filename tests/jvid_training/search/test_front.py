"""The front against its definition and against Optuna's; the cost against a count by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import attrs
import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid import paper
from jvid.core.protocols import Condition
from jvid.ensemble import Composition
from jvid.errors import InputError
from jvid.strategy.guidance import Guidance
from jvid.strategy.shorthand import with_guidance
from jvid.strategy.strategy import Strategy
from jvid_training.search.cost import Prices, measure, prices_of
from jvid_training.search.front import clearly_beaten, front
from tests.search_tools import SECONDS
from tests.toy import SHAPE, Conditional, encode, toy_ensemble

POINTS = st.integers(1, 3).flatmap(
    lambda axes: st.lists(st.lists(st.integers(0, 4).map(float), min_size=axes, max_size=axes), min_size=1, max_size=12)
)  # fmt: skip
ROOT = Path(__file__).parents[3]
PRICES = Prices(SECONDS, toy_ensemble())


@given(POINTS)
def test_the_front_is_what_no_other_beats(points: list[list[float]]) -> None:
    def beats(p: list[float], q: list[float]) -> bool:
        return all(a <= b for a, b in zip(p, q, strict=True)) and p != q

    expected = [not any(beats(other, point) for other in points) for point in points]
    assert front(points) == expected


def test_the_front_is_optunas() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    values = np.random.Generator(np.random.Philox(3)).random((40, 3)).round(1)
    study = optuna.create_study(directions=["minimize"] * 3)
    for row in values:
        study.tell(study.ask(), row.tolist())
    flags = front(values.tolist())
    assert [i for i, flag in enumerate(flags) if flag] == sorted(trial.number for trial in study.best_trials)


def test_a_point_without_a_figure_is_on_no_front_and_beats_nobody() -> None:
    assert front([[float("nan"), 0.0], [1.0, 1.0]]) == [False, True]
    assert front([]) == []


@given(POINTS, st.just(0.0) | st.floats(1e-6, 1.0))
def test_clearly_beaten_points_are_beaten(points: list[list[float]], margin: float) -> None:
    values = np.asarray(points) + 1.0
    point, others = values[0].tolist(), values[1:].tolist()
    margins = [margin] * len(point)
    expected = any(all(b * (1 + margin) <= a for a, b in zip(point, other, strict=True)) for other in others)
    assert clearly_beaten(point, others, margins) == expected
    if margin > 0 and expected:
        assert front(values.tolist())[0] is False
    assert not clearly_beaten([float("nan")] * len(point), others, margins)


def test_cost_by_hand() -> None:
    video = attrs.evolve(paper.strategy(64), selector="always:name=video")
    image = attrs.evolve(video, selector="always:name=image")
    assert PRICES.cost(video) == 1.0
    assert PRICES.cost(image) == pytest.approx(0.25)
    assert PRICES.cost(attrs.evolve(video, steps=10)) == pytest.approx(0.2)
    assert PRICES.cost(with_guidance(video, 1.0)) == pytest.approx(0.5)
    assert PRICES.cost(with_guidance(video, 0.0)) == pytest.approx(0.5)
    # Heun evaluates twice but for its last step: 2 x 10 - 1.
    assert PRICES.price(attrs.evolve(video, steps=10, solver="heun")) == pytest.approx(19 * 2.0)
    # Leading starts of 10 steps: .901, .801, ..., .001; .2 to .8 holds 6 of them.
    interval = with_guidance(attrs.evolve(video, steps=10), {"video": Guidance(2.0, (0.2, 0.8))})
    assert PRICES.price(interval) == pytest.approx(6 * 2.0 + 4 * 1.0)
    # Blended steps evaluate both; a boundary at .5 gives each five of ten.
    halves = "blend:experts=video+image,knots=0:.5:.5"
    assert PRICES.price(attrs.evolve(video, steps=10, selector=halves)) == pytest.approx(10 * 2.5)
    boundary = "boundary:experts=video+image,at=0.5"
    assert PRICES.price(attrs.evolve(video, steps=10, selector=boundary)) == pytest.approx(5 * 2.0 + 5 * 0.5)


def test_the_interval_of_the_recipes_costs_23_halves() -> None:
    """As `jvid plan` counts it (tests/jvid/pipeline/test_cost.py): one price."""
    strategy = Strategy.load(ROOT / "recipes/actions-64/strategies/video-16-sde-interval.json")
    assert PRICES.price(strategy) == pytest.approx(7 * 2.0 + 9 * 1.0)


@pytest.mark.parametrize("solver", ["ddpm", "heun", "pndm", "unipc"])
@pytest.mark.parametrize("interval", [None, (0.3, 0.7)])
def test_calls_are_those_of_a_run(solver: str, interval: tuple[float, float] | None) -> None:
    """A run counts each expert's calls; the guided ones are those with both halves in the batch."""
    seen = {(name, rows): 0 for name in ("video", "image") for rows in (1, 2)}

    @attrs.frozen
    class Watched(Conditional):
        def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
            # Frames are a batch of their own to the image model: 5 a clip.
            name, alone = ("image", 5) if x.shape[2] == 1 else ("video", 1)
            seen[name, len(x) // alone] += 1
            return super().__call__(x, t, cond)

    ensemble = toy_ensemble(wrap=lambda inner: Watched(inner.schedule, inner.std))
    guidance = {name: Guidance(2.0, interval) for name in ("video", "image")}
    strategy = with_guidance(attrs.evolve(paper.strategy(64), steps=9, solver=solver), guidance)
    counted = Prices(SECONDS, ensemble).calls(strategy)
    composition = Composition(strategy, ensemble)
    *_, last = composition.sampler().trace(SHAPE, seeds=[1], cond=encode(["a person waving"]))
    by_name = {
        name: sum(n for call, n in counted.items() if call.expert == name) for name in ("video", "image")
    }
    assert by_name == last.calls
    if interval is None:
        assert {call.rows for call in counted} == {2}
    if interval is None or solver in ("ddpm", "unipc"):
        # The others ask between a step's ends too, where its start decides the price.
        assert {(call.expert, call.rows): n for call, n in counted.items()} == {
            k: n for k, n in seen.items() if n
        }


def test_prices_are_medians_measured_once_and_refused_for_another_ensemble(tmp_path: Path) -> None:
    ticks = itertools.count()
    seconds = measure(toy_ensemble(), rounds=3, clock=lambda: float(next(ticks) ** 2))
    # Eight ticks a round, two a call: (n + 1)^2 - n^2 = 2 n + 1 at n = 8 turn + 2 call; the first round warms up.
    kinds = itertools.product(("video", "image"), ("guided", "unguided"))
    expected = {key: 2.0 * (8 * 2 + 2 * call) + 1 for call, key in enumerate(kinds)}
    assert {
        (name, kind): value for name, kinds in seconds.items() for kind, value in kinds.items()
    } == expected
    path = tmp_path / "prices.json"
    first = prices_of(toy_ensemble(), "me", path)
    before = path.read_text()
    assert prices_of(toy_ensemble(), "me", path) == first
    assert path.read_text() == before
    with pytest.raises(InputError, match="prices of another ensemble"):
        prices_of(toy_ensemble(), "other", path)
    # A file of version 0.1.
    path.write_text(json.dumps({"pair": "me", "seconds": SECONDS}))
    assert prices_of(toy_ensemble(), "me", path).seconds == SECONDS
    path.write_text(json.dumps({"ensemble": "me", "seconds": {"video": {}}}))
    with pytest.raises(InputError, match="is damaged"):
        prices_of(toy_ensemble(), "me", path)
