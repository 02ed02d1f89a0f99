"""The price of a plan: calls counted against those of a run, seconds given and measured."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from jvid.ensemble import Composition, Ensemble, Member
from jvid.errors import InputError
from jvid.pipeline.cost import (
    Call,
    by_expert,
    calls_of,
    given_seconds,
    measured_seconds,
    price,
    scaled_seconds,
)
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.strategy import ExpertStrategy, Guidance, Strategy, shorthand
from jvid.views.price_table import price_table

ROOT = Path(__file__).parents[3]
SCHEDULE = TabulatedSchedule.scaled_linear()


@attrs.frozen(eq=False)
class Network:
    """Notes rows and frames of its calls."""

    name: str
    seen: Counter[tuple[str, int, int]]
    schedule: Any = SCHEDULE

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        self.seen[self.name, x.shape[0], x.shape[2]] += 1
        return x * 0.5


class Prompts:
    def __call__(self, prompts: Any) -> Any:
        text = torch.zeros(len(prompts), 2, 3)
        return {"text": text, "null": {"text": text}}


def ensemble(**schedules: Any) -> tuple[Ensemble, Counter[tuple[str, int, int]]]:
    """Two experts of clips and one of frames, 4 latent frames, guided with 2 where nothing is stated."""
    seen: Counter[tuple[str, int, int]] = Counter()
    text = Prompts()
    members = {
        name: Member(Network(name, seen, schedules.get(name, SCHEDULE)), kind, text, ("guided:scale=2.0",))
        for name, kind in (("high", "clips"), ("low", "clips"), ("still", "frames"))
    }
    return Ensemble(members, (4, 4, 2, 2), schedule=SCHEDULE), seen


def run_of(strategy: Strategy, models: Ensemble, frames: int | None = None) -> None:
    composition = Composition(strategy, models)
    shape = models.latents(frames)
    sampler = composition.sampler(shape[1])
    sampler(shape, seeds=[0], cond=composition.condition([""]), plan=strategy.plan_seed)


THREE = "cycle:experts=high+low+still"
STRATEGIES = {
    "guided": Strategy(THREE, steps=7),
    "unguided": shorthand.with_guidance(Strategy(THREE, steps=7), 1.0),
    "interval": shorthand.with_guidance(Strategy(THREE, steps=9), {"high": Guidance(2.0, (0.3, 0.7))}),
    "against": shorthand.with_guidance(Strategy(THREE, steps=7), {"high": Guidance(2.0, against="low")}),
    "against within": shorthand.with_guidance(Strategy(THREE, steps=9), {"high": Guidance(2.0, (0.2, 0.8), against="low")}),
    "against at 1": shorthand.with_guidance(Strategy(THREE, steps=7), {"high": Guidance(1.0, against="low")}),
    "against at 0": shorthand.with_guidance(Strategy(THREE, steps=7), {"high": Guidance(0.0, against="low")}),
    "blend": Strategy("blend:experts=high+low,knots=0:.5:.5", steps=4),
    "windows": Strategy(
        THREE, steps=7, experts={"low": ExpertStrategy(("guided:scale=2", "windowed:size=2,stride=1"))}
    ),
}  # fmt: skip


@pytest.mark.parametrize("frames", [None, 9])
@pytest.mark.parametrize("name", STRATEGIES)
def test_calls_are_those_of_a_run(name: str, frames: int | None) -> None:
    models, seen = ensemble()
    strategy = attrs.evolve(STRATEGIES[name], overlap=2)
    run_of(strategy, models, frames)
    composition = Composition(strategy, models)
    calls = calls_of(composition, composition.plan(), frames)
    expected: Counter[tuple[str, int, int]] = Counter()
    for call, count in calls.items():
        # The fold over frames is inside of the expert: its network sees a row for each frame.
        rows, seen_frames = (
            (call.rows * call.frames, 1) if call.expert == "still" else (call.rows, call.frames)
        )
        expected[call.expert, rows, seen_frames] += count
    assert expected == seen


def test_an_expert_of_another_schedule_is_guided_within_its_own_interval() -> None:
    models, seen = ensemble(high=FlowMatching(3.0))
    strategy = shorthand.with_guidance(
        Strategy("always:name=high", steps=12), {"high": Guidance(2.0, (0.6, 0.95))}
    )
    run_of(strategy, models)
    composition = Composition(strategy, models)
    calls = calls_of(composition, composition.plan())
    assert {("high", call.rows, call.frames): count for call, count in calls.items()} == seen
    assert len(calls) == 2


def test_guidance_in_an_interval_is_paid_within_it_alone() -> None:
    """The strategy that two prices disagreed about: 7 guided calls of 16, 23 halves and not 32."""
    strategy = Strategy.load(ROOT / "recipes/actions-64/strategies/video-16-sde-interval.json")
    composition = Composition(strategy)
    calls = calls_of(composition, composition.plan())
    assert {(call.expert, call.rows): count for call, count in calls.items()} == {
        ("video", 1): 9,
        ("video", 2): 7,
    }
    (row,) = by_expert(calls, {}, ["video"])
    assert (row.calls, row.evaluations, row.seconds, row.alike) == (16, 23, None, False)
    seconds = scaled_seconds(calls, {"video": 0.2})
    assert price(calls, seconds) == pytest.approx(0.2 * 23 / 2)


def test_the_table_shows_evaluations_where_calls_differ() -> None:
    from rich.console import Console

    def shown(rows: Any) -> list[str]:
        console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(price_table(rows))
        return [" ".join(line.split()) for line in console.export_text().splitlines()]

    calls = {Call("video", 2, 4): 7, Call("video", 1, 4): 9, Call("image", 2, 4): 2}
    assert shown(by_expert(calls, {})) == [
        "expert calls evaluations", "video 16 23", "image 2 4", "in all 18 27",
    ]  # fmt: skip
    seconds = scaled_seconds(calls, {"video": 0.2})
    assert shown(by_expert(calls, seconds))[1:] == ["video 16 23 0.144 2.30", "image 2 4", "in all 18 27"]
    alike = {Call("video", 2, 4): 7}
    assert shown(by_expert(alike, scaled_seconds(alike, {"video": 0.5}), ["video", "image"])) == [
        "expert calls s/call seconds", "video 7 0.5 3.50", "image 0", "in all 7 3.50",
    ]  # fmt: skip


def test_seconds_are_medians_of_calls_in_turn() -> None:
    models, seen = ensemble()
    ticks = itertools.count()
    calls = [Call("high", 2, 4), Call("high", 1, 4), Call("still", 4, 4)]
    seconds = measured_seconds(models, calls, rounds=3, clock=lambda: float(next(ticks) ** 2))
    # Eight ticks a round, two a call: (n + 1)^2 - n^2 = 2 n + 1 at n = 8 turn + 2 call; the first round warms up.
    took = [2.0 * (8 * 2 + 2 * place) + 1 for place in range(4)]
    assert list(seconds.values()) == [*took[:2], took[3] + 3 * (took[2] - took[3])]
    assert seen == {("high", 2, 4): 4, ("high", 1, 4): 4, ("still", 8, 1): 4, ("still", 4, 1): 4}


def test_what_has_no_price_is_reported() -> None:
    calls = {Call("a", 1, 4): 3, Call("b", 1, 4): 2}
    for seconds in ({"a": 1.0}, {"a": 1.0, "b": -1.0}, {"a": 1.0, "b": float("nan")}):
        with pytest.raises(InputError, match="seconds per call of 'b'"):
            price(calls, scaled_seconds(calls, seconds))
    with pytest.raises(InputError, match="--seconds of 'c': expected experts among a, b"):
        given_seconds("c=1", ["a", "b"])
    bare = Ensemble({"video": Network("video", Counter())}, (4, 4, 2, 2))
    with pytest.raises(InputError, match="needs the condition 'null'"):
        measured_seconds(bare, [Call("video", 2, 4)])
