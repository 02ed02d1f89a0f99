"""Clips to latents and back by an autoencoder over time, as those of Wan, CogVideoX, LTX, Mochi or HunyuanVideo.

    z = scaling (E(x) - shift),   x = D(z / scaling + shift)          (b 3 1 + r (f - 1) H W) <-> (b c f h w)

A latent frame holds r frames, the first one alone. scaling and shift, one number a channel, are those of the autoencoder's
`LatentSpace`: latents are in the scale in which its pipelines denoise them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jvid.core.modules import Parts
from jvid.core.spaces import LatentSpace
from jvid.ensemble import FrameRule
from jvid.errors import InputError
from jvid.machine.managed import arrive
from jvid_models.adapters.encoder_outputs import latents_of
from jvid_models.adapters.movable import movable
from jvid_models.adapters.space_configs import space_of_autoencoder

__all__ = ["ClipCodec"]


def _takes_clips(autoencoder: nn.Module) -> bool:
    """Whether an autoencoder's encoder convolves over time.

    Stable Video Diffusion's encodes frame by frame, and its decoder alone convolves over time.
    """
    encoder = getattr(autoencoder, "encoder", autoencoder)
    return any(isinstance(module, nn.Conv3d) for module in encoder.modules())


class ClipCodec:
    """A diffusers autoencoder over time as a codec; a clip is coded as a whole, for each frame depends on those before it.

    ``autoencoder``: of any class of diffusers that takes ``(b 3 f H W)``. ``rate``: frames to a latent frame. Latents are the
    posterior's mean.

    Raises:
        InputError: an autoencoder of images, or one whose normalisation is not one of channels.
    """

    def __init__(self, autoencoder: Any) -> None:
        if not _takes_clips(autoencoder):
            raise InputError(
                f"{type(autoencoder).__name__} encodes neither clips nor frames as jvid knows them: expected another autoencoder"
            )
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.space: LatentSpace = space_of_autoencoder(autoencoder)
        self.factor, self.rate, self.latent_channels = (
            self.space.factor,
            self.space.frames,
            self.space.channels,
        )
        # LTX's from 0.9.1 on: its decoder denoises from a time, which is 0 in the pipelines unless they are called with another.
        self._takes_a_time = bool(getattr(autoencoder.config, "timestep_conditioning", False))
        self.frames = FrameRule(self.rate, int(self.rate > 1))
        self._scaling, self._shift = (self._column(value) for value in (self.space.scaling, self.space.shift))

    def modules(self) -> Parts:
        """The autoencoder, if it may be moved."""
        return Parts(behind=movable({"autoencoder": self.autoencoder}))

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> ClipCodec:
        """Moves the autoencoder; returns self."""
        nn.Module.to(self.autoencoder, device=device, dtype=dtype)
        return self

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        """``(b 3 F H W)`` in [-1, 1] -> latents ``(b c f h w)``, float32; f = 1 + (F - 1) / rate.

        Raises:
            InputError: another number of frames, or sides that the factor does not divide.
        """
        if video.ndim != 5 or video.shape[1] != 3 or any(side % self.factor for side in video.shape[-2:]):
            raise InputError(
                f"got a video of shape {tuple(video.shape)}: expected (b 3 f H W) with sides in multiples of {self.factor}"
            )
        self.frames.latents(video.shape[2])
        arrive(self.autoencoder)
        weight = next(self.autoencoder.parameters())
        parts = [latents_of(self.autoencoder, clip[None].to(weight.device, weight.dtype)) for clip in video]
        raw = torch.cat(parts).float()
        return (raw - self._shift.to(raw)) * self._scaling.to(raw)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)`` -> video ``(b 3 F H W)`` in [-1, 1], float32."""
        if latents.ndim != 5 or latents.shape[1] != self.latent_channels:
            raise InputError(
                f"got latents of shape {tuple(latents.shape)}: expected (b {self.latent_channels} f h w)"
            )
        arrive(self.autoencoder)
        weight = next(self.autoencoder.parameters())
        raw = latents.float()
        raw = raw / self._scaling.to(raw) + self._shift.to(raw)
        given = {"temb": weight.new_zeros(1)} if self._takes_a_time else {}
        parts = [self.autoencoder.decode(clip[None].to(weight), **given).sample for clip in raw]
        return torch.cat(parts).float().clamp_(-1.0, 1.0).to(latents.device)

    def _column(self, value: float | tuple[float, ...]) -> Tensor:
        values = value if isinstance(value, tuple) else (value,) * self.space.channels
        if len(values) != self.space.channels:
            raise InputError(f"{self.space}: expected one number a channel, for clips of any length")
        return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1, 1)
