"""Whether a network takes the windows of each bucket: its output for one of them, on the meta device.

image, video    eps of the latents' shape
decoder         frames of the bucket's size
"""

from __future__ import annotations

from typing import Any

import torch

from jvid.errors import InputError, one_line
from jvid_training.data.windows import Windows
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import buckets_of, is_bucketed
from jvid_training.train.networks import build_network

__all__ = ["check_sizes"]


def check_sizes(recipe: Recipe, windows: Windows) -> None:
    """Refuse buckets that the recipe's network does not take, before it has weights.

    Those of a published model are checked with its pipeline (`jvid_training.published.latents.check_latents`).

    Raises:
        InputError: with the bucket and what is wrong.
    """
    if not is_bucketed(recipe.data) or recipe.published is not None:
        return
    with torch.device("meta"):
        network: Any = build_network(recipe)
    channels = len(windows.manifest.mean)
    for number, (frames, rows, columns) in windows.shapes().items():
        bucket = buckets_of(recipe.data)[number]
        x = torch.empty(1, channels, frames, rows, columns, device="meta")
        expected = tuple(x.shape)
        try:
            if recipe.kind == "decoder":
                expected = (1, 3, frames, *bucket.size)
                got = tuple(network(x).shape)
            else:
                x = x[:, :, 0] if recipe.kind == "image" else x
                expected = tuple(x.shape)
                text = torch.empty(1, 1, network.config.cross_attention_dim, device="meta")
                n = torch.zeros(1, dtype=torch.int64, device="meta")
                got = tuple(network(x, n, text).sample.shape)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise InputError(_message(bucket, one_line(error, typed=True))) from None
        if got != expected:
            raise InputError(_message(bucket, f"its output is {_sides(got)}, expected {_sides(expected)}"))


def _message(bucket: object, reason: str) -> str:
    return f"network: it does not take the bucket {bucket} (height x width x frames): {reason}; give data.buckets others"


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
