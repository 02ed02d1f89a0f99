"""A clip expert trained on stills too: what a step of stills is, its loss, a whole run with its export, and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from jvid.errors import InputError
from jvid_training.data.latents import encode
from jvid_training.data.manifest import load_manifest
from jvid_training.data.windows import HELD_OUT_STEP, Windows
from jvid_training.export import read_run
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.checkpoints import checkpoints
from jvid_training.train.joint import Jointly, manifests_of
from jvid_training.train.objectives import PredictNoise
from jvid_training.train.tasks import objective_of, text_of
from jvid_training.train.trainer import train
from tests.caption_tools import captioned, make_captioned, make_stills
from tests.training_tools import few_held_out_samples, pooled


@pytest.fixture(autouse=True)
def short_validations() -> Iterator[None]:
    with few_held_out_samples(2):
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe of clips and of stills of one space, both encoded."""
    folder = tmp_path_factory.mktemp("joint")
    make_captioned(folder / "clips")
    make_stills(folder / "stills")
    document = captioned(folder, "video", steps=4, batch=2, stills=str(folder / "still-latents"))
    document["text"] = {"name": "words", "options": {"width": 16, "layers": 1, "heads": 2, "trained": True}}
    recipe = structure_recipe(document | {"out": str(folder / "run"), "name": "blocks-video"})
    encode(recipe.data, recipe.codec, folder / "clips", pooled)
    stills = attrs.evolve(
        recipe.data, captions="text", holdout_by="", holdout=(), frames=1, crop_size=None,
        latents=str(folder / "still-latents"), statistics=str(folder / "latents"),
    )  # fmt: skip
    encode(stills, recipe.codec, folder / "stills", pooled)
    return recipe


def objective(recipe: Recipe) -> tuple[Jointly, Windows]:
    windows = Windows(Path(recipe.data.latents))
    task = objective_of(recipe, text_of(recipe, {"train": windows}), torch.device("cpu"))
    assert isinstance(task, Jointly)
    return task, windows


def steps_of(task: Jointly, count: int) -> tuple[list[int], list[int]]:
    """Steps of clips and steps of stills among the first ``count``."""
    stills = [step for step in range(count) if task.is_of_stills(0, step)]
    return [step for step in range(count) if step not in stills], stills


class Square(nn.Module):
    """A network whose answer depends on x, n and text of each row alone."""

    def forward(self, x: torch.Tensor, n: torch.Tensor, text: torch.Tensor) -> Any:
        scale = (n + text.float().sum(1) + 1).reshape(-1, 1, 1, 1, 1)
        return type("Output", (), {"sample": x.square() / scale})


def test_a_step_of_stills_is_of_single_frames_each_with_its_own_noise_and_time(recipe: Recipe) -> None:
    task, windows = objective(recipe)
    clips, stills = steps_of(task, 40)
    frames = windows.length
    of_clips, of_stills = (task.sample(windows, 0, steps[0], 1, 2) for steps in (clips, stills))
    assert of_clips["x"].shape[1] == frames
    assert of_clips["n"].ndim == 0
    assert of_stills["x"].shape == (frames, of_clips["x"].shape[0], 1, *of_clips["x"].shape[2:])
    assert of_stills["n"].shape == (frames,)
    # A stratified batch has each of its b f stills in another of b f equal parts of the times.
    times = torch.cat([task.sample(windows, 0, stills[0], place, 2)["n"] for place in range(2)])
    parts = (times.double().add(0.5).div(1000 / (2 * frames))).floor()
    assert len(set(parts.tolist())) >= 2 * frames - 1  # one shift of all times may wrap within one part
    assert len({float(row.flatten()[0]) for row in of_stills["target"]}) == frames
    pure = PredictNoise(recipe, task.clips.noising, task.clips.text)
    expected = pure.sample(windows, 0, clips[0], 1, 2)
    assert all(torch.equal(of_clips[name], expected[name]) for name in expected)


def test_each_frame_of_stills_has_its_own_loss(recipe: Recipe) -> None:
    task, windows = objective(recipe)
    _, stills = steps_of(task, 40)
    samples = [task.sample(windows, 0, stills[0], place, 2) for place in range(2)]
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    found = task.loss(Square(), batch)
    for row, sample in enumerate(samples):
        each = [
            (Square()(x[None], n[None], text[None]).sample - target).square().mean()
            for x, target, n, text in zip(
                sample["x"], sample["target"], sample["n"], sample["text"], strict=True
            )
        ]
        torch.testing.assert_close(found[row], torch.stack(each))
    torch.testing.assert_close(task.times(batch), (batch["n"] + 1) / 1000)


def test_the_share_of_stills_is_the_recipes_and_held_out_samples_are_clips(recipe: Recipe) -> None:
    for share in (0.0, 0.25, 1.0):
        training = attrs.evolve(recipe.training, stills_share=share)
        task, _ = objective(attrs.evolve(recipe, training=training))
        counted = len(steps_of(task, 1000)[1]) / 1000
        assert counted == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 1000))
        assert not task.is_of_stills(0, HELD_OUT_STEP)


def test_a_run_trains_on_both_and_resumes(recipe: Recipe, tmp_path: Path) -> None:
    whole, broken = (attrs.evolve(recipe, out=str(tmp_path / name)) for name in ("whole", "broken"))
    train(whole)
    train(attrs.evolve(broken, training=attrs.evolve(recipe.training, steps=2)))
    assert checkpoints(tmp_path / "broken")
    train(broken)
    one, other = (read_run(Path(each.out), "video") for each in (whole, broken))
    weights = other.network.state_dict()
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-6)


def test_stills_that_do_not_fit_are_refused_in_one_line(recipe: Recipe, tmp_path: Path) -> None:
    main = load_manifest(Path(recipe.data.latents))

    def refused(match: str, **changes: Any) -> None:
        of = attrs.evolve(recipe, **{key: value for key, value in changes.items() if key == "kind"})
        stills = changes.get("stills", recipe.training.stills)
        of = attrs.evolve(of, training=attrs.evolve(recipe.training, stills=stills))
        with pytest.raises(InputError, match=match) as caught:
            manifests_of(of, changes.get("main", main))
        assert "\n" not in str(caught.value)

    refused("training.stills: got a recipe of kind 'image', expected 'video'", kind="image")
    refused(r"holds windows of up to \d+ frames, expected 1", stills=recipe.data.latents)
    refused("no latents in", stills=str(tmp_path))
    refused("is of another latent space.*mean", main=attrs.evolve(main, mean=tuple(m + 1 for m in main.mean)))


def test_fixed_parameters_keep_their_values(recipe: Recipe, tmp_path: Path) -> None:
    """In the weights and in their average; the others move."""
    training = attrs.evolve(recipe.training, steps=2, fixed=("unet.down_blocks.*",))
    some = attrs.evolve(recipe, out=str(tmp_path / "fixed"), training=training)
    first = attrs.evolve(some, out=str(tmp_path / "first"), training=attrs.evolve(training, steps=1))
    train(first)
    train(some)
    one, two = (read_run(Path(each.out), "video").network.state_dict() for each in (first, some))
    moved = {name for name in one if not torch.equal(one[name], two[name])}
    assert moved
    assert not [name for name in moved if name.startswith("down_blocks.")]
