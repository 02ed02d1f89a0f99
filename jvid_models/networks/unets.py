"""Table 1's UNets over diffusers, with an explicit number and width of heads.

    heads x head_width = channels          at every level that attends

Level 0 has no cross-attention, the others and the middle do. The video UNet puts a (3,1,1)
convolution after each residual block and temporal attention after each spatial one. diffusers reads
``attention_head_dim`` as the *number* of heads in 2D and as their *width* in 3D
(https://github.com/huggingface/diffusers/issues/2011); here ``heads`` and ``head_width`` are the number and the width of heads.
Table 1's own values are the defaults: 546 M (image) and 927 M (video) parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel, UNet3DConditionModel

__all__ = [
    "ENTRY_HEADS",
    "build_unet",
    "complete_options",
    "entry_width",
    "head_counts",
    "image_unet",
    "options_of",
    "video_unet",
]

ENTRY_HEADS = 8
"""Of diffusers' transformer_in, whatever else is set."""


def image_unet(
    *,
    channels: Sequence[int] = (256, 512, 768, 1024),
    layers: int = 2,
    head_width: int | None = None,
    heads: int | None = None,
    text_width: int = 768,
    sample_size: int = 8,
    latent_channels: int = 4,
    groups: int = 32,
) -> UNet2DConditionModel:
    """The image UNet: ``(b, latent_channels, h, w)`` with text ``(b, n, text_width)``.

    ``layers`` residual blocks a level (one more on the way up), ``groups`` of the group norms. Give
    ``heads`` or ``head_width`` (64 when neither is given), or both where their product fits every
    attending level. ``sample_size`` is h and w of the training, recorded only.
    Raises InputError for widths that do not divide.
    """
    with extra("models"):
        from diffusers import UNet2DConditionModel

    channels = tuple(channels)
    counts = head_counts(channels, heads, head_width, groups)
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        layers_per_block=layers,
        block_out_channels=channels,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (len(channels) - 1),
        up_block_types=("CrossAttnUpBlock2D",) * (len(channels) - 1) + ("UpBlock2D",),
        cross_attention_dim=text_width,
        attention_head_dim=counts,
        norm_num_groups=groups,
    )
    return _remember(unet, "image_unet", locals())


def video_unet(
    *,
    channels: Sequence[int] = (256, 512, 768, 1024),
    layers: int = 2,
    head_width: int | None = None,
    heads: int | None = None,
    text_width: int = 768,
    sample_size: int = 8,
    latent_channels: int = 4,
    groups: int = 32,
    entry_head_width: int | None = None,
) -> UNet3DConditionModel:
    """The video UNet: ``(b, latent_channels, f, h, w)`` with text ``(b, n, text_width)``.

    As `image_unet`. ``entry_head_width`` is the head width of the temporal transformer behind the first
    convolution, which is 8 heads wide whatever the model's width (47 % of a small model's time at 64);
    default: ``head_width``, or ``channels[0] / 8`` when only ``heads`` is given. Dropout is 0
    (diffusers' temporal convolutions have .1).
    """
    with extra("models"):
        from diffusers import UNet3DConditionModel
        from diffusers.models.attention_processor import Attention
        from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

    channels = tuple(channels)
    counts = head_counts(channels, heads, head_width, groups)
    if entry_head_width is None:
        entry_head_width = entry_width(channels, heads, head_width)
    uniform = channels[1] // counts[1]
    unet: Any = UNet3DConditionModel(
        sample_size=sample_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        layers_per_block=layers,
        block_out_channels=channels,
        down_block_types=("DownBlock3D",) + ("CrossAttnDownBlock3D",) * (len(channels) - 1),
        up_block_types=("CrossAttnUpBlock3D",) * (len(channels) - 1) + ("UpBlock3D",),
        cross_attention_dim=text_width,
        attention_head_dim=uniform,
        norm_num_groups=groups,
    )
    if entry_head_width != uniform:
        unet.transformer_in = TransformerTemporalModel(
            num_attention_heads=ENTRY_HEADS,
            attention_head_dim=entry_head_width,
            in_channels=channels[0],
            num_layers=1,
            norm_num_groups=groups,
        )
    if heads is not None:
        # UNet3D takes one head width for all levels; the projections do not depend on the split, so set it.
        for name, module in unet.named_modules():
            if isinstance(module, Attention) and not name.startswith("transformer_in."):
                module.heads = module.sliceable_head_dim = heads
                module.scale = (module.inner_dim // heads) ** -0.5
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return _remember(unet, "video_unet", locals())


def build_unet(factory: str, **options: Any) -> UNet2DConditionModel | UNet3DConditionModel:
    """The UNet that `options_of` described."""
    maker = _maker(factory)
    try:
        made: UNet2DConditionModel | UNet3DConditionModel = maker(**options)
    except TypeError as error:
        raise InputError(f"{factory} does not take these options: {error}") from None
    return made


def complete_options(factory: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a UNet with the factory's defaults; errors as of `build_unet`."""
    signature = inspect.signature(_maker(factory))
    try:
        bound = signature.bind(**options)
    except TypeError as error:
        raise InputError(f"{factory} does not take these options: {factory}() {error}") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _maker(factory: str) -> Callable[..., Any]:
    makers: dict[str, Callable[..., Any]] = {"image_unet": image_unet, "video_unet": video_unet}
    if factory not in makers:
        raise InputError(f"unknown UNet factory {factory!r}: expected one of {', '.join(makers)}")
    return makers[factory]


def options_of(unet: nn.Module) -> dict[str, Any]:
    """``{"factory": name, **options}`` of a UNet made here, in JSON types; `build_unet` takes it back."""
    options: dict[str, Any] | None = getattr(unet, "jvid_options", None)
    if options is None:
        raise InputError(
            f"this {type(unet).__name__} was not made by jvid_models.networks.unets: use image_unet or video_unet"
        )
    return dict(options)


def _remember(unet: Any, factory: str, scope: dict[str, Any]) -> Any:
    maker = video_unet if factory == "video_unet" else image_unet
    options = {name: scope[name] for name in inspect.signature(maker).parameters}
    unet.jvid_options = {"factory": factory, **options, "channels": list(scope["channels"])}
    return unet


def entry_width(channels: Sequence[int], heads: int | None, head_width: int | None) -> int:
    """Of heads of the temporal transformer behind the first convolution, where none is given."""
    return head_width or (64 if heads is None else max(channels[0] // ENTRY_HEADS, 1))


def head_counts(
    channels: tuple[int, ...], heads: int | None, head_width: int | None, groups: int
) -> tuple[int, ...]:
    """Heads of each level (level 0 does not attend: its entry is not used)."""
    if len(channels) < 2:
        raise InputError(f"channels {channels} has {len(channels)} level(s): expected at least 2")
    for width in channels:
        if width < 1 or width % groups:
            raise InputError(f"{width} channels are not a multiple of groups={groups}: change one of them")
    if heads is None and head_width is None:
        head_width = 64
    for name, value in (("heads", heads), ("head_width", head_width)):
        if value is not None and value < 1:
            raise InputError(f"{name}={value}: expected at least 1")
    for width in channels[1:]:
        if heads is not None and head_width is not None and heads * head_width != width:
            raise InputError(
                f"{heads} heads of {head_width} are {heads * head_width} channels, not {width}: "
                "give only one of heads and head_width"
            )
        if width % (heads or head_width or 1):
            given = f"heads={heads}" if heads else f"head_width={head_width}"
            raise InputError(f"{width} channels do not divide by {given}: change one of them")
    counts = tuple(heads or width // (head_width or 1) for width in channels)
    return tuple(max(count, 1) for count in counts)
