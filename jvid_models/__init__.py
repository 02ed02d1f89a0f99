"""Networks for jvid: UNets, adapters to diffusers and transformers, codecs, text encoders, the bundled ensemble.

``jvid_models.JVIDPipeline(experts, strategy)``: an ensemble as a diffusers pipeline (`jvid_models.diffusion_pipeline`).
``jvid_models.accelerate(unet)``: a diffusers UNet with the same answer for less work (`jvid_models.fast`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jvid_models.diffusion_pipeline import JVIDPipeline as JVIDPipeline
    from jvid_models.fast import accelerate as accelerate

__all__ = ["JVIDPipeline", "accelerate"]


def __getattr__(name: str) -> Any:
    # Imported at first access: the plugin's module is in this package, and listing it is light.
    if name == "accelerate":
        from jvid_models.fast import accelerate

        return accelerate
    if name == "JVIDPipeline":
        from jvid_models.diffusion_pipeline import JVIDPipeline

        return JVIDPipeline
    raise AttributeError(f"module 'jvid_models' has no attribute {name!r}")
