"""What a run survives: damage, signals, threads, full disks, other machines, another number of processes."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file, save_file

from jvid.cli import main
from jvid.errors import InputError, JvidWarning
from jvid_training.jobs.signals import StopRequest
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train import trainer
from jvid_training.train.checkpoints import checkpoints
from jvid_training.train.networks import build_network
from jvid_training.train.objectives import PredictNoise
from jvid_training.train.trainer import run_recipe, train
from tests.forks import run_ranks
from tests.training_tools import document, few_held_out_samples, prepare, write_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clips, latents and prompts, and of a run of four steps with a checkpoint at each."""
    folder = tmp_path_factory.mktemp("data")
    with few_held_out_samples():
        train(prepare(folder, "image", checkpoint_every=1, keep=4))
    return folder


def run_in(out: Path, data: Path, **training: Any) -> Recipe:
    """A recipe on the common data."""
    return attrs.evolve(structure_recipe(document(data, "image", **training)), out=str(out / "run"))


def copied(data: Path, out: Path) -> Path:
    """The common run, somewhere else."""
    shutil.copytree(data / "run", out / "run")
    return out / "run"


def same_weights(one: Path, other: Path) -> bool:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_damaged_checkpoint_falls_back_to_the_last_whole_one(tmp_path: Path, data: Path) -> None:
    """Two are damaged: the run goes on from the one before, and ends with the same weights."""
    run = copied(data, tmp_path)
    assert [path.name[-1] for path in checkpoints(run)] == ["1", "2", "3", "4"], "training.keep"
    (run / "checkpoint-00000004/optimizer.safetensors").unlink()
    state = run / "checkpoint-00000003/state.json"
    state.write_text(state.read_text().replace("1", "2", 1))
    with pytest.warns(JvidWarning, match="goes on from checkpoint-00000002") as caught:
        final = train(run_in(tmp_path, data, checkpoint_every=1, keep=4))
    message = str(caught[0].message)
    assert re.search(r"checkpoint-00000004 is damaged \(optimizer.safetensors is gone\)", message)
    assert re.search(r"checkpoint-00000003 is damaged \(state.json: not the bytes", message)
    assert same_weights(final, data / "run/final")
    # Steps 3 and 4 were made again: the log has each once.
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]

    for path in checkpoints(run):
        (path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(
        InputError, match=r"no checkpoint is left .*00000004 is damaged .*: delete it, to begin again"
    ):
        train(run_in(tmp_path, data))


def test_moments_of_an_earlier_version_are_taken(tmp_path: Path, data: Path) -> None:
    """They went by the parameters' numbers, in torch's own file."""
    run = copied(data, tmp_path)
    for path in checkpoints(run)[2:]:
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    last = checkpoints(run)[-1]
    moments = load_file(last / "optimizer.safetensors")
    names = list(load_file(last / "ema.safetensors"))
    own = list(dict.fromkeys(key.rpartition(".")[0] for key in moments))
    assert set(own) <= set(names)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for number, name in enumerate(own):
        kinds = {
            key.rpartition(".")[2]: value for key, value in moments.items() if key.rpartition(".")[0] == name
        }
        state[number] = {
            kind: value.reshape(()) if kind == "step" else value for kind, value in kinds.items()
        }
    # safetensors sorts names: the order is that of the network's parameters.
    recipe = run_in(tmp_path, data)
    order = [name for name, _ in build_network(recipe).named_parameters()]
    by_name = dict(zip(own, state.values(), strict=True))
    torch.save(
        {"state": {number: by_name[name] for number, name in enumerate(order)}, "param_groups": []},
        last / "optimizer.pt",
    )
    (last / "optimizer.safetensors").unlink()
    (last / "manifest.json").unlink()
    assert same_weights(train(recipe), data / "run/final")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT])
def test_signals_stop_a_run_with_a_checkpoint(tmp_path: Path, data: Path, monkeypatch, number: int) -> None:
    usual = trainer._Run._one_step

    def step(run: trainer._Run) -> float | None:
        if run.step == 1:
            os.kill(os.getpid(), number)
        return usual(run)

    monkeypatch.setattr(trainer._Run, "_one_step", step)
    before = signal.getsignal(number)
    path = write_recipe(
        tmp_path / "r.toml", document(data, checkpoint_every=50) | {"out": str(tmp_path / "run")}
    )
    assert main(["train", str(path)]) == (130 if number == signal.SIGINT else 75)
    assert signal.getsignal(number) is before
    (last,) = checkpoints(tmp_path / "run")
    assert last.name == "checkpoint-00000002"


def test_a_run_in_a_thread_is_stopped_by_request(tmp_path: Path, data: Path) -> None:
    """No signal handlers there: setting one would raise."""
    stop, ended = StopRequest(), []
    thread = threading.Thread(
        target=lambda: ended.append(run_recipe(run_in(tmp_path, data), lambda shown: stop.request(), stop))
    )
    thread.start()
    thread.join()
    assert ended[0].stopped == signal.SIGTERM
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000001"]


def test_an_error_in_one_process_is_the_message_of_all(tmp_path: Path, data: Path, monkeypatch) -> None:
    """The second process cannot read a clip; the first one waits for its gradients."""
    usual = PredictNoise.samples

    def samples(self, windows, seed, step, *others):
        if os.environ.get("RANK") == "1" and step == 1:
            raise InputError("shard-0007 is damaged: encode it again")
        return usual(self, windows, seed, step, *others)

    monkeypatch.setattr(PredictNoise, "samples", samples)
    path = write_recipe(tmp_path / "r.toml", document(data) | {"out": str(tmp_path / "run")})
    codes, printed = run_ranks(2, lambda: main(["train", str(path)]))
    assert codes == [2, 2], printed
    assert "jvid: error: shard-0007 is damaged" in printed
    assert "jvid: error: process 1: shard-0007 is damaged" in printed
    assert "Traceback" not in printed


def test_a_killed_process_ends_the_others_in_one_line(tmp_path: Path, data: Path, monkeypatch) -> None:
    usual = trainer._Run._one_step

    def step(run: trainer._Run) -> float | None:
        if run.step == 1 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(run)

    monkeypatch.setattr(trainer._Run, "_one_step", step)
    path = write_recipe(tmp_path / "r.toml", document(data) | {"out": str(tmp_path / "run")})
    codes, printed = run_ranks(2, lambda: main(["train", str(path)]))
    assert codes == [2, -signal.SIGKILL], printed
    assert "another process of the job has ended without a message" in printed
    assert "Traceback" not in printed


def test_another_recipe_in_another_process_is_refused_at_the_start(tmp_path: Path, data: Path) -> None:
    """As on a machine whose copy of the recipe is older."""

    def work() -> int:
        rank = os.environ["RANK"]
        own = document(data, seed=int(rank)) | {"out": str(tmp_path / "run")}
        return main(["train", str(write_recipe(tmp_path / f"{rank}.toml", own))])

    codes, printed = run_ranks(2, work)
    assert codes == [2, 2], printed
    assert re.search(
        r"the recipe's keys: process 1 on \S+ has others than process 0 on \S+; give every process", printed
    )
    assert not checkpoints(tmp_path / "run")


def test_a_run_without_a_common_disk_goes_on_from_the_first_process(tmp_path: Path, data: Path) -> None:
    """The other machine holds other checkpoints in a folder of the same name: they are not read."""
    copied(data, tmp_path / "0")
    stale = copied(data, tmp_path / "1")
    for path in checkpoints(stale):
        weights = load_file(path / "model.safetensors")
        save_file({name: tensor * 0 for name, tensor in weights.items()}, path / "model.safetensors")
        (path / "manifest.json").unlink()
    longer = document(data, steps=6, checkpoint_every=2) | {"out": "run"}

    def work() -> int:
        os.chdir(tmp_path / os.environ["RANK"])
        return main(["train", str(write_recipe(Path("r.toml"), longer))])

    codes, printed = run_ranks(2, work)
    assert codes == [0, 0], printed
    one = train(attrs.evolve(structure_recipe(longer), out=str(copied(data, tmp_path / "alone"))))
    found, expected = (
        [entry["loss"] for entry in json.loads((path / "run.json").read_text())["curve"]]
        for path in (tmp_path / "0/run/final", one)
    )
    assert found == pytest.approx(expected, rel=5e-5)
    assert [path.name[-1] for path in checkpoints(stale)] == ["1", "2", "3", "4"], "nothing was written there"


def test_a_checkpoint_that_cannot_be_written_ends_the_run_in_one_line(tmp_path: Path, data: Path) -> None:
    recipe = run_in(tmp_path, data, checkpoint_every=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*: File too large; free the space") as caught:
            train(recipe)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert not checkpoints(tmp_path / "run")
    assert not [path for path in (tmp_path / "run").iterdir() if ".part" in path.name]
