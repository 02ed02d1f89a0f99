"""The factors of an autoencoder's encoder, measured: diffusers' class runs on shapes alone, without memory or arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch

from jvid.errors import InputError, one_line
from jvid.extras import extra

__all__ = ["EncoderShapes", "measured_shapes"]

SIDE = 128
FRAMES = 25
"""Of the clip that is encoded: 1 + 24, for causal encoders of 2, 3, 4, 6, 8 or 12 frames to a latent."""


@attrs.frozen
class EncoderShapes:
    """What an encoder makes of a clip's shape.

    Attributes:
        channels: of its latents.
        factor: pixels to one latent, along height and width.
        frames: frames to one latent frame.
        config: the autoencoder's, defaults filled in.
        is_normalised_by_weights: whether means and deviations of its latents are tensors of its weights.
    """

    channels: int
    factor: int
    frames: int = 1
    config: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    is_normalised_by_weights: bool = False


def measured_shapes(config: Mapping[str, Any]) -> EncoderShapes:
    """The shapes of the encoder of an autoencoder's ``config``, which names its class.

    Raises:
        InputError: a class that diffusers does not have or make of this config, or an encoder that takes neither clips nor
            images.
    """
    with extra("models"):
        import diffusers
    kind = str(config["_class_name"])
    maker = getattr(diffusers, kind, None)
    if not isinstance(maker, type) or not hasattr(maker, "encode"):
        raise InputError(f"an autoencoder's config of class {kind}: expected one of diffusers' autoencoders")
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model: Any = maker.from_config(dict(config))  # type: ignore[attr-defined]
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"diffusers makes no {kind} of this config: {one_line(error)}") from None
    filled = {**model.config, "_class_name": kind}
    by_weights = any(name == "latents_mean" for name, _ in model.named_buffers(recurse=False))
    found = _encoded(model) or _declared(filled)
    if found is None:
        raise InputError(f"the factors of a {kind} are not known: give space=jvid.LatentSpace(...)")
    return EncoderShapes(*found, filled, by_weights)


def _encoded(model: Any) -> tuple[int, int, int] | None:
    """Channels, pixels and frames to a latent of the encoder; None where it does not run on shapes."""
    for clip in ((1, 3, FRAMES, SIDE, SIDE), (1, 3, SIDE, SIDE)):
        # Whatever an encoder raises on shapes alone, it has none to give.
        try:
            with torch.no_grad(), torch.device("meta"):
                out = model.encode(torch.empty(clip))
        except Exception:
            continue
        shape = tuple((out.latent_dist.mean if hasattr(out, "latent_dist") else out[0]).shape)
        if len(shape) != len(clip):
            continue
        if len(clip) == 4:
            return shape[1], SIDE // shape[3], 1
        latents = shape[2]
        return shape[1], SIDE // shape[4], 1 if latents == FRAMES else (FRAMES - 1) // max(latents - 1, 1)
    return None


def _declared(config: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """The same as the config declares it, of encoders that need values (Cosmos' wavelets, Allegro's tiles)."""
    channels, blocks = config.get("latent_channels"), config.get("block_out_channels")
    factor = config.get("spatial_compression_ratio") or (2 ** (len(blocks) - 1) if blocks else None)
    if channels is None or factor is None:
        return None
    return int(channels), int(factor), int(config.get("temporal_compression_ratio") or 1)
