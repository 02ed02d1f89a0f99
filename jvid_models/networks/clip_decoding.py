"""A clip through a `VideoDecoder` in bounded memory: the same function, computed in another order.

    spatial parts    some frames at a time
    temporal parts   all frames at some places at a time, added in place: (3,1,1) sees no neighbouring place
    doubling         nearest doubling, then 3x3 = four 2x2 kernels, one for each parity of row and column

Frames cannot be decoded apart: attention and the normalisation before each temporal part look at the whole clip (mean
and deviation are over all frames), so all frames pass a block before the next begins. In between, one tensor a frame is
kept, and no more: a frame of one level goes as its successor on the next comes.

Where a level's kept frames would take more than ``budget`` bytes, the rest is walked in windows of the clip: once for each
normalisation's statistics, once for the pixels. A temporal part spoils two frames at a window's edge, so windows overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jvid_models.networks.clip_layers import (
    Affine,
    add_over_time_,
    doubled,
    finish,
    of_clip,
    parities,
    residual_,
    statistics,
)

if TYPE_CHECKING:
    from jvid_models.networks.video_decoder import VideoDecoder

__all__ = ["ClipDecoding"]

HALO = 2  # two convolutions over three frames each
PLACES = 32  # at a time, at least: with fewer, calls cost more than the memory is worth


class ClipDecoding:
    """``decoder`` on one clip of any length, ``chunk`` frames at a time, within about ``budget`` bytes of kept frames.

    The lowest level is kept whatever the budget: at the default widths two thirds of what the pixels take.
    """

    def __init__(self, decoder: VideoDecoder, chunk: int, budget: int) -> None:
        self.decoder, self.chunk, self.budget = decoder, chunk, budget
        stages: list[Any] = list(decoder.stages)
        self.blocks: list[Any] = [block for stage in stages for block in stage]
        counts = [len(stage) for stage in stages]
        self.starts = [sum(counts[:level]) for level in range(len(counts) + 1)]  # of levels, in blocks

    def __call__(self, latents: Tensor, out: Callable[[], Tensor]) -> None:
        """``latents (c f h w)``, of the weights' device and type, to pixels in ``out() (3 f H W)``, clamped to [-1, 1].

        ``out`` makes room, and is called when the first pixels come: most memory is needed before.
        """
        f, places = latents.shape[1], latents.shape[2] * latents.shape[3]
        channels = self.decoder.config["channels"]
        # of one frame at each level
        self.bytes = [
            width * places * 4**level * latents.element_size() for level, width in enumerate(channels)
        ]
        frames, affines = self._enter(latents), list[Affine]()
        level = 0
        while level < len(channels) and (level == 0 or f * self.bytes[level] <= self.budget):
            self._through(frames, self.starts[level], self.starts[level + 1], affines, (0, f), f)
            level += 1
        if level == len(channels):
            self._leave(frames, out())
        else:
            self._by_windows(frames, level, affines, out)

    def _by_windows(
        self, kept: list[Tensor], level: int, affines: list[Affine], out: Callable[[], Tensor]
    ) -> None:
        """From the frames before ``level`` to pixels."""
        f, done, end = len(kept), self.starts[level], len(self.blocks)
        room = self.budget - f * self.bytes[level - 1]
        for last in range(done, end + 1):
            most = max(self.bytes[level : self._level(min(last, end - 1)) + 1])
            size = max(room // most - 2 * HALO, 2 * HALO)
            found: list[Tensor] = []
            for a in range(0, f, size):
                b, reach = min(a + size, f), HALO * (last - done)
                start, stop = max(a - reach, 0), min(b + reach, f)
                frames = kept[start:stop]
                start = self._through(frames, done, last, affines, (start, stop), f)
                frames = frames[a - start : b - start]
                if last == end:
                    self._leave(frames, out()[:, a:b])
                else:
                    found.append(self._spatial(frames, last))
            if last < end:
                affines.append(of_clip(torch.cat(found), self.blocks[last].temporal[0]))

    def _through(
        self,
        frames: list[Tensor],
        first: int,
        last: int,
        affines: list[Affine],
        span: tuple[int, int],
        f: int,
    ) -> int:
        """Blocks ``first`` to ``last``, of frames ``span`` of ``f``, in ``frames`` itself; the first frame left.

        A normalisation that is not in ``affines`` yet is found from these frames, which are then the whole clip.
        """
        start, stop = span
        for number in range(first, last):
            found = self._spatial(frames, number)
            temporal = self.blocks[number].temporal
            if number == len(affines):
                affines.append(of_clip(found, temporal[0]))
            add_over_time_(frames, temporal, affines[number], self._places(frames))
            if start > 0:
                del frames[:HALO]
                start += HALO
            if stop < f:
                del frames[-HALO:]
                stop -= HALO
        return start

    def _enter(self, latents: Tensor) -> list[Tensor]:
        """Latents -> frames ``(1 c h w)`` of the lowest level, attention over the clip included."""
        entry, attention = self.decoder.entry, self.decoder.attention
        frames: list[Tensor] = []
        normed_frames: list[Tensor] = []
        for part in latents.transpose(0, 1).split(self._many(0)):
            h = entry(torch.tanh(part / 4) * 4)
            frames += h.split(1)
            normed_frames += attention.norm(h).split(1)
        flat, inputs = ([frame.flatten(2)[0] for frame in side] for side in (frames, normed_frames))
        places = self._places(frames)
        for start in range(0, flat[0].shape[1], places):
            band = slice(start, start + places)
            rows = torch.stack([frame[:, band] for frame in inputs]).permute(2, 0, 1)  # places f c
            for frame, added in zip(flat, attention.mixed(rows).unbind(1), strict=True):
                frame[:, band] += added.T
        return frames

    def _spatial(self, frames: list[Tensor], number: int) -> Tensor:
        """Doubling where a level begins, then the block's spatial part; the frames' statistics ``(f 2 groups)``."""
        level = self._level(number)
        doubling = level > 0 and number == self.starts[level]
        block, many = self.blocks[number], self._many(level)
        widen: Any = self.decoder.widen[level - 1] if doubling else None
        kernels = [] if widen is None else parities(widen.weight)
        found: list[Tensor] = []
        for start in range(0, len(frames), many):
            part = slice(start, start + many)
            h = _joined(frames, part)
            if widen is not None:
                h = doubled(h, kernels, widen.bias)
            frames[part] = h.split(1)  # the lower level's are freed, or changed in place
            residual_(h, block.spatial)
            found.append(statistics(h, block.temporal[0]))
        return torch.cat(found)

    def _leave(self, frames: list[Tensor], out: Tensor) -> None:
        for start in range(0, len(frames), self.chunk):
            part = slice(start, start + self.chunk)
            finish(_joined(frames, part), self.decoder.exit_norm, self.decoder.exit, out[:, part])

    def _level(self, number: int) -> int:
        return next(k for k, start in enumerate(self.starts[1:]) if number < start)

    def _many(self, level: int) -> int:
        """Frames at a time: as many as take the memory of ``chunk`` at the highest level."""
        return max(self.chunk * self.bytes[-1] // self.bytes[level], 1)

    def _places(self, frames: list[Tensor]) -> int:
        """Places at a time: as many as take a quarter of the memory of the frames at a time."""
        height, width = frames[0].shape[2:]
        many = max(self.chunk * self.bytes[-1] // frames[0].nbytes, 1)
        return max(many * height * width // (4 * len(frames)), PLACES)


def _joined(frames: list[Tensor], part: slice) -> Tensor:
    """Some frames as one batch; a single one itself, uncopied."""
    return frames[part.start] if len(frames[part]) == 1 else torch.cat(frames[part])
