"""Keys of sets: those that version 0.1 computed, and one for equal strategies however they are written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from jvid.ensemble import Ensemble, Member
from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_guidance
from jvid_training.search.evaluator import Evaluator
from tests.search_tools import document, opened
from tests.toy import PROMPTS, SCHEDULE, SHAPE, STRATEGY, encode

RECIPES = Path(__file__).parents[3] / "recipes/actions-64"
DIGESTS = {
    "blend-16-sde-half": "f3456e3379927780",
    "blend-16": "bc3127f04ca80341",
    "image-16-sde": "34dfda33033de9c3",
    "image-16": "6d4ae0c92fe68fa8",
    "image-at-both-ends-12": "af3f5766bacf89ae",
    "image-at-both-ends-16": "bc2a41f2ac789f30",
    "image-first-16-against-early-3": "2c69d49937cd0325",
    "image-first-16-against-early-sde": "3aee1294acd4a79f",
    "image-first-16-against-early": "d1d476ea354218a4",
    "image-first-16-sde": "c93467569d2ff2b3",
    "image-first-16": "b7a44072b45668ed",
    "mixture-16-plain": "659a2ae1982f84b6",
    "mixture-16-sde-plain": "27aac1a80182b403",
    "mixture-16-sde-smoothed": "dea94cfd04d652eb",
    "mixture-16-sde-table-6": "5cd3eaea9bd98c02",
    "mixture-16-sde": "b3a49a25c20ecf28",
    "mixture-16": "0fb53e2969d3631c",
    "video-12-sde-early-interval": "797b22ec9c5c9991",
    "video-12-sde": "f84a88a433502361",
    "video-16-against-early": "e1054cf924f7ef86",
    "video-16-against-image": "304ac17d649b05ea",
    "video-16-guidance-3": "cf309396a7cfe8cd",
    "video-16-sde-early-interval": "057f720a89a79710",
    "video-16-sde-interval": "f5507374f811b869",
    "video-16-sde-more-noise": "01067ffedb87f1a4",
    "video-16-sde": "dd16ffccdfbb3e9d",
    "video-16-unguided": "c880fd7fae983056",
    "video-16": "4c33b5814fa1267d",
    "video-ddpm-50": "a24e050881314f6a",
    "video-then-image-16-sde": "ef3a096480825036",
    "strategy": "d5aec0c0c28d7817",
}
"""Of the strategies of the recipes as version 0.1 wrote them, in the form that its keys were of."""


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    """Of an ensemble with the experts of the final study."""
    members = {name: Member(Stand(), conditioner=encode, wrappers=("guided:scale=2.0",)) for name in EXPERTS}
    ensemble = Ensemble(members, SHAPE, fps=12.5, schedule=SCHEDULE, prompts=PROMPTS, strategy=STRATEGY)
    return opened(document(tmp_path), ensemble=ensemble)[1]


EXPERTS = ("video", "image", "early")


class Stand:
    """A denoiser whose schedule alone is needed."""

    schedule = SCHEDULE


@pytest.mark.parametrize("name", DIGESTS)
def test_keys_are_those_of_version_0_1(name: str, evaluator: Evaluator) -> None:
    """Of its strategies, so that the sets of a study are found again."""
    path = RECIPES / ("" if name == "strategy" else "strategies") / f"{name}.json"
    values = evaluator.written(Strategy.load(path))
    assert (
        hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()[:16]
        == DIGESTS[name]
    )


def test_a_strategy_has_one_key(evaluator: Evaluator) -> None:
    keys = {
        evaluator.key(strategy, 0)
        for strategy in (
            STRATEGY,
            Strategy.from_dict(STRATEGY.to_dict()),
            with_guidance(STRATEGY, {"video": 2.0, "image": 2.0}),
            with_guidance(STRATEGY, {"early": 4.0}),
        )
    }
    assert len(keys) == 1
    assert evaluator.key(with_guidance(STRATEGY, {"video": 3.0}), 0) not in keys
    assert evaluator.key(STRATEGY, 1) not in keys


def test_strategies_that_version_0_1_had_no_words_for_have_keys(evaluator: Evaluator) -> None:
    first, second = (
        evaluator.key(Strategy(f"boundary:experts={experts},at=.5", steps=4), 0)
        for experts in ("early+video", "video+early")
    )
    assert first != second
