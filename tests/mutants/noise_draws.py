"""Wrong noise samplers: clips, channels, pixels and steps that share what they should not, draws of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from jvid.core.protocols import Draw
from tests.mutants import mutant
from tests.mutants.noise_bases import Shared


@mutant("noise", "clips_are_independent")
class shared_by_the_batch(Shared):
    """The shared part is shared by clips as well."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        b, c, _, h, w = shape
        shared = draw("shared", (b, c, 1, h, w))[:1]
        return math.sqrt(self.ratio) * shared + math.sqrt(1.0 - self.ratio) * draw("own", shape)


@mutant("noise", "clips_are_independent")
class pairs_of_opposites(Shared):
    """Every second clip is the last one's opposite."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        return torch.cat([z, -z], 1).reshape(-1, *z.shape[1:])[: shape[0]]


@mutant("noise", "clips_are_independent")
class one_size_for_two(Shared):
    """Clips of a pair share their magnitudes, not their signs: uncorrelated, and not independent."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        return z.abs().repeat_interleave(2, 0)[: shape[0]] * z.sign()


@mutant("noise", "places_are_independent")
class shared_by_channels(Shared):
    """The shared part is shared by channels as well."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        b, _, _, h, w = shape
        shared = draw("shared", (b, 1, 1, h, w))
        return math.sqrt(self.ratio) * shared + math.sqrt(1.0 - self.ratio) * draw("own", shape)


@mutant("noise", "places_are_independent")
class shared_by_pixels(Shared):
    """The shared part is one number a frame: an axis too many is 1."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        shared = draw("shared", (*shape[:2], 1, 1, 1))
        return math.sqrt(self.ratio) * shared + math.sqrt(1.0 - self.ratio) * draw("own", shape)


@mutant("noise", "places_are_independent")
class repeated_columns(Shared):
    """Noise of half the width, repeated."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        half = draw("own", (*shape[:4], (shape[4] + 1) // 2))
        return half.repeat_interleave(2, -1)[..., : shape[4]]


@mutant("noise", "steps_are_independent")
class draws_once(Shared):
    """The first noise is kept and given at every step."""

    def __init__(self) -> None:
        self.kept: dict[Any, Tensor] = {}

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return self.kept.setdefault(tuple(shape), super().__call__(shape, draw))


@mutant("noise", "a_clip_is_the_same_in_any_batch")
class centred_over_the_batch(Shared):
    """The mean of the batch is taken off."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        return z - 1e-3 * z.mean(0, keepdim=True)


@mutant("noise", "a_clip_is_the_same_in_any_batch")
class folded_the_wrong_way(Shared):
    """Frames and clips are folded in the wrong order: a clip's frames are another clip's."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        return z.transpose(0, 2).reshape(shape)


@mutant("noise", "the_same_whatever_came_before")
class goes_on(Shared):
    """The last noise is mixed in: the noise of a step depends on what was drawn before."""

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        last, self.last = self.last, z
        return z if last is None or last.shape != z.shape else 0.6 * last + 0.8 * z


@mutant("noise", "shape_and_dtype_kept")
class single_frames_lost(Shared):
    """A single frame loses its axis."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return super().__call__(shape, draw).squeeze(2)


@mutant("noise", "shape_and_dtype_kept")
class single_precision(Shared):
    """The noise is float32 whatever the draws are."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return super().__call__(shape, draw).float()


@mutant("noise", "shape_and_dtype_kept")
class deviation_of_one_frame(Shared):
    """Divided by the deviation over frames, which a single frame does not have."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = super().__call__(shape, draw)
        off = z - z.mean(2, keepdim=True)
        return z * (off**2).sum(2, keepdim=True).rsqrt() * math.sqrt(shape[2] - 1)


@mutant("noise", "made_of_draws_alone")
class a_generator_of_its_own(Shared):
    """A part comes from a generator of its own, seeded the same each time."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        z = draw("own", shape)
        own = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
        return math.sqrt(0.5) * (z + own)


@mutant("noise", "globals_untouched")
class global_noise(Shared):
    """torch's global generator."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return torch.randn(*shape)


@mutant("noise", "draws_have_names")
class names_by_batch(Shared):
    """The name of a draw tells the number of clips."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        return draw(f"own {shape[0]}", shape)


@mutant("noise", "draws_have_names")
class one_name_for_two(Shared):
    """One name for two draws of different shapes, which begin with the same numbers."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        b, c, _, h, w = shape
        return math.sqrt(self.ratio) * draw("z", (b, c, 1, h, w)) + math.sqrt(1.0 - self.ratio) * draw(
            "z", shape
        )


@mutant("noise", "draws_are_not_written_on")
class scales_in_place(Shared):
    """The draw is scaled in place."""

    def __call__(self, shape: Sequence[int], draw: Draw) -> Tensor:
        b, c, _, h, w = shape
        return draw("own", shape).mul_(math.sqrt(1.0 - self.ratio)) + math.sqrt(self.ratio) * draw(
            "shared", (b, c, 1, h, w)
        )
