"""The codec whose decoder is the video decoder of `jvid_models.networks`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from jvid.core.modules import Parts
from jvid.errors import InputError
from jvid.machine.managed import arrive
from jvid_models.adapters.movable import movable
from jvid_models.codecs import ImageCodec
from jvid_models.networks.clip_decoding import ClipDecoding
from jvid_models.networks.video_decoder import VideoDecoder

__all__ = ["BUDGET", "VideoDecoderCodec"]

BUDGET = 64 * 2**20
"""Bytes of kept frames: those of 128 frames of 64x64 pixels at the default widths."""


class VideoDecoderCodec:
    """A codec whose decoder is a `VideoDecoder`.

    ``encoder`` is needed for encoding only: an `ImageCodec`, or what makes one when it is first used. Clips are
    decoded one by one in bounded memory (`jvid_models.networks.clip_decoding`): ``chunk`` frames at a time, and at most
    about ``budget`` bytes of frames kept in between. Longer clips take more time instead. Neither changes the
    result beyond rounding (below 2e-5 in [-1, 1]).
    """

    def __init__(
        self,
        decoder: VideoDecoder,
        encoder: ImageCodec | Callable[[], ImageCodec] | None = None,
        chunk: int = 1,
        budget: int = BUDGET,
    ) -> None:
        if chunk < 1 or budget < 0:
            raise InputError(
                f"chunk={chunk}, budget={budget}: expected at least 1 frame and no negative number of bytes"
            )
        self.decoder = decoder.eval().requires_grad_(False)
        self.encoder = encoder
        self.chunk, self.budget = chunk, budget
        self.factor = decoder.factor
        self.latent_channels = int(decoder.config["latent_channels"])

    def modules(self) -> Parts:
        """The decoder, if it may be moved."""
        return Parts(behind=movable({"decoder": self.decoder}))

    def encode(self, video: Tensor) -> Tensor:
        """``(b 3 f H W)`` in [-1, 1] -> latents, by ``encoder``; InputError without one."""
        if self.encoder is None:
            raise InputError(
                "this codec only decodes: give encoder=jvid_models.codecs.taesd(mean=..., std=...) to encode"
            )
        if not isinstance(self.encoder, ImageCodec):
            self.encoder = self.encoder()
        return self.encoder.encode(video)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)`` -> video ``(b 3 f H W)`` in [-1, 1], float32."""
        channels = self.latent_channels
        if latents.ndim != 5 or latents.shape[1] != channels:
            raise InputError(f"latents of shape {tuple(latents.shape)}: expected (b {channels} f h w)")
        b, _, f, height, width = latents.shape
        arrive(self.decoder)
        weight, device = next(self.decoder.parameters()), latents.device
        decoding = ClipDecoding(self.decoder, self.chunk, self.budget)
        made: list[Tensor] = []

        def room(clip: int) -> Tensor:
            if not made:
                made.append(torch.empty((b, 3, f, height * self.factor, width * self.factor), device=device))
            return made[0][clip]

        for clip in range(b):
            decoding(latents[clip].to(weight.device, weight.dtype), partial(room, clip))
        return made[0]
