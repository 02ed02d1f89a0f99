"""Values that are not finite and losses that diverge: found, named, left out, mended."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import load_file

from jvid.cli import main
from jvid.errors import InputError, JvidWarning
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train import guard
from jvid_training.train.batches import Batches
from jvid_training.train.checkpoints import best, checkpoints, save_checkpoint
from jvid_training.train.curves import plot_curves
from jvid_training.train.guard import Guard, TrainingError, not_finite
from jvid_training.train.objectives import PredictNoise
from jvid_training.train.trainer import train
from tests.forks import run_ranks
from tests.training_tools import document, few_held_out_samples, prepare, write_recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clips, latents and prompts."""
    folder = tmp_path_factory.mktemp("data")
    prepare(folder, "image")
    return folder


def run_in(out: Path, data: Path, kind: str = "image", **training: Any) -> Recipe:
    """A recipe on the common data."""
    return attrs.evolve(structure_recipe(document(data, kind, **training)), out=str(out / "run"))


def changed(recipe: Recipe, optimiser: dict | None = None, **training) -> Recipe:
    return attrs.evolve(
        recipe,
        training=attrs.evolve(recipe.training, **training),
        optimiser=attrs.evolve(recipe.optimiser, **(optimiser or {})),
    )


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int], gradient: bool = False) -> None:
    """NaN in the loss of the second sample of these steps, or in the gradient alone."""
    usual, now = PredictNoise.loss, {"step": -1}
    drawn = PredictNoise.samples

    def samples(self, windows, seed, step, places, batch):
        now["step"] = step
        return drawn(self, windows, seed, step, places, batch)

    def loss(self, network, batch):
        found = usual(self, network, batch)
        if now["step"] not in steps:
            return found
        if gradient:
            found.register_hook(lambda grad: grad * math.nan)
            return found
        return torch.where(torch.arange(len(found)) == 1, math.nan, 1.0) * found

    monkeypatch.setattr(PredictNoise, "samples", samples)
    monkeypatch.setattr(PredictNoise, "loss", loss)


def clip_at(recipe: Recipe, folder: Path, step: int, place: int) -> str:
    """The clip that a sample is of, by the rule of `jvid_training.data.windows`."""
    return Windows(folder / "latents").draw(generator(recipe.training.seed, step, place)).sequence.clip


@pytest.mark.parametrize("gradient", [False, True])
def test_a_step_that_is_not_finite_ends_the_run_before_the_weights(
    tmp_path: Path, data: Path, monkeypatch, gradient: bool
) -> None:
    recipe = run_in(tmp_path, data, "image")
    with monkeypatch.context() as patch:
        poison(patch, {2}, gradient)
        with pytest.raises(TrainingError) as caught:
            train(recipe)
    message = str(caught.value)
    assert ("norm of the gradient is nan" if gradient else "the loss is nan") in message
    assert "at step 2 (" in message
    assert clip_at(recipe, data, 2, 1) in message
    assert "lower optimiser.lr" in message
    assert 'training.non_finite = "skip"' in message
    assert "\n" not in message
    (last,) = checkpoints(tmp_path / "run")
    assert not not_finite(load_file(last / "model.safetensors"))
    assert json.loads((last / "state.json").read_text())["step"] == 2

    # The remedy of the message is taken, and recorded.
    final = train(changed(recipe, {"lr": 1e-4, "eps": 1e-6}))
    run = json.loads((final / "run.json").read_text())
    assert run["changes"] == [
        {"step": 2, "keys": ["optimiser.lr: 0.001 then, 0.0001 now", "optimiser.eps: 1e-08 then, 1e-06 now"]}
    ]


def test_steps_are_left_out_by_policy_and_recorded(tmp_path: Path, data: Path, monkeypatch) -> None:
    recipe = run_in(tmp_path, data, "image", non_finite="skip")
    poison(monkeypatch, {1, 2})
    with pytest.warns(JvidWarning, match=r"the loss is nan at step 1 .*: the step is left out"):
        final = train(recipe)
    run = json.loads((final / "run.json").read_text())
    assert [each["step"] for each in run["skipped"]] == [1, 2]
    assert clip_at(recipe, data, 1, 1) in run["skipped"][0]["clips"]
    assert ["loss" in entry for entry in run["curve"]] == [True, False, False, True]
    plot_curves([tmp_path / "run"], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()
    assert not not_finite(load_file(final / "model.safetensors"))
    with pytest.raises(
        TrainingError, match=r"in the 1 steps before, which were left out \(training.max_skips\)"
    ):
        train(attrs.evolve(changed(recipe, max_skips=1), out=str(tmp_path / "again")))


def test_latents_that_are_not_finite_are_named_as_the_cause(tmp_path: Path, data: Path, monkeypatch) -> None:
    recipe = run_in(tmp_path, data, "video", steps=1, batch=2)
    clip = clip_at(recipe, data, 0, 0)
    usual = Windows.stacked_latents

    def latents(self, windows, frames=None):
        factors = [math.nan if window.sequence.clip == clip else 1 for window in windows]
        return usual(self, windows, frames) * torch.tensor(factors).view(-1, 1, 1, 1, 1)

    monkeypatch.setattr(Windows, "stacked_latents", latents)
    with pytest.raises(
        TrainingError, match=rf"{clip}.*these latents are not finite: encode those clips again"
    ):
        train(recipe)


def test_weights_are_examined_before_a_checkpoint(tmp_path: Path, data: Path, monkeypatch) -> None:
    recipe = run_in(tmp_path, data, "image", checkpoint_every=1)
    usual, calls = torch.optim.AdamW.step, []

    def step(self, closure=None):
        usual(self, closure)
        calls.append(closure)
        if len(calls) == 2:
            self.param_groups[0]["params"][3].data.view(-1)[0] = math.inf

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(
        TrainingError, match=r"weights are not finite at step 2 \(.+\); no checkpoint of them"
    ):
        train(recipe)
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-00000001"]


def test_a_held_out_loss_that_is_not_finite_is_no_best_one(tmp_path: Path, data: Path, monkeypatch) -> None:
    for step, validation in ((1, 0.4), (2, math.nan), (3, -math.inf)):
        save_checkpoint(tmp_path / "some", step, {}, {}, {}, {"validation": validation}, keep=5)
    assert best(tmp_path / "some").name == "checkpoint-00000001"

    recipe = run_in(tmp_path, data, "image", steps=2)
    monkeypatch.setattr(
        "jvid_training.train.trainer.held_out_figures", lambda *_: ({"loss": math.nan}, ["walk/eve"])
    )
    with pytest.raises(TrainingError, match=r"the loss on held-out actors is nan at step 2 \(walk/eve\)"):
        train(recipe)
    assert not checkpoints(tmp_path / "run")
    with pytest.warns(JvidWarning, match="it counts as unknown"):
        train(changed(recipe, non_finite="skip"))
    state = json.loads((checkpoints(tmp_path / "run")[-1] / "state.json").read_text())
    assert state["validation"] is None


def test_two_processes_end_together_and_name_the_clip_of_either(
    tmp_path: Path, data: Path, monkeypatch
) -> None:
    """Place 1 of the batch is the first process's, 3 the second's: here the second of each."""
    recipe = run_in(tmp_path, data, "image")
    poison(monkeypatch, {1})
    path = write_recipe(tmp_path / "recipe.toml", document(data) | {"out": str(tmp_path / "run")})
    codes, printed = run_ranks(2, lambda: main(["train", str(path)]))
    assert codes == [2, 2], printed
    for place in (1, 3):
        assert clip_at(recipe, data, 1, place) in printed


def watched(recipe: Recipe, losses: list[float]) -> int | None:
    """The step at which a guard stops."""
    batches = Batches(recipe.training, None, {}, Ranks(), torch.device("cpu"))
    watch = Guard(recipe, batches)
    for step, loss in enumerate(losses):
        if step == len(losses) // 2:  # as after a resume
            state, watch = json.loads(json.dumps(watch.state())), Guard(recipe, batches)
            watch.load(state)
        try:
            assert watch.accepts(step, loss, 1.0, torch.tensor([loss]))
        except TrainingError:
            return step
    return None


def test_divergence_is_seen_by_a_running_median(tmp_path: Path) -> None:
    recipe = structure_recipe(document(tmp_path))
    falling = [1 / (1 + step / 20) for step in range(400)]  # to .05; its first median is .36
    spikes = [loss if step % 3 else 5.0 for step, loss in enumerate([*falling, *[0.05] * 600])]
    assert watched(recipe, spikes) is None, "a third of the losses are spikes"
    stopped = watched(recipe, [*falling, *[1.0] * 600])
    assert stopped is not None
    # The median of 100 losses is 1.0 once half of them are.
    assert 449 <= stopped <= 451
    assert watched(changed(recipe, divergence=0.0), [*falling, *[1.0] * 600]) is None
    assert watched(recipe, [*falling, *[1e-3] * 200, *[1e-2] * 400]) is None, "learnt by heart"
    assert guard.WINDOW == 100


def test_what_is_not_finite_is_named() -> None:
    tensors = {
        "a": torch.tensor([1.0, math.nan]),
        "b": torch.full((3,), 1e30),
        "c": torch.tensor([-math.inf]),
        "d": torch.tensor([1]),
        "e": torch.zeros(0),
    }
    assert not_finite(tensors) == ["a", "c"]
    assert not_finite({}) == []


def test_held_out_samples_are_shared_and_counted_once(tmp_path: Path, data: Path) -> None:
    """Seven samples over two processes of two: the last round has one left, for one process."""
    recipe = run_in(tmp_path, data, "image", steps=1)
    path = write_recipe(tmp_path / "r.toml", document(data, steps=1) | {"out": str(tmp_path / "two")})
    with few_held_out_samples(7):
        one = json.loads((train(recipe) / "run.json").read_text())["curve"][-1]["validation"]
        codes, printed = run_ranks(2, lambda: main(["train", str(path)]))
    assert codes == [0, 0], printed
    found = json.loads((tmp_path / "two/final/run.json").read_text())["curve"][-1]["validation"]
    assert found == pytest.approx(one, rel=1e-5)


def test_a_recipe_names_its_policy(tmp_path: Path, data: Path) -> None:
    with pytest.raises(InputError, match=r"training.non_finite"):
        run_in(tmp_path, data, "image", non_finite="ignore")
