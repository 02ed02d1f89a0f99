"""Batches that are made ahead are those that are made when they are needed, in order."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

from jvid.errors import InputError, JvidError
from jvid_training.data.loading import Loader, Share
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.train.objectives import objective_of
from jvid_training.train.tasks import text_of
from jvid_training.train.trainer import train
from tests import garbage
from tests.training_tools import prepare


def numbered(step: int, part: int) -> dict[str, Tensor]:
    return {"key": torch.tensor([step, part]), "noise": torch.from_numpy(generator(1, step, part).random(3))}


def taken(loader: Loader, steps: list[int]) -> list[list[Any]]:
    return [batch["key"].tolist() + batch["noise"].tolist() for step in steps for batch in loader(step)]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_neither_order_nor_values(workers: int) -> None:
    steps = [7, 8, 9, 10, 3, 4, 11]  # on from a checkpoint, then from another one
    loader = Loader(numbered, 2, workers)
    found = taken(loader, steps)
    assert [key[:2] for key in found] == [[step, part] for step in steps for part in (0, 1)]
    assert found == taken(Loader(numbered, 2), steps)
    loader.close()


def test_workers_are_forked_whatever_the_platform_starts_by_default() -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        loader = Loader(
            lambda step, part: numbered(step, part), 1, 1
        )  # which a new interpreter could not get
        assert [key[:2] for key in taken(loader, [3])] == [[3, 0]]
        loader.close()
    finally:
        multiprocessing.set_start_method(before, force=True)


def raises(step: int, part: int) -> dict[str, Tensor]:
    if step == 2:
        raise InputError("shard-00000 is damaged: encode again")
    return numbered(step, part)


def collects(step: int, part: int) -> dict[str, Tensor]:
    gc.collect()
    return numbered(step, part)


class Threaded:
    """Garbage of the process that made it; its finalizer must not run in another, as that of FFmpeg's scalers must not."""

    def __init__(self) -> None:
        self.itself, self.process = self, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.process:
            os._exit(9)


def test_workers_leave_the_garbage_of_their_parent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "kept", False)
    gc.unfreeze()
    Threaded()
    loader = Loader(collects, 1, 1)
    assert taken(loader, [0, 1]) == taken(Loader(numbered, 1), [0, 1])
    loader.close()


def dies(step: int, part: int) -> dict[str, Tensor]:
    if step == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return numbered(step, part)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (raises, InputError, "^shard-00000 is damaged: encode again$"),
        (
            dies,
            JvidError,
            r"^a process that makes batches died \(DataLoader worker .*lower training.workers",
        ),
    ],
)
def test_errors_of_workers_are_one_line(make: Any, kind: type, message: str) -> None:
    loader = Loader(make, 1, 1, ahead=1)
    with pytest.raises(
        kind, match=message
    ) as caught:  # at step 1, where the worker dies before that is received
        [list(loader(step)) for step in (1, 2)]
    assert "\n" not in str(caught.value)


def test_the_share_of_every_process_together_is_the_batch(tmp_path: Path) -> None:
    recipe = prepare(tmp_path)
    source = Windows(tmp_path / "latents")
    objective = objective_of(recipe, text_of(recipe, {"train": source}), torch.device("cpu"))
    whole = Share(objective, source, 5, 8)(3, 0)
    parts = [
        Share(objective, source, 5, 8, parts=2, rank=rank, world=2)(3, part)
        for part in (0, 1)
        for rank in (0, 1)
    ]
    assert whole["text"].shape == (8,)
    for name, values in whole.items():
        assert torch.equal(values, torch.cat([part[name] for part in parts])), name
    alone = [objective.sample(source, 5, 3, place, 8) for place in range(8)]
    for name, values in whole.items():
        assert torch.equal(values, torch.stack([sample[name] for sample in alone])), name
    ahead = next(Loader(Share(objective, source, 5, 8), 1, 1)(3))
    assert all(torch.equal(ahead[name], values) for name, values in whole.items())


def test_a_table_of_prompts_is_embedded_where_the_network_is(tmp_path: Path) -> None:
    recipe = prepare(tmp_path)
    source = Windows(tmp_path / "latents")
    text: Any = text_of(recipe, {"train": source})
    objective: Any = objective_of(recipe, text, torch.device("cpu"))
    for place in range(6):
        sample = objective.sample(source, 0, 1, place, 6)
        assert sample["text"].shape == ()
        assert torch.equal(
            objective.embedded(sample["text"]), text.embed([text.prompts[int(sample["text"])]])[0]
        )


def test_a_run_with_workers_ends_with_the_same_weights(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, steps=3, accumulate=2)
    alone = train(recipe)
    ahead = train(
        attrs.evolve(recipe, out=str(tmp_path / "ahead"), training=attrs.evolve(recipe.training, workers=2))
    )
    one, two = ((folder / "model.safetensors").read_bytes() for folder in (alone, ahead))
    assert one == two
    assert np.isfinite(np.frombuffer(one[-400:], np.float32)).all()
