"""A recipe's network, from the factories of `jvid_models`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from jvid.errors import InputError
from jvid_training.recipe import Recipe


def factory_of(kind: str) -> Callable[..., nn.Module]:
    """The factory that ``[network]`` of a recipe of this kind holds the options of."""
    from jvid_models.networks.unets import image_unet, video_unet
    from jvid_models.networks.video_decoder import VideoDecoder

    factories: dict[str, Callable[..., Any]] = {
        "image": image_unet,
        "video": video_unet,
        "decoder": VideoDecoder,
    }
    return factories[kind]


def build_network(recipe: Recipe) -> nn.Module:
    """The untrained network. Raises `InputError` naming a wrong key of ``[network]``."""
    factory = factory_of(recipe.kind)
    known = list(inspect.signature(factory).parameters)
    for name in recipe.network:
        if name not in known:
            raise InputError(f"network.{name}: unknown key, expected one of {', '.join(known)}")
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in recipe.network.items()
    }
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network: {error}") from None
