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

from jvid.core.protocols import Condition
from jvid.errors import InputError
from jvid.paper import SCHEDULE
from jvid.plugins.choice import Choice
from jvid.strategy.guidance import Guidance
from jvid.strategy.strategy import Strategy
from jvid_training.search.cost import Prices, measure, prices_of
from jvid_training.search.front import clearly_beaten, front
from tests.search_tools import SECONDS
from tests.toy import Conditional, ToyPair

POINTS = st.integers(1, 3).flatmap(
    lambda axes: st.lists(st.lists(st.integers(0, 4).map(float), min_size=axes, max_size=axes), min_size=1, max_size=12)
)  # fmt: skip
PRICES = Prices(SECONDS, SCHEDULE())


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
    video = attrs.evolve(Strategy.paper(64), selector=Choice("always", {"name": "video"}))
    image = attrs.evolve(video, selector=Choice("always", {"name": "image"}))
    assert PRICES.cost(video) == 1.0
    assert PRICES.cost(image) == pytest.approx(0.25)
    assert PRICES.cost(attrs.evolve(video, steps=10)) == pytest.approx(0.2)
    assert PRICES.cost(attrs.evolve(video, guidance=1.0)) == pytest.approx(0.5)
    assert PRICES.cost(attrs.evolve(video, guidance=0.0)) == pytest.approx(0.5)
    # Heun asks twice but for its last step: 2 x 10 - 1.
    assert PRICES.price(attrs.evolve(video, steps=10, solver=Choice("heun"))) == pytest.approx(19 * 2.0)
    # Leading starts of 10 steps: .901, .801, ..., .001; .2 to .8 holds 6 of them.
    interval = {"video": Guidance(2.0, (0.2, 0.8))}
    assert PRICES.price(attrs.evolve(video, steps=10, guidance=interval)) == pytest.approx(6 * 2.0 + 4 * 1.0)
    # Blended steps ask both; a boundary at .5 gives each five of ten.
    halves = Choice("blend", {"experts": "video+image", "knots": "0:.5:.5"})
    assert PRICES.price(attrs.evolve(video, steps=10, selector=halves)) == pytest.approx(10 * 2.5)
    boundary = Choice("boundary", {"experts": "video+image", "at": 0.5})
    assert PRICES.price(attrs.evolve(video, steps=10, selector=boundary)) == pytest.approx(5 * 2.0 + 5 * 0.5)


@pytest.mark.parametrize("solver", ["ddpm", "heun", "pndm", "unipc"])
@pytest.mark.parametrize("interval", [None, (0.3, 0.7)])
def test_calls_are_those_of_a_run(solver: str, interval: tuple[float, float] | None) -> None:
    """A run counts each expert's calls; the guided ones are those with both halves in the batch."""
    pair = ToyPair()
    guidance = {name: Guidance(2.0, interval) for name in ("video", "image")}
    strategy = attrs.evolve(Strategy.paper(64), steps=9, solver=Choice(solver), guidance=guidance)
    counted = Prices(SECONDS, pair.schedule).calls(strategy)
    *_, last = strategy.sampler(pair).trace(
        pair.shape, seeds=[1], cond=pair.text_encoder(["a person waving"])
    )
    assert {name: sum(kinds.values()) for name, kinds in counted.items()} == last.calls
    plan = strategy.plan(pair.schedule)
    guided = {name: kinds["guided"] + kinds["unguided"] for name, kinds in counted.items()}
    assert plan.price({"video": 3.0, "image": 1.0}, strategy.solver.load("solver")) == sum(
        guided[name] * each for name, each in (("video", 3.0), ("image", 1.0))
    )
    if interval is None:
        assert all(kinds["unguided"] == 0 for kinds in counted.values())
    elif solver in (
        "ddpm",
        "unipc",
    ):  # the others ask between a step's ends too, where its start decides the price
        assert {name: kinds["guided"] for name, kinds in counted.items()} == guided_calls(strategy)


def guided_calls(strategy: Strategy) -> dict[str, int]:
    """Of a run: those whose batch has both halves."""
    seen = {"video": 0, "image": 0}

    class Watched(Conditional):
        def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
            # Frames are a batch of their own to the image model: 5 a clip.
            name, alone = ("image", 5) if x.shape[2] == 1 else ("video", 1)
            seen[name] += len(x) == 2 * alone
            return super().__call__(x, t, cond)

    class Pair(ToyPair):
        video = property(lambda self: Watched(self.schedule, 0.5))
        image = property(lambda self: Watched(self.schedule, 0.8))

    pair = Pair()
    strategy.sampler(pair)(pair.shape, seeds=[1], cond=pair.text_encoder(["a person waving"]))
    return seen


def test_prices_are_medians_measured_once_and_refused_for_another_pair(tmp_path: Path) -> None:
    ticks = itertools.count()
    seconds = measure(ToyPair(), rounds=3, clock=lambda: float(next(ticks) ** 2))
    # Eight ticks a round, two a call: (n + 1)^2 - n^2 = 2 n + 1 at n = 8 turn + 2 call; the first round warms up.
    kinds = itertools.product(("video", "image"), ("guided", "unguided"))
    expected = {key: 2.0 * (8 * 2 + 2 * call) + 1 for call, key in enumerate(kinds)}
    assert {
        (name, kind): value for name, kinds in seconds.items() for kind, value in kinds.items()
    } == expected
    path = tmp_path / "prices.json"
    first = prices_of(ToyPair(), "me", path)
    before = path.read_text()
    assert prices_of(ToyPair(), "me", path) == first
    assert path.read_text() == before
    with pytest.raises(InputError, match="prices of another pair"):
        prices_of(ToyPair(), "other", path)
    path.write_text(json.dumps({"pair": "me", "seconds": {"video": {}}}))
    with pytest.raises(InputError, match="is damaged"):
        prices_of(ToyPair(), "me", path)
