"""A diffusers autoencoder, or its config, read as the latent space that it makes.

z = scaling (E(x) - shift)     scaling_factor, shift_factor; latents_mean and latents_std: (E(x) - mean) scaling_factor / std

Configs of image autoencoders are read without diffusers. For others diffusers' own class is built of the config, without
memory for its weights, and run on shapes: its factors are those of its encoder, and what the config leaves out has the class's
own defaults. The config does not identify the weights: autoencoders of one class and one config count as one space, unless
a name distinguishes them; classes with equal encoders are in `families`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from jvid.core.spaces import LatentSpace
from jvid.errors import InputError
from jvid_models.adapters.encoder_shapes import EncoderShapes, measured_shapes
from jvid_models.adapters.families import with_encoder

__all__ = ["Normalisation", "normalisation_of", "space_of_autoencoder", "space_of_config"]

# diffusers' defaults of scaling_factor, for classes that are read without diffusers.
_IMAGES: Mapping[str, float] = {
    "AutoencoderKL": 0.18215,
    "AutoencoderKLTemporalDecoder": 0.18215,
    "AutoencoderTiny": 1.0,
}
# Of AutoencoderKL and AutoencoderTiny; a config without a class that has others is of another class.
_IMAGE_KEYS = {
    "act_fn", "block_out_channels", "down_block_types", "encoder_block_out_channels", "force_upcast", "in_channels",
    "latent_channels", "latents_mean", "latents_std", "layers_per_block", "mid_block_add_attention", "norm_num_groups",
    "out_channels", "sample_size", "scaling_factor", "shift_factor", "up_block_types", "use_post_quant_conv", "use_quant_conv",
}  # fmt: skip
# Normalised in a way that channels do not express.
_OTHERS: Mapping[str, str] = {
    "AutoencoderKLFlux2": "by patches of 2x2 latents",
    "VQModel": "in another way by each pipeline",
}


@attrs.frozen
class Normalisation:
    """Numbers of z = (E(x) - shift - mean) scaling / std; a mean and a deviation for each channel, or none.

    With k latent frames' own numbers there are k for each channel.
    """

    scaling: float = 1.0
    shift: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def space_scaling(self) -> float | tuple[float, ...]:
        """``LatentSpace.scaling``."""
        return tuple(self.scaling / std for std in self.std) if self.std else self.scaling

    @property
    def space_shift(self) -> float | tuple[float, ...]:
        """``LatentSpace.shift``."""
        return tuple(self.shift + mean for mean in self.mean) if self.mean else self.shift


def normalisation_of(config: Mapping[str, Any], kind: str) -> Normalisation:
    """The normalisation of an autoencoder's config of class ``kind``, which diffusers' pipelines apply.

    Raises:
        InputError: one that numbers for each channel do not express, or numbers that are none.
    """
    if kind in _OTHERS:
        raise InputError(
            f"latents of {kind} are normalised {_OTHERS[kind]}: give space=jvid.LatentSpace(...) as the model has it"
        )
    scaling = config.get("scaling_factor", _IMAGES.get(kind))
    mean, std = (tuple(map(float, config.get(key) or ())) for key in ("latents_mean", "latents_std"))
    numbers = Normalisation(
        1.0 if scaling is None else float(scaling), float(config.get("shift_factor") or 0.0), mean, std
    )
    if (
        not all(map(math.isfinite, (*mean, *std)))
        or 0.0 in (numbers.scaling, *std)
        or bool(mean) != bool(std)
    ):
        raise InputError(
            f"an autoencoder's config with scaling_factor={numbers.scaling:g}, {len(mean)} latents_mean and {len(std)} "
            "latents_std: expected finite numbers, as many of both, and none of 0 but means"
        )
    return numbers


def space_of_config(config: Mapping[str, Any], name: str | None = None) -> LatentSpace:
    """The latent space of an autoencoder's config; ``name`` of its weights, by default its class.

    Raises:
        InputError: a config without channels or blocks, of a class that diffusers does not have or make, or whose
            normalisation is not in the config.
    """
    kind = str(config.get("_class_name", "AutoencoderKL"))
    shapes = _image_shapes(config)
    if shapes is None:
        shapes = _measured(json.dumps(dict(config), sort_keys=True, default=list))
        if shapes.is_normalised_by_weights:
            raise InputError(
                f"the means and deviations of a {kind}'s latents are among its weights: expected the autoencoder itself"
            )
        config = shapes.config
    return _space(config, kind, shapes, name)


def space_of_autoencoder(autoencoder: Any, name: str | None = None) -> LatentSpace:
    """The latent space of a live diffusers autoencoder; ``name`` of its weights, by default its class.

    Raises:
        InputError: no autoencoder of diffusers, or a normalisation that numbers for each channel do not express.
    """
    kind = type(autoencoder).__name__
    stated = getattr(autoencoder, "config", None)
    if not isinstance(stated, Mapping):
        raise InputError(f"got a {kind} for an autoencoder: expected one of diffusers, with a config")
    # Private keys are not the encoder's: diffusers keeps the path that it was loaded from among them.
    config = {key: value for key, value in stated.items() if key[:1] != "_"} | {"_class_name": kind}
    shapes = _image_shapes(config) or _measured(json.dumps(config, sort_keys=True, default=list))
    if shapes.is_normalised_by_weights:
        for key in ("latents_mean", "latents_std"):
            config[key] = getattr(autoencoder, key).flatten().tolist()
    return _space(config, kind, shapes, name)


def _space(config: Mapping[str, Any], kind: str, shapes: EncoderShapes, name: str | None) -> LatentSpace:
    numbers = normalisation_of(config, kind)
    space = LatentSpace(
        name or kind,
        shapes.channels,
        shapes.factor,
        numbers.space_scaling,
        numbers.space_shift,
        shapes.frames,
    )
    return space if name else with_encoder(space, kind)


def _image_shapes(config: Mapping[str, Any]) -> EncoderShapes | None:
    """The shapes of an image autoencoder that states them; None of any other."""
    kind = config.get("_class_name")
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels")
    channels = config.get("latent_channels")
    if kind is None and (channels is None or not blocks):
        missing = "latent_channels" if channels is None else "block_out_channels"
        raise InputError(
            f"an autoencoder's config with {', '.join(config) or 'nothing'}: expected {missing}, or _class_name; "
            "or give space=jvid.LatentSpace(...)"
        )
    if kind is None and (other := [key for key in config if key not in _IMAGE_KEYS and key[:1] != "_"]):
        raise InputError(
            f"an autoencoder's config with {other[0]} and without _class_name: expected the autoencoder itself "
            "(space_of_autoencoder), or its config with _class_name"
        )
    if kind not in (None, *_IMAGES) or channels is None or not blocks:
        return None
    return EncoderShapes(int(channels), 2 ** (len(blocks) - 1))


@lru_cache(maxsize=64)
def _measured(config: str) -> EncoderShapes:
    return measured_shapes(json.loads(config))
