"""Trackers of accelerate: refused when absent, logged to, and left out when they fail."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
from accelerate import Accelerator, tracking
from accelerate.utils import LoggerType

from jvid.errors import InputError, JvidWarning
from jvid_training.train.trackers import check_trackers, log_picture, log_values, start_trackers
from jvid_training.train.trainer import train
from tests.training_tools import prepare


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the package, which keeps what it is called with."""
    kept: list[tuple[Any, Any]] = []
    run = SimpleNamespace(log=lambda values, step: kept.append((values, step)), finish=lambda: None)
    module = SimpleNamespace(init=lambda **options: run, Image=lambda picture: ("image", picture.shape))
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.TENSORBOARD, LoggerType.WANDB])
    return SimpleNamespace(module=module, run=run, kept=kept)


def test_an_absent_tracker_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.TENSORBOARD])
    assert check_trackers(["tensorboard", "tensorboard"]) == ["tensorboard"]
    with pytest.raises(
        InputError, match=r"^training.trackers: comet_ml is not installed; pip install comet-ml, or"
    ):
        check_trackers(["tensorboard", "comet_ml"])
    with pytest.raises(
        InputError, match=r"^training.trackers: got 'tensorbored', expected some of aim, comet_ml"
    ):
        check_trackers(["tensorbored"])


def test_it_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "image", steps=1, trackers=["mlflow"])
    with pytest.raises(InputError, match="pip install mlflow"):
        train(recipe)
    assert not list((tmp_path / "run").glob("*/*"))


def test_a_run_logs_to_each_and_goes_on_without_one_that_fails(tmp_path: Path, wandb: Any) -> None:
    recipe = prepare(tmp_path, "image", steps=2, trackers=["tensorboard", "wandb"])
    train(recipe)
    assert [step for _, step in wandb.kept] == [1, 2]
    assert {"loss", "lr", "grad_norm", "validation"} <= set(wandb.kept[-1][0])

    def refuse(values: Any, step: int) -> None:
        raise ConnectionRefusedError(111, "the service\nis down")

    wandb.run.log = refuse
    again = attrs.evolve(recipe, out=str(tmp_path / "again"))
    with pytest.warns(
        JvidWarning, match="tracker wandb failed and gets nothing more: ConnectionRefusedError"
    ):
        assert train(again).name == "final"
    assert len((tmp_path / "again/log.jsonl").read_text().splitlines()) == 2


def test_one_that_cannot_start_is_an_error_of_one_line(wandb: Any) -> None:
    def init(**options: Any) -> None:
        raise RuntimeError("no API key\nconfigured")

    wandb.module.init = init
    with pytest.raises(
        InputError, match=r"cannot be started \(RuntimeError: no API key configured\); set it up"
    ):
        start_trackers(Accelerator(cpu=True, log_with=check_trackers(["wandb"])), "run")


def test_pictures_go_to_those_that_take_some(tmp_path: Path, wandb: Any) -> None:
    accelerator = Accelerator(cpu=True, log_with=["tensorboard", "wandb"], project_dir=str(tmp_path))
    start_trackers(accelerator, "run")
    log_picture(accelerator, "samples", np.zeros((4, 6, 3), np.uint8), 7)
    assert wandb.kept == [({"samples": [("image", (4, 6, 3))]}, 7)]
    (events,) = (tmp_path / "run").glob("events.*")
    assert events.stat().st_size > 0
    accelerator.trackers.append(SimpleNamespace(name="plain", log=lambda values, step: None))
    log_picture(accelerator, "samples", np.zeros((4, 6, 3), np.uint8), 8)
    log_values(accelerator, {"loss": 1.0}, 8)
    assert [tracker.name for tracker in accelerator.trackers] == ["tensorboard", "wandb", "plain"]
