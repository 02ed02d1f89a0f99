"""Checkpoints: digests, refusals of the system, full disks."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from jvid.cli import main
from jvid.errors import InputError
from jvid_training.recipe import Recipe
from jvid_training.train.checkpoints import (
    DamageError,
    averages,
    checkpoints,
    read_tensors,
    save_checkpoint,
)
from jvid_training.train.trainer import train
from tests.training_tools import document, few_held_out_samples, prepare, write_recipe


@pytest.mark.parametrize(
    "name", ["model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"]
)
def test_a_flipped_bit_of_a_checkpoint_is_found_and_named(trained: tuple[Recipe, Path], name: str) -> None:
    recipe, last = trained
    path = last / name
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"1") if name == "state.json" else -200] ^= 1
    path.write_bytes(flipped)
    try:
        with pytest.raises(InputError, match=rf"{last.name} is damaged \({name}: not the bytes") as caught:
            train(recipe)
        assert "\n" not in str(caught.value)
    finally:
        path.write_bytes(whole)


def test_a_checkpoint_of_before_the_digests_loads(trained: tuple[Recipe, Path]) -> None:
    recipe, last = trained
    (last / "manifest.json").rename(last.parent / "digests")
    try:
        assert train(recipe).name == "final"
    finally:
        (last.parent / "digests").rename(last / "manifest.json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A run of two steps, and its last checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = prepare(folder, "image", steps=2)
    with few_held_out_samples():
        train(recipe)
    return recipe, checkpoints(folder / "run")[-1]


def test_what_the_system_refuses_is_not_a_damaged_checkpoint(
    trained: tuple[Recipe, Path], monkeypatch
) -> None:
    """Else the advice would be to delete it."""
    _, last = trained
    held = os.open(os.devnull, os.O_RDONLY)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 1, before[1]))
    try:
        for load in (lambda: read_tensors(last), lambda: averages(last)):
            with pytest.raises(InputError, match=r"cannot read .*: Too many open files; raise the limit"):
                load()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(held)

    def no_memory(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("jvid_training.train.checkpoints.read_weights", no_memory)
    with pytest.raises(InputError, match=r"cannot read .*: Cannot allocate memory; free memory") as caught:
        read_tensors(last)
    assert not isinstance(caught.value, DamageError)


def test_a_checkpoint_that_cannot_be_read_is_not_pruned(tmp_path: Path) -> None:
    """It may be the best one."""
    for step, validation in ((1, 0.1), (2, 0.5), (3, 0.5)):
        save_checkpoint(tmp_path, step, {}, {}, {}, {"validation": validation})
    state = tmp_path / "checkpoint-00000001/state.json"
    state.write_text("{")
    save_checkpoint(tmp_path, 4, {}, {}, {}, {"validation": 0.5})
    assert [int(path.name[-8:]) for path in checkpoints(tmp_path)] == [1, 2, 3, 4]


def test_a_full_disk_ends_a_run_in_one_line(tmp_path: Path, capsys) -> None:
    prepare(tmp_path, "image")
    recipe = write_recipe(tmp_path / "recipe.toml", document(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert main(["train", str(recipe)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("tiny ")]
    assert len(errors) == 1
    assert errors[0].startswith("jvid: error: cannot write ")
    assert "File too large; free the space" in errors[0]
    assert not [path for path in (tmp_path / "run").iterdir() if ".part" in path.name]
    assert main(["train", str(recipe)]) == 0
