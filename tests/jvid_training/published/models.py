"""Folders of tiny published models, and samples of random latents for their networks, without clips and an encoding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.published import tiny
from jvid.files import write_json
from jvid_models.adapters.pipelines.outputs import PipelineOutputs
from jvid_models.weights import save_weights
from jvid_training.published.model import PublishedModel, load_model
from jvid_training.published.network import PublishedNetwork
from jvid_training.recipe import Recipe, structure_recipe, to_document
from jvid_training.train.noising import Noising
from jvid_training.train.objectives import PredictOutput

CAPTIONS = ("a red cat", "blue dogs run")
SEED, STEP, BATCH = 3, 5, 2


def saved(factory: pytest.TempPathFactory, name: str) -> Path:
    """The folder of a tiny pipeline, written once for all tests of a process."""
    folder = factory.getbasetemp() / "published" / name.replace(":", "-")
    if not folder.is_dir():
        tiny.build(name).pipe.save_pretrained(folder)
    return folder


def recipe_of(folder: Path, **sections: Any) -> Recipe:
    """A recipe of stills of 64x64, or of ``frames`` frames, that starts from a folder."""
    frames = sections.pop("frames", 1)
    network = {"pipeline": str(folder), **sections.pop("network", {})}
    return structure_recipe(
        {
            "name": "published",
            "kind": "image" if frames == 1 else "video",
            "out": "unused",
            "data": {"root": "unused", "latents": "unused", "size": 64, "frames": frames},
            "network": network,
            "training": {"steps": 1, "batch": BATCH, "drop": 0.5, **sections.pop("training", {})},
            **sections,
        }
    )


class RandomWindows:
    """Windows of random latents ``(c f h w)`` in the scale of an encoding with another mean and deviation."""

    def __init__(self, shape: tuple[int, ...], stills: bool) -> None:
        c, f, h, w = shape
        self.length = 3 if stills else f
        self.manifest = SimpleNamespace(mean=(0.25,) * c, std=(2.0,) * c)
        draws = torch.Generator().manual_seed(7)
        self.values = torch.randn((4, c, self.length, h, w), generator=draws)

    def bucket(self, seed: int, step: int, place: int) -> None:
        """None: one size."""

    def draw(self, random: Any, bucket: None = None) -> Any:
        number = int(random.integers(4))
        return SimpleNamespace(number=number, length=self.length, action="run", captions=CAPTIONS)

    def shape(self, window: Any, frame: int | None = None) -> tuple[int, ...]:
        return tuple(self.latents(window, frame).shape)

    def latents(self, window: Any, frame: int | None = None) -> Tensor:
        found = self.values[window.number]
        return found if frame is None else found[:, frame : frame + 1]

    def stacked_latents(self, windows: list[Any], frames: list[int] | None = None) -> Tensor:
        return torch.stack(
            [self.latents(*each) for each in zip(windows, frames or [None] * len(windows), strict=True)]
        )


def loaded(recipe: Recipe, **options: Any) -> tuple[PublishedModel, PublishedNetwork]:
    """The model and its network, whose adapters are no longer without effect."""
    model = load_model(recipe, CAPTIONS)
    torch.manual_seed(0)
    network = PublishedNetwork(model, recipe, **options)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model, network


def batch_of(recipe: Recipe, model: PublishedModel) -> tuple[dict[str, Tensor], PredictOutput, RandomWindows]:
    """One batch of the objective."""
    windows = RandomWindows(model.denoiser.shape, recipe.kind == "image")
    objective = PredictOutput(recipe, Noising.of(recipe, model.levels, model.shift), model.prompts)
    rows = [objective.sample(windows, SEED, STEP, place, BATCH) for place in range(BATCH)]  # type: ignore[arg-type]
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}, objective, windows


def gradients(network: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Gradients by name, which are cleared."""
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            yield name, parameter.grad.clone()
            parameter.grad = None


def written_run(recipe: Recipe, network: PublishedNetwork, out: Path) -> Path:
    """The ``out`` folder of a run that ended with the network's weights."""
    (out / "final").mkdir(parents=True)
    save_weights(network.state_dict(), out / "final/model.safetensors")
    write_json(out / "final/run.json", {"recipe": to_document(recipe), "text": None})
    return out


def called_with(
    network: PublishedNetwork, model: PublishedModel
) -> tuple[tuple[Any, ...], dict[str, Any], Tensor]:
    """The arguments of the model's network for random latents, and what it puts out."""
    seen: list[Any] = []
    hook = network.network.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args, kwargs)), with_kwargs=True
    )
    x = torch.randn((1, *model.denoiser.shape), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        PipelineOutputs(model.denoiser)(x, torch.tensor([0.5]), [CAPTIONS[0]])
        hook.remove()
        args, kwargs = seen[-1]
        return args, kwargs, output(network.network, args, kwargs)


def output(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """What a network of diffusers puts out."""
    with torch.no_grad():
        found = module(*args, **kwargs)
    return found[0] if isinstance(found, tuple) else found.sample


def off(one: Tensor, other: Tensor) -> float:
    """The largest difference over the largest value."""
    return float((one - other).abs().max() / other.abs().max())
