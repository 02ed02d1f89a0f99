"""The batches that a network of a recipe is trained on, as meta tensors: shapes and dtypes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import Bucket, buckets_of

__all__ = ["Denoising", "Shapes", "batches_of", "forms_of"]

_META = torch.device("meta")


@attrs.frozen
class Shapes:
    """What the shapes of a batch depend on, beside the recipe.

    Attributes:
        channels: of the latents.
        factor: how many times smaller than a frame's the latents' sides are.
        tokens: of a prompt; None where a batch holds rows of the table of prompts.
        width: of a token's embedding; None where a batch holds numbers of tokens, or rows.
        shares: of the steps that are of each bucket; equal ones where that is not known.
    """

    channels: int
    factor: int
    tokens: int | None = 1
    width: int | None = None
    shares: tuple[float, ...] = ()


class Denoising:
    """The objective of a UNet whose own could not be made: a loss of the same cost, of batches of `batches_of`."""

    def __init__(self, frames: bool) -> None:
        """``frames``: whether the network takes single ones."""
        self._frames = frames

    def sample(self, windows: Any, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Not available: nothing is drawn in an estimate."""
        raise NotImplementedError

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error, per sample."""
        if batch["n"].ndim > 1:
            batch = {name: values.flatten(0, 1) for name, values in batch.items()}
        x, target = (batch[name][:, :, 0] if self._frames else batch[name] for name in ("x", "target"))
        output = network(x, batch["n"], batch["text"]).sample
        return (output.float() - target).square().flatten(1).mean(1)


def batches_of(recipe: Recipe, shapes: Shapes, size: int) -> list[tuple[float, dict[str, Tensor]]]:
    """Batches of ``size`` samples, each with the share of the steps that are of its form; shares sum to 1.

    The largest bucket comes first, stills last.
    """
    data, training = recipe.data, recipe.training
    if recipe.kind == "autoencoder":
        pixels = training.patch or data.size
        latents = (size, shapes.channels, pixels // shapes.factor, pixels // shapes.factor)
        return [(1.0, {"x": _floats(size, 3, pixels, pixels), "noise": _floats(*latents)})]
    found = []
    for bucket, share in forms_of(recipe, shapes.shares):
        sides = bucket.height // shapes.factor, bucket.width // shapes.factor
        if recipe.kind == "decoder":
            x = _floats(size, shapes.channels, bucket.frames, *sides)
            batch = {"x": x, "target": _floats(size, 3, bucket.frames, *bucket.size)}
        else:
            batch = _noisy((size,), shapes, bucket.frames, sides)
        found.append((share, batch))
    if not training.stills:
        return found
    first = buckets_of(data)[0]
    sides = first.height // shapes.factor, first.width // shapes.factor
    most = max(bucket.frames for bucket in buckets_of(data))
    stills = training.stills_share
    return [
        *((share * (1.0 - stills), batch) for share, batch in found),
        (stills, _noisy((size, most), shapes, 1, sides)),
    ]


def forms_of(recipe: Recipe, chances: Sequence[float]) -> list[tuple[Bucket, float]]:
    """The buckets that batches differ in, each with its share of the steps, the largest first.

    Args:
        recipe: of the run.
        chances: of the recipe's buckets; equal ones if empty.
    """
    every = buckets_of(recipe.data)
    shares: dict[Bucket, float] = {}
    for bucket, share in zip(every, chances or [1 / len(every)] * len(every), strict=True):
        form = attrs.evolve(bucket, frames=1) if recipe.kind == "image" else bucket
        shares[form] = shares.get(form, 0.0) + share
    known = [(bucket, share) for bucket, share in shares.items() if share]
    return sorted(known, key=lambda form: -form[0].height * form[0].width * form[0].frames)


def _noisy(lead: tuple[int, ...], shapes: Shapes, frames: int, sides: tuple[int, int]) -> dict[str, Any]:
    x = (*lead, shapes.channels, frames, *sides)
    prompt = lead if shapes.tokens is None else (*lead, shapes.tokens)
    text = (
        torch.empty(prompt, dtype=torch.int64, device=_META)
        if shapes.width is None
        else _floats(*prompt, shapes.width)
    )
    n = torch.empty(lead, dtype=torch.int64, device=_META)
    return {"x": _floats(*x), "target": _floats(*x), "n": n, "text": text}


def _floats(*shape: int) -> Tensor:
    return torch.empty(shape, device=_META)
