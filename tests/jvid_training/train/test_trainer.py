"""The trainer: equation (3), resuming, processes, signals, damage."""

from __future__ import annotations

import json
import os
import signal
import warnings
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from jvid.cli import main
from jvid.errors import InputError, JvidWarning
from jvid.files import write_json
from jvid.schedules import TabulatedSchedule
from jvid_models.text import EmbeddingTable
from jvid_training.data.latents import encode
from jvid_training.data.prompts import draw_prompt
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.export import read_run
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.signals import TRY_AGAIN
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train import setup, trainer
from jvid_training.train.checkpoints import MANIFEST, checkpoints, write_digests
from jvid_training.train.objectives import PredictNoise
from jvid_training.train.trainer import TrainingError, train
from tests.forks import Command, run_ranks
from tests.training_tools import document, pooled, prepare, write_recipe


def objective(recipe: Recipe, folder: Path) -> PredictNoise:
    table = EmbeddingTable.load(folder / "prompts.safetensors")
    return PredictNoise.of(recipe, TabulatedSchedule.scaled_linear(), table)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_samples_follow_equation_3(tmp_path: Path, kind: str) -> None:
    """x = sqrt(alpha_bar_n) x_0 + sqrt(1 - alpha_bar_n) eps, with the table written out here."""
    recipe = prepare(tmp_path, kind)
    task, windows = objective(recipe, tmp_path), Windows(tmp_path / "latents")
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alpha_bar = np.cumprod(1 - betas)
    seen = []
    for place in range(8):
        sample = task.sample(windows, 3, 5, place, 8)
        n = int(sample["n"])
        seen.append(n)
        x_0 = (sample["x"].numpy() - np.sqrt(1 - alpha_bar[n]) * sample["target"].numpy()) / np.sqrt(
            alpha_bar[n]
        )
        random = generator(3, 5, place)
        window = windows.draw(random)
        frame = int(random.integers(windows.length)) if kind == "image" else None
        np.testing.assert_allclose(x_0, windows.latents(window, frame).numpy(), atol=2e-4)
        assert sample["x"].shape == (4, 1 if kind == "image" else 8, 4, 4)
    shift = generator(3, 5, 1 << 40).random()
    parts = sorted(int(((n + 0.5) / 1000 - shift) % 1 * 8) for n in seen)
    assert parts == list(range(8)), "stratified: one timestep in each eighth, all shifted by one number"


def test_noise_offset_and_prompt_dropping_have_their_statistics(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "video", offset=0.5)
    task, windows = objective(recipe, tmp_path), Windows(tmp_path / "latents")
    eps = torch.stack([task.sample(windows, 0, step, 0, 1)["target"] for step in range(300)])
    means = eps.mean((2, 3, 4))
    # 128 independent numbers average to variance 1/128; the offset adds .25 that does not average out.
    variance = 0.25 + 1 / 128
    assert abs(float(means.var()) - variance) < 6 * variance * (2 / (300 * 4)) ** 0.5
    dropped = np.mean(
        [draw_prompt("walk", recipe.data, 0.3, generator(1, step, 0)) == "" for step in range(2000)]
    )
    assert abs(dropped - 0.3) < 6 * (0.3 * 0.7 / 2000) ** 0.5
    kept = {draw_prompt("walk", recipe.data, 0.0, generator(1, step, 0)) for step in range(50)}
    assert kept == {"A human walk", "A person walk", "Someone walk"}


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    whole = prepare(tmp_path, "video")
    train(whole)
    half = attrs.evolve(whole, out=str(tmp_path / "half"), training=attrs.evolve(whole.training, steps=2))
    train(half)
    train(attrs.evolve(half, training=whole.training))
    one, two = (load_file(tmp_path / name / "final/model.safetensors") for name in ("run", "half"))
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=0)
    run = json.loads((tmp_path / "half/final/run.json").read_text())
    assert run["steps"] == 4
    assert [entry["step"] for entry in run["curve"]] == [1, 2, 3, 4]
    assert all("validation" in run["curve"][index] for index in (1, 3))


def test_a_network_is_as_wide_as_the_text_where_nothing_is_stated(tmp_path: Path) -> None:
    stated = prepare(tmp_path, steps=2)
    train(stated)
    network = {name: value for name, value in stated.network.items() if name != "text_width"}
    free = attrs.evolve(stated, network=network, out=str(tmp_path / "free"))
    train(attrs.evolve(free, training=attrs.evolve(free.training, steps=1)))
    record = checkpoints(tmp_path / "free")[-1] / "state.json"
    state = json.loads(record.read_text())
    assert state["recipe"]["network"].pop("text_width") == 16
    write_json(record, state)  # as runs were recorded that stated nothing before
    (record.parent / MANIFEST).unlink()
    write_digests(record.parent)
    train(free)
    one, two = (load_file(tmp_path / name / "final/model.safetensors") for name in ("run", "free"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    export = read_run(tmp_path / "free", "image")
    assert export.network.config.cross_attention_dim == 16


def test_a_run_without_held_out_actors_writes_its_checkpoints_too(tmp_path: Path) -> None:
    recipe = structure_recipe(
        document(tmp_path, steps=4) | {"data": document(tmp_path)["data"] | {"holdout": []}}
    )
    prepare(tmp_path, "image")
    recipe = attrs.evolve(recipe, data=attrs.evolve(recipe.data, latents=str(tmp_path / "all")))
    encode(recipe.data, recipe.codec, tmp_path / "clips", pooled)
    train(recipe)
    assert [path.name for path in checkpoints(tmp_path / "run")] == [
        "checkpoint-00000002",
        "checkpoint-00000004",
    ]


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write .*state.json: File exists; free the space") as caught:
        write_json(tmp_path / "file" / "state.json", {})
    assert "\n" not in str(caught.value)


def test_the_average_is_what_is_written(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "image", ema=0.5)
    train(recipe)
    last = checkpoints(tmp_path / "run")[-1]
    assert last.name == "checkpoint-00000004"
    ema, final, model = (
        load_file(last / "ema.safetensors"),
        load_file(tmp_path / "run/final/model.safetensors"),
        load_file(last / "model.safetensors"),
    )
    assert all(torch.equal(ema[name], final[name]) for name in ema)
    assert any(not torch.equal(model[name], final[name]) for name in ema)
    assert len(checkpoints(tmp_path / "run")) == 2


def test_the_best_checkpoint_is_kept_and_can_be_the_end(tmp_path: Path, monkeypatch) -> None:
    """On few clips the loss on held-out actors rises again: here after step 4 of 12."""
    losses = {2: 0.5, 4: 0.2, 6: 0.3, 8: 0.2, 10: 0.4, 12: 0.6}
    monkeypatch.setattr(trainer._Run, "validate", lambda run: losses[run.step])
    recipe = prepare(tmp_path, "image", steps=12, final="best")
    train(attrs.evolve(recipe, training=attrs.evolve(recipe.training, steps=8)))
    final = train(recipe)
    assert [int(path.name[-8:]) for path in checkpoints(tmp_path / "run")] == [4, 10, 12]
    ended, four = (
        load_file(path) for path in (final / "model.safetensors", tmp_path / "run/checkpoint-00000004/ema.safetensors")
    )  # fmt: skip
    assert all(torch.equal(ended[name], four[name]) for name in four)
    run = json.loads((final / "run.json").read_text())
    assert run["steps"] == 4
    assert run["curve"][-1]["step"] == 12

    (tmp_path / "run/checkpoint-00000004/ema.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"checkpoint .*checkpoint-00000004 is damaged .*: delete it"):
        train(recipe)


def test_a_signal_during_the_held_out_loss_keeps_the_best_checkpoint(tmp_path: Path, monkeypatch) -> None:
    losses = {2: 0.5, 4: 0.2, 6: 0.3, 8: 0.4, 10: 0.5, 12: 0.6}

    def validate(run: trainer._Run) -> float:
        if run.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses[run.step]

    monkeypatch.setattr(trainer._Run, "validate", validate)
    recipe = prepare(tmp_path, "image", steps=12, final="best")
    assert train(recipe).name == "run"
    state = json.loads((tmp_path / "run/checkpoint-00000004/state.json").read_text())
    assert state["validation"] == 0.2
    final = train(recipe)
    assert [int(path.name[-8:]) for path in checkpoints(tmp_path / "run")] == [4, 10, 12]
    assert json.loads((final / "run.json").read_text())["steps"] == 4


def test_a_run_without_held_out_losses_ends_with_its_last_weights(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(trainer._Run, "validate", lambda run: None)
    final = train(prepare(tmp_path, "image", final="best"))
    last = load_file(checkpoints(tmp_path / "run")[-1] / "ema.safetensors")
    ended = load_file(final / "model.safetensors")
    assert all(torch.equal(ended[name], last[name]) for name in last)


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "image", steps=1)
    train(recipe)
    parts = attrs.evolve(
        recipe, out=str(tmp_path / "parts"), training=attrs.evolve(recipe.training, accumulate=2)
    )
    train(parts)
    one, two = (
        load_file(tmp_path / name / "checkpoint-00000001/model.safetensors") for name in ("run", "parts")
    )
    for name in one:
        # Adam's first step is lr * sign(gradient): where the gradient is rounding noise its sign is too.
        assert float((one[name] - two[name]).abs().max()) <= 2.1e-3
    differing = np.mean([float(((one[name] - two[name]).abs() > 1e-5).float().mean()) for name in one])
    assert differing < 0.02


@pytest.mark.parametrize(("output", "requested"), [(3, 3), (None, None), (0, None)])
def test_threads_are_the_recipes_or_a_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: int | None, requested: int | None
) -> None:
    seen: list[int | None] = []

    def stop(threads: int | None) -> None:
        seen.append(threads)
        raise InterruptedError

    monkeypatch.setattr(setup, "set_threads", stop)
    with pytest.raises(InterruptedError):
        train(structure_recipe(document(tmp_path, threads=output)))
    assert seen == [requested]


@pytest.mark.parametrize("there", [True, False])
def test_a_processor_without_bf16_trains_in_float32_and_reports_it(
    tmp_path, monkeypatch, request, there
) -> None:
    """Emulated, a step takes some ten times as long: a run that seems to hang."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: there, raising=False)
    recipe = prepare(tmp_path, "image", steps=1, precision="bf16")
    request.addfinalizer(lambda: AcceleratorState._reset_state(True))  # a process keeps its first precision
    AcceleratorState._reset_state(True)
    if there:
        with warnings.catch_warnings():
            warnings.simplefilter("error", JvidWarning)
            final = train(recipe)
    else:
        with pytest.warns(JvidWarning, match="training.precision 'bf16': this processor has no instructions"):
            final = train(recipe)
    assert json.loads((final / "run.json").read_text())["precision"] == ("bf16" if there else "no")


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path, monkeypatch) -> None:
    """Each would put its checkpoints between the other's."""
    recipe = prepare(tmp_path, "image", steps=1)
    out = Path(recipe.out)
    out.mkdir()
    with Lock(out, alone=True), pytest.raises(InputError, match=r"another run \(process \d+\) is writing"):
        train(recipe)
    assert not list(out.glob("checkpoint-*"))
    monkeypatch.setenv("RANK", "1")  # set by hand: it is no process of a job
    with Lock(out, alone=True), pytest.raises(InputError, match=r"another run \(process \d+\) is writing"):
        train(recipe)
    assert not list(out.glob("checkpoint-*"))
    assert train(recipe).name == "final"


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """gloo, two processes of half the batch each: the losses of every step but for the order of a sum."""
    prepare(tmp_path, "video")
    recipe = write_recipe(tmp_path / "recipe.toml", document(tmp_path, "video"))
    assert main(["train", str(recipe)]) == 0
    document_two = document(tmp_path, "video")
    document_two["out"] = str(tmp_path / "two")
    recipe = write_recipe(tmp_path / "two.toml", document_two)
    codes, printed = run_ranks(2, lambda: main(["train", str(recipe)]))
    assert codes == [0, 0], printed
    run = json.loads((tmp_path / "two/final/run.json").read_text())
    assert run["processes"] == 2
    assert printed.count("weights in") == 1
    one = json.loads((tmp_path / "run/final/run.json").read_text())
    np.testing.assert_allclose(
        [e["loss"] for e in run["curve"]], [e["loss"] for e in one["curve"]], rtol=2e-3
    )
    assert len(checkpoints(tmp_path / "two")) == 2


def test_a_signal_leaves_a_checkpoint_and_the_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, "image")
    long = document(tmp_path, steps=5000, checkpoint_every=5000)
    recipe = write_recipe(tmp_path / "recipe.toml", long)
    running = Command(lambda: main(["train", str(recipe)]), tmp_path)
    before: list[str] = []
    for line in running.errors:  # until its first step is done, or it has ended
        before.append(line)
        if line.startswith("tiny 1/5000 "):
            break
    running.process.terminate()
    code, out, errors = running.ended()
    assert code == TRY_AGAIN, (before, errors)
    assert "goes on from it" in out
    (last,) = checkpoints(tmp_path / "run")
    step = json.loads((last / "state.json").read_text())["step"]
    assert step >= 1
    assert not list((tmp_path / "run").glob(".*part*"))
    long["training"]["steps"] = step + 1
    assert main(["train", str(write_recipe(recipe, long))]) == 0
    assert "weights in" in capsys.readouterr().out
    assert json.loads((tmp_path / "run/final/run.json").read_text())["steps"] == step + 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "image")
    train(recipe)
    with pytest.raises(InputError, match=r"another recipe; training\.seed: 0 then, 1 now: give"):
        train(attrs.evolve(recipe, training=attrs.evolve(recipe.training, seed=1)))
    with pytest.raises(InputError, match=r"training.batch: 4 cannot be shared by 1 processes of 3 parts"):
        train(
            attrs.evolve(
                recipe, out=str(tmp_path / "x"), training=attrs.evolve(recipe.training, accumulate=3)
            )
        )


def test_a_checkpoint_older_than_a_key_of_the_recipe_resumes(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "image", steps=2)
    train(recipe)
    state = checkpoints(tmp_path / "run")[-1] / "state.json"
    (state.parent / "manifest.json").unlink()  # which is younger than the key
    older = json.loads(state.read_text())
    del older["recipe"]["training"]["perceptual"]
    state.write_text(json.dumps(older))
    longer = attrs.evolve(recipe, training=attrs.evolve(recipe.training, steps=3))
    assert json.loads((train(longer) / "run.json").read_text())["steps"] == 3


@pytest.mark.parametrize("kind", ["image", "video"])
def test_layers_computed_again_train_the_same_weights(tmp_path: Path, kind: str) -> None:
    recipe = prepare(tmp_path, kind, steps=3)
    again = attrs.evolve(
        recipe, out=str(tmp_path / "again"), training=attrs.evolve(recipe.training, checkpointing=True)
    )
    plain, saving = (load_file(train(each) / "model.safetensors") for each in (recipe, again))
    assert plain.keys() == saving.keys()
    for name, weight in plain.items():
        torch.testing.assert_close(saving[name], weight, atol=2e-4, rtol=1e-3, msg=name)
    # It resumes, with the switch turned off as well.
    longer = attrs.evolve(again, training=attrs.evolve(again.training, steps=4, checkpointing=False))
    assert json.loads((train(longer) / "run.json").read_text())["steps"] == 4
    decoder = attrs.evolve(again, kind="decoder", network={})
    with pytest.raises(InputError, match=r"training.checkpointing: only UNets"):
        train(decoder)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "image", steps=50)
    wild = attrs.evolve(recipe, optimiser=attrs.evolve(recipe.optimiser, lr=1e30, warmup=0))
    with pytest.raises(TrainingError, match=r"the loss is .* at step"):
        train(wild)
