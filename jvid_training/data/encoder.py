"""A codec's encoder over decoded frames, on a processor or a GPU.

    frames (f, H, W, 3) uint8 -> pinned memory -> the device -> [-1, 1] -> codec, `batch` frames at a time -> (f, c, h, w) float32

Frames cross to a GPU as bytes, a quarter of their size as numbers, from pinned memory, so that the processor goes on with the
next while they are on their way. A codec that encodes each frame by itself gets a stretch of a clip at a time: a clip of any
length takes the memory of one stretch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.codecs import ImageCodec

__all__ = ["FrameEncoder", "encoder_of"]

_STRETCH = 64
"""Frames of a clip that are encoded at a time, rounded up to whole batches."""
_GPU_BATCH = 32


@attrs.frozen
class FrameEncoder:
    """Frames to latents; see the module's head.

    Attributes:
        encode: video ``(1 3 f H W)`` in [-1, 1] -> latents ``(1 c f h w)``.
        device: where the video is passed.
        stretch: frames that are passed at a time; None passes a clip whole, as a codec over time needs.
        rate: frames to a row of latents (`jvid_training.data.rates`).
    """

    encode: Callable[[Tensor], Tensor]
    device: str = "cpu"
    stretch: int | None = None
    rate: int = 1

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Frames ``(f, H, W, 3)`` uint8 -> latents ``(f, c, h, w)`` float32."""
        step = self.stretch or len(frames)
        parts = [self._part(frames[first : first + step]) for first in range(0, len(frames), step)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _part(self, frames: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(np.ascontiguousarray(frames))
        if self.device.startswith("cuda"):
            pixels = pixels.pin_memory()
        pixels = pixels.to(self.device, non_blocking=True)
        video = pixels.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        with torch.inference_mode():
            latents: np.ndarray = self.encode(video)[0].permute(1, 0, 2, 3).float().cpu().numpy()
        return latents


def encoder_of(codec: Any, device: str = "cpu", batch: int | None = None) -> FrameEncoder:
    """The encoder of a loaded codec, which is moved to the device.

    Args:
        codec: with ``encode``; with ``chunk`` it encodes each frame by itself, so many at a time.
        device: such as "cuda:1".
        batch: frames that the autoencoder gets at a time; the codec's ``chunk`` if None, or 32 on a GPU where that is 1.

    Raises:
        InputError: a batch out of range, or of a codec that takes clips whole.
    """
    if batch is not None and batch < 1:
        raise InputError(f"--batch {batch}: expected at least 1 frame")
    if device != "cpu" and hasattr(codec, "to"):
        codec.to(device)
    if not isinstance(codec, ImageCodec):
        if batch is not None:
            raise InputError(f"--batch {batch}: {type(codec).__name__} encodes whole clips, leave it out")
        return FrameEncoder(codec.encode, device, rate=int(getattr(codec, "rate", 1)))
    if batch is not None:
        codec.chunk = batch
    elif device != "cpu" and codec.chunk == 1:
        # On a processor one frame at a time is as fast, and its bits do not depend on the others.
        codec.chunk = _GPU_BATCH
    return FrameEncoder(codec.encode, device, -(-_STRETCH // codec.chunk) * codec.chunk)
