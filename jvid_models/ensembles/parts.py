"""Parts of an ensemble's folder in diffusers' layout, each of which plain diffusers loads.

    UNet3DConditionModel.from_pretrained(FOLDER, subfolder="video")         each expert under its name
    AutoencoderKL.from_pretrained(FOLDER, subfolder="vae")                  of an ensemble with an autoencoder of its own
    DDIMScheduler.from_pretrained(FOLDER, subfolder="scheduler")

Weights are fp16. A video decoder, which is no class of diffusers, stays in ``decoder.safetensors``; prompts and encoders of words
stay in their files, and ``ensemble.json`` makes the whole of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from jvid.extras import extra
from jvid.files import read_json, write_json
from jvid_models.weights import save_weights

__all__ = ["VAE", "WEIGHTS", "inner_weights", "outer_weights", "save_part", "save_scheduler"]

VAE = "vae"
WEIGHTS = "diffusion_pytorch_model.safetensors"
_INNER = "autoencoder."


def save_part(model: Any, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write the configuration of a model of diffusers, and weights in the place of its own."""
    model.save_config(folder)
    path = folder / "config.json"
    config = read_json(path, "JSON as diffusers writes it", "export again")
    # AutoencoderTiny adds it to what it was made with, and warns of it when it is made again.
    if config["_class_name"] == "AutoencoderTiny":
        config.pop("block_out_channels", None)
    write_json(path, {name: value for name, value in config.items() if name != "_name_or_path"})
    save_weights(weights, folder / WEIGHTS, {"format": "pt"})


def save_scheduler(config: Mapping[str, Any], folder: Path) -> None:
    """Write a scheduler of diffusers on an ensemble's schedule."""
    with extra("models"):
        from diffusers import DDIMScheduler

    scheduler: Any = DDIMScheduler(**config, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    scheduler.save_pretrained(folder)


def inner_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an `Autoencoder` by the names of diffusers' model in it."""
    return {name.removeprefix(_INNER): tensor for name, tensor in weights.items()}


def outer_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `inner_weights`."""
    return {f"{_INNER}{name}": tensor for name, tensor in weights.items()}
