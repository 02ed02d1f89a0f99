"""A recipe's network, from the factories of `jvid_models` or a published model, and the network of text that is trained with it.

    x, n, tokens -> UNet(x, n, T(tokens))                    of a factory
    x, t, prompt -> `jvid_training.published.network`        of a published model

T is a `jvid_models.words.WordNetwork`; at sampling it is the expert's text encoder, and a run evaluates it once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
from torch import Tensor, nn

from jvid.errors import InputError
from jvid.limits import check_most
from jvid_models.fast import AcceleratedUNet, accelerate
from jvid_models.text import EmbeddingTable
from jvid_models.words import Words
from jvid_training.published.model import PublishedModel
from jvid_training.published.network import PublishedNetwork
from jvid_training.recipe import Recipe

_MOST, _MOST_LAYERS = 1 << 16, 1000
"""Of a number in ``[network]``, and of its layers: a network is made before its memory is known."""


class TextConditioned(nn.Module):
    """A UNet and the text network that is trained with it, as one module."""

    def __init__(self, unet: nn.Module, text: nn.Module) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, x: Tensor, n: Tensor, tokens: Tensor) -> Any:
        """The UNet's output for token numbers ``(b, tokens)``."""
        return self.unet(x, n, self.text(tokens))


def network_of(recipe: Recipe, text: EmbeddingTable | Words | PublishedModel | None) -> nn.Module:
    """The network that a recipe trains: of a factory, or of the published model that encodes its prompts.

    Raises:
        InputError: options, a text encoder or adapters that do not fit it.
    """
    if isinstance(text, PublishedModel):
        return PublishedNetwork(text, recipe)
    return conditioned(build_network(recipe), text)


def fitted(recipe: Recipe, text: EmbeddingTable | Words | PublishedModel | None) -> Recipe:
    """The recipe, its UNet as wide as the text encoder's embeddings where it states no ``text_width``."""
    if text is None or isinstance(text, PublishedModel) or "text_width" in recipe.network:
        return recipe
    return attrs.evolve(recipe, network={**recipe.network, "text_width": _width_of(text)})


def _width_of(text: EmbeddingTable | Words) -> int:
    return text.width if isinstance(text, Words) else int(text.embeddings.shape[-1])


def conditioned(network: nn.Module, text: EmbeddingTable | Words | None) -> nn.Module:
    """The network with the text encoder's, where that is trained.

    Raises:
        InputError: a UNet that takes text of another width.
    """
    if text is None:
        return network
    unet: Any = network
    width = _width_of(text)
    if unet.config.cross_attention_dim != width:
        raise InputError(
            f"network.text_width: got {unet.config.cross_attention_dim}, expected the text encoder's {width}"
        )
    return TextConditioned(network, text.network) if isinstance(text, Words) and text.trained else network


def unet_of(network: nn.Module) -> Any:
    """The network without the text network."""
    return network.unet if isinstance(network, TextConditioned) else network


def accelerated(network: nn.Module, checkpointing: bool = False) -> nn.Module:
    """The network whose UNet takes the fast forward; with ``checkpointing`` it computes layers again in the backward pass."""
    if isinstance(network, PublishedNetwork):
        if checkpointing:
            network.checkpoint_layers()
        return network
    fast = accelerate(unet_of(network), checkpointing=checkpointing)
    return TextConditioned(fast, network.text) if isinstance(network, TextConditioned) else fast


def by_modules(network: nn.Module, checkpointing: bool = False) -> nn.Module:
    """The network in its stock forward, which calls its layers as modules; with ``checkpointing`` as of `accelerated`.

    Raises:
        InputError: ``checkpointing`` of a network whose stock forward keeps every layer's activations.
    """
    if isinstance(network, PublishedNetwork):
        network.take_stock_forward()
        return accelerated(network, checkpointing)
    if checkpointing:
        if not recomputes(network):
            raise InputError(
                f"training.checkpointing: a sharded or compiled {type(unet_of(network)).__name__} takes diffusers' forward, "
                "which keeps every layer's activations; leave it out, or sharding and compilation"
            )
        unet_of(network).enable_gradient_checkpointing()
    return network


def recomputes(network: nn.Module) -> bool:
    """Whether the stock forward of a network can compute layers again in the backward pass."""
    return bool(getattr(unet_of(network), "_supports_gradient_checkpointing", False))


def bare(network: nn.Module) -> nn.Module:
    """The network that `build_network` and `conditioned` made, out of what computes it."""
    if isinstance(network, TextConditioned):
        return TextConditioned(bare(network.unet), network.text)
    return network.unet if isinstance(network, AcceleratedUNet) else network


def factory_of(kind: str) -> Callable[..., nn.Module]:
    """The factory that ``[network]`` of a recipe of this kind holds the options of."""
    from jvid_models.networks.autoencoder import Autoencoder
    from jvid_models.networks.unets import image_unet, video_unet
    from jvid_models.networks.video_decoder import VideoDecoder

    factories: dict[str, Callable[..., Any]] = {
        "image": image_unet,
        "video": video_unet,
        "decoder": VideoDecoder,
        "autoencoder": Autoencoder,
    }
    return factories[kind]


def build_network(recipe: Recipe) -> nn.Module:
    """The untrained network. Raises `InputError` naming a wrong key of ``[network]``."""
    factory = factory_of(recipe.kind)
    parameters = inspect.signature(factory).parameters
    known = list(parameters)
    open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    for name in recipe.network:
        if name not in known and not open_ended:
            raise InputError(f"network.{name}: unknown key, expected one of {', '.join(known)}")
    for name, value in recipe.network.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int):
                check_most(f"network.{name}", each, _MOST_LAYERS if name == "layers" else _MOST, "give fewer")
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in recipe.network.items()
    }
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network: {error}") from None
