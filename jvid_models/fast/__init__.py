"""diffusers' UNets, with the same answer for less work: see `accelerate`."""

from __future__ import annotations

from jvid_models.fast.unet import AcceleratedUNet, accelerate

__all__ = ["AcceleratedUNet", "accelerate"]
