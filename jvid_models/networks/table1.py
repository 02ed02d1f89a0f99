"""The paper's two networks at their exact size, untrained, as denoisers on the paper's schedule.

    image: 546 M parameters        video: 927 M parameters        (Table 1)

For measuring speed and memory, and for training from scratch. ``scaled_linear`` .00085-.012, eps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from jvid.core.protocols import Denoiser
from jvid_models.adapters.unet import from_unet
from jvid_models.networks.unets import image_unet, video_unet

__all__ = ["SCHEDULER", "image", "video"]

SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}
"""The paper's schedule as a diffusers scheduler config."""


def image(resolution: int = 64, *, dtype: torch.dtype | None = None, **options: Any) -> Denoiser:
    """Table 1's image UNet, random weights; ``resolution`` in pixels, ``options`` of `image_unet`."""
    return from_unet(_initialise(image_unet, resolution, options), SCHEDULER, dtype=dtype)


def video(resolution: int = 64, *, dtype: torch.dtype | None = None, **options: Any) -> Denoiser:
    """Table 1's video UNet, random weights; ``resolution`` in pixels, ``options`` of `video_unet`."""
    return from_unet(_initialise(video_unet, resolution, options), SCHEDULER, dtype=dtype)


def _initialise(factory: Any, resolution: int, options: dict[str, Any]) -> nn.Module:
    """Weights N(0, 1/fan_in) from one generator: diffusers' own take half a minute at this size."""
    with torch.device("meta"):
        unet: nn.Module = factory(sample_size=resolution // 8, **options)
    unet = unet.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    norms = tuple(
        f"{name}." for name, module in unet.named_modules() if isinstance(module, nn.GroupNorm | nn.LayerNorm)
    )
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if name.endswith(".bias"):
                weight.zero_()
            elif name.startswith(norms):
                weight.fill_(1.0)
            else:
                fan_in = weight[0].numel()
                weight.normal_(0.0, fan_in**-0.5, generator=generator)
    return unet
