"""Objectives: the short names agree with the metrics, and figures keep the directions that their metrics declare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.core.metrics import DeclaresTarget
from jvid.errors import InputError
from jvid.plugins.registry import load
from jvid_training.report.inputs import read
from jvid_training.report.page import page
from jvid_training.search.front import clearly_beaten
from jvid_training.search.objectives import SHORT, SearchObjective
from tests.evaluation_tools import Means
from tests.search_tools import toy_sweep


def metric_of(name: str) -> Any:
    return {
        "clip": lambda: load("metric", "fvd", features=Means("clip")),
        "frame": lambda: load("metric", "fid", features=Means()),
        "flicker": lambda: load("metric", "flicker-ratio"),
        "accuracy": lambda: load("metric", "action", features=Means("clip")),
    }[name]()


@pytest.mark.parametrize("name", [name for name in SHORT if name != "cost"])
def test_a_short_name_is_the_metrics_own_objective(name: str) -> None:
    metric, short = metric_of(name), SHORT[name]
    own = SearchObjective.of("mine", {"mine": metric})
    assert metric.name.startswith(short.figure)
    assert attrs.evolve(own, name=name, figure=short.figure) == short
    assert own.target == (metric.target if isinstance(metric, DeclaresTarget) else None)


def test_numbers_and_losses() -> None:
    ratio, share = SHORT["flicker"], SHORT["accuracy"]
    assert (ratio.number(0.75), ratio.number(1.25), ratio.loss(0.25)) == (0.25, 0.25, 0.25)
    assert (share.number(0.75), share.loss(0.75)) == (0.75, 0.25)
    assert ratio.label("flicker ratio") == "|flicker ratio - 1|"
    assert (share.label("action[i3d]"), share.label(None)) == ("action[i3d]", "accuracy")
    assert SHORT["cost"].label(None) == "network cost"
    endless = SearchObjective("sharpness", "sharpness", "higher")
    assert (endless.number(3.0), endless.loss(3.0)) == (3.0, -3.0)


def test_a_margin_of_what_is_to_rise_is_a_share_of_the_better_value() -> None:
    """Losses below 0: 10 beats 7.5 and less by a quarter, and not 8."""
    assert clearly_beaten([-7.5], [[-10.0]], [0.25])
    assert not clearly_beaten([-8.0], [[-10.0]], [0.25])
    assert not clearly_beaten([-10.0], [[-8.0]], [0.25])
    assert clearly_beaten([-8.0], [[-8.0]], [0.0])


def test_unknown_objectives_and_those_without_a_direction_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"'flickr': expected one of clip, frame, .*mine; study\.metrics adds"
    ):
        SearchObjective.of("flickr", {"mine": metric_of("clip")})
    with pytest.raises(InputError, match="metric 'agreement' has no direction, and no target"):
        SearchObjective.of("agreement", {"agreement": load("metric", "agreement", features=Means())})


def test_a_front_without_labels_is_read_as_it_was(
    toys: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fronts of earlier versions state the short names alone."""
    folder = shutil.copytree(toy_sweep(tmp_path_factory), tmp_path / "study")
    now = page(read([folder]))
    path = folder / "front.json"
    values = json.loads(path.read_text())
    assert [each.pop("label") for each in values["objectives"]] == [
        "FVD[toy-clip, 4 clips]",
        "FID[toy-frame, 20 frames]",
        "network cost",
    ]
    path.write_text(json.dumps(values))
    assert page(read([folder])) == now
