"""Buckets of a recipe: the sizes and lengths that clips are sorted into, each of which a step's batch is of.

    [data] buckets     a list of sizes and lengths
    [data] aspects     sizes of about equal area, one for each aspect ratio: for every multiple w of the step the largest multiple
                       h with h w <= size^2, and the same turned, as far as their ratio is at most `ratio`

The second is aspect-ratio bucketing as Stable Diffusion's fine-tuners have it (NovelAI, 2022,
https://blog.novelai.net/novelai-improvements-on-stable-diffusion-e10d38db82ac). Without either there is one size and one length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from jvid.errors import InputError
from jvid_training.recipe_values import WrongValue, positive

__all__ = ["Aspects", "Bucket", "StatedBucket", "buckets_of", "check_buckets", "is_bucketed"]

_OPTIONAL: Callable[..., Any] = attrs.validators.optional(positive)


@attrs.frozen
class Bucket:
    """Frames of one size, in pixels, and windows of one length."""

    height: int
    width: int
    frames: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.frames}"


@attrs.frozen
class StatedBucket:
    """A bucket of a recipe; what is absent is ``data.size`` or ``data.frames``."""

    height: int | None = attrs.field(default=None, validator=_OPTIONAL)
    width: int | None = attrs.field(default=None, validator=_OPTIONAL)
    frames: int | None = attrs.field(default=None, validator=_OPTIONAL)


def _ratio(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value >= 1:
        raise WrongValue(attribute.name, value, "1 or more")


@attrs.frozen
class Aspects:
    """The rule that derives buckets of about equal area."""

    step: int = attrs.field(validator=positive)
    """Divides the sides, in pixels; a multiple of the autoencoder's factor."""
    ratio: float = attrs.field(default=2.0, validator=_ratio)
    """The longer side over the shorter one, at most."""
    frames: tuple[int, ...] = ()
    """Lengths, each in every size; ``data.frames`` when empty."""

    def sizes(self, size: int) -> tuple[tuple[int, int], ...]:
        """Heights and widths of about ``size^2`` pixels, the squarest first."""
        found = set()
        for width in range(self.step, size * size // self.step + 1, self.step):
            height = size * size // width // self.step * self.step
            if height and max(height, width) <= self.ratio * min(height, width):
                found |= {(height, width), (width, height)}
        return tuple(sorted(found, key=lambda sides: (max(sides) / min(sides), -sides[0] * sides[1], sides)))


def is_bucketed(data: Any) -> bool:
    """Whether a recipe's ``data`` states buckets or their rule."""
    return bool(data.buckets) or data.aspects is not None


def buckets_of(data: Any) -> tuple[Bucket, ...]:
    """The buckets of a recipe's ``data``; that of its size and length alone where none are stated.

    The first one is the shape of an ensemble that is exported.
    """
    if data.aspects is not None:
        lengths = data.aspects.frames or (data.frames,)
        return tuple(
            Bucket(sides[0], sides[1], frames)
            for sides in data.aspects.sizes(data.size)
            for frames in lengths
        )
    stated = data.buckets or (StatedBucket(),)
    return tuple(
        Bucket(
            each.height or data.size,
            each.width or data.size,
            each.frames or data.frames,
        )
        for each in stated
    )


def check_buckets(recipe: Any, where: str) -> None:
    """Refuse buckets that are none, or that do not go with the rest of the recipe. Raises `InputError`."""
    data = recipe.data
    if not is_bucketed(data):
        return
    name = "data.buckets" if data.aspects is None else "data.aspects"
    if data.buckets and data.aspects is not None:
        raise InputError(f"{where}: data.aspects beside data.buckets, which it derives; leave one out")
    if data.aspects is not None and min(data.aspects.frames, default=1) < 1:
        raise InputError(f"{where}: data.aspects.frames: got {list(data.aspects.frames)}, expected 1 or more")
    found = buckets_of(data)
    if not found:
        raise InputError(
            f"{where}: data.aspects: no sides of multiples of {data.aspects.step} have a ratio of at most "
            f"{data.aspects.ratio:g} and {data.size}x{data.size} pixels; lower the step"
        )
    if twice := [str(each) for each in dict.fromkeys(found) if found.count(each) > 1]:
        raise InputError(f"{where}: {name}: {twice[0]} is there twice, expected each once")
    square = all(each.height == each.width for each in found)
    if not square and (data.crop != "centre" or data.crop_size is not None):
        key = "data.crop = 'person'" if data.crop != "centre" else "data.crop_size"
        raise InputError(
            f"{where}: {key} cuts squares, and {name} has others; leave it out, or give each bucket equal sides"
        )
    if recipe.kind == "autoencoder":
        raise InputError(
            f"{where}: {name} of kind 'autoencoder', which learns from square frames of any file; leave it out"
        )
