"""Whether encoded latents are those of a published model: its autoencoder's, in its scale and of a size that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import jvid
from jvid.errors import InputError
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.published.model import PublishedModel
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import buckets_of, is_bucketed

__all__ = ["check_latents", "unnormalised"]


def unnormalised(windows: Windows, latents: Tensor) -> Tensor:
    """Latents ``(c f h w)`` in the autoencoder's own scale, without the mean and deviation of the training data."""
    mean, std = (
        torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)
        for values in (windows.manifest.mean, windows.manifest.std)
    )
    return latents * std + mean


def check_latents(model: PublishedModel, recipe: Recipe, windows: Windows) -> None:
    """Refuse latents of another space, or of a size that the model does not take.

    Raises:
        InputError: in one line, with what differs.
    """
    who, codec = model.denoiser.call.who, recipe.codec
    if not _is_own(model, codec.options.get("folder")):
        found: Any = getattr(jvid.load("codec", codec.name, **codec.options), "space", None)
        if found is not None and found != model.space:
            raise InputError(
                f"codec {codec.name!r} makes latents of {found}, and {who} denoises {model.space}: they differ in "
                f"{' and '.join(found.differences(model.space))}; leave [codec] out, which is then the model's own"
            )
    if is_bucketed(recipe.data):
        _check_buckets(model, recipe, windows)
        return
    window = windows.draw(generator(0, 0, 0))
    got, expected = windows.shape(window, 0 if recipe.kind == "image" else None), model.denoiser.shape
    if got != expected:
        raise InputError(
            f"{recipe.data.latents} holds latents of {' x '.join(map(str, got))} (channels, frames, rows, columns), and {who} "
            f"makes {' x '.join(map(str, expected))} of clips of this size: encode again"
        )


def _check_buckets(model: PublishedModel, recipe: Recipe, windows: Windows) -> None:
    """Learn the pipeline's call at the size of each bucket: while its network is whole, and before the first step."""
    for number, (frames, rows, columns) in windows.shapes().items():
        bucket = buckets_of(recipe.data)[number]
        length = 1 if recipe.kind == "image" else frames
        try:
            model.denoiser.setting_at((1, len(windows.manifest.mean), length, rows, columns))
        except InputError as error:
            raise InputError(f"bucket {bucket} (height x width x frames): {error}") from None


def _is_own(model: PublishedModel, folder: object) -> bool:
    """Whether the latents' autoencoder is of the model's own folder."""
    return isinstance(folder, str) and Path(folder).resolve() in (
        model.folder.resolve(),
        (model.folder / "vae").resolve(),
    )
