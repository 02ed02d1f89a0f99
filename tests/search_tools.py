"""A study on the toy ensemble, with networks and real clips that take no time; and a worker for a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jvid import cli
from jvid.files import write_json
from jvid.plugins.registry import using
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import StudyRecipe, structure_study
from jvid_training.search.sweep import open_trials, work
from tests.once import made_once
from tests.toy import PROMPTS, toy_ensemble, toy_registry

SPACE: dict[str, Any] = {
    "steps": [2, 3, 4],
    "selector": {
        "piecewise-affine": {
            "t_v": {"low": 0.0, "high": 0.6},
            "t_e": {"low": 0.1, "high": 0.9},
            "p_e": {"low": 0.0, "high": 1.0},
            "p_f": {"low": 0.0, "high": 1.0},
        },
        "boundary": {"at": {"low": 0.1, "high": 0.9}},
    },
    "noise": {"image": {"gamma": {"low": 0.01, "high": 1.0, "log": True}}},
}
SECONDS = {"video": {"guided": 2.0, "unguided": 1.0}, "image": {"guided": 0.5, "unguided": 0.25}}


def document(out: Path, **changes: Any) -> dict[str, Any]:
    """A recipe as TOML would give it; ``changes`` by section."""
    found: dict[str, Any] = {
        "study": {
            "name": "toy", "ensemble": "toy", "out": str(out), "reference": "none", "prompts": list(PROMPTS), "num": 4,
            "seed": 0, "report_seed": 500, "batch": 2, "micro_batch": 2, "bootstrap": 5,
        },
        "sweep": {"space": SPACE, "trials": 4, "startup": 3, "objectives": ["clip", "frame", "cost"], "known": False},
    }  # fmt: skip
    for section, values in changes.items():
        found.setdefault(section, {}).update(values)
    return found


class Means:
    """A feature network: mean, deviation and difference of time of a clip, or mean and deviation of a frame."""

    standard = False

    def __init__(self, kind: str) -> None:
        self.kind, self.name, self.fingerprint = kind, f"toy-{kind}", kind * 8
        self.evaluated = 0

    def __call__(self, frames: np.ndarray) -> Mapping[str, np.ndarray]:
        self.evaluated += len(frames)
        x = frames.astype(np.float32) / 255.0
        axes = (2, 3, 4)
        rows = np.stack([x.mean(axes), x.std(axes)], -1)
        if self.kind == "frame":
            return {"features": rows}
        return {
            "features": np.concatenate(
                [rows.mean(1), np.abs(np.diff(x, axis=1)).mean((1, 2, 3, 4))[:, None]], 1
            )
        }


class Real:
    """``count`` clips of the toy ensemble's form."""

    name, frames, size = "toy clips", 5, (64, 64)

    def __init__(self, count: int = 12, fps: float = 12.5, size: tuple[int, int] = (64, 64)) -> None:
        random = np.random.Generator(np.random.Philox(7))
        low = random.integers(0, 150, (count, 1, 1, 1, 1))
        self.files = np.arange(count)
        self._frames = (low + random.integers(0, 100, (count, 5, *size, 3))).astype(np.uint8)
        self.fps, self.size = fps, size
        self.labels = tuple(("waving", "running")[i % 2] for i in range(count))
        self.fingerprint = hashlib.sha256(self._frames).hexdigest()

    def __len__(self) -> int:
        return len(self._frames)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        for start in range(0, len(self), size):
            yield self._frames[start : start + size]


def opened(found: dict[str, Any], **given: Any) -> tuple[StudyRecipe, Evaluator]:
    """A recipe and its evaluator; prices are known, so that costs are the same everywhere."""
    recipe = structure_study(found, "study.toml")
    parts = {"ensemble": toy_ensemble(), "reference": Real(), "networks": [Means("clip"), Means("frame")]}
    evaluator = Evaluator(recipe.study, **{**parts, **given})
    if not (evaluator.folder / "prices.json").is_file():
        write_json(evaluator.folder / "prices.json", {"ensemble": evaluator.fingerprint, "seconds": SECONDS})
    return recipe, evaluator


def write(folder: Path, found: dict[str, Any]) -> str:
    """The recipe as TOML; JSON's values are TOML's, and inline tables are everywhere allowed."""
    path = folder / "study.toml"
    path.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in found.items()))
    return str(path)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{name}" = {_toml(each)}' for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def call(*words: str) -> int:
    with using(toy_registry()):
        return cli.main(list(words))


def swept(found: dict[str, Any], count: int) -> Evaluator:
    """A sweep of one worker, gone on with until it has ``count`` trials."""
    recipe, evaluator = opened(found)
    assert recipe.sweep is not None
    work(evaluator, open_trials(evaluator, recipe.sweep), count)
    return evaluator


def toy_sweep(factory: pytest.TempPathFactory) -> Path:
    """The toy study's sweep of five trials, made once for all tests, which write to copies alone."""

    def make(folder: Path) -> None:
        with using(toy_registry()):
            swept(document(folder), 5)

    return made_once(factory, "toy-sweep", make)


def worker(out: Path, count: int, stop: int | None = None, meet: Barrier | None = None) -> None:
    """The body of a process: a worker of a sweep.

    It is killed by itself in the middle of its ``stop``-th trial, and waits in its first for the others of ``meet``.
    """
    with using(toy_registry()):
        recipe, evaluator = opened(document(out))
        score, made = evaluator.score, iter(range(1, 1000))

        def scored(*arguments: Any, **options: Any) -> Any:
            number = next(made)
            if number == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            if number == 1 and meet is not None:
                meet.wait()
            return score(*arguments, **options)

        evaluator.score = scored  # type: ignore[method-assign]
        assert recipe.sweep is not None
        work(evaluator, open_trials(evaluator, recipe.sweep), count)
