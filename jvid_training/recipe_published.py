"""Parts of a recipe for published models and for noise levels: ``[network] pipeline``, ``[lora]`` and ``[noise]``."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from jvid.errors import InputError
from jvid_training.recipe_values import positive

PIPELINE = "pipeline"
"""The key of ``[network]`` that names a published model."""
_PUBLISHED = {"offset": 0.0, "drop": 0.1}
"""Defaults of ``[training]`` for published models: what they were trained with, not the paper's."""


@attrs.frozen
class Noise:
    """The noise levels that a network is trained at, and what its loss weighs there (`jvid_training.train.times`)."""

    times: Literal["uniform", "logit-normal"] = "uniform"
    mean: float = 0.0
    """Logit-normal: of the logit of t, as ``std``."""
    std: float = attrs.field(default=1.0, validator=positive)
    shift: float | None = attrs.field(default=None, validator=attrs.validators.optional(positive))
    """t = s u / (1 + (s - 1) u); that of a published model's scheduler when absent, else 1."""
    bands: tuple[tuple[float, float], ...] = ()
    """The network is trained within these alone, as (low, high) in the coordinate ``by``."""
    by: Literal["t", "progress", "noise"] = "t"
    """t of the network's own schedule, 1 - t, or sigma / (alpha + sigma)."""
    from_strategy: str = ""
    """File of a strategy: the network is trained where its plan evaluates ``expert``, as often as it does."""
    expert: str = ""
    """Name of this network among the experts of ``from_strategy``."""
    ensemble: str = ""
    """Ensemble that the strategy is of, for its schedule and grid; the network's own schedule when absent."""
    weighting: Literal["none", "min-snr", "sigma-sqrt", "cosmap"] = "none"
    gamma: float = attrs.field(default=5.0, validator=positive)
    """Of min-snr."""


@attrs.frozen
class Lora:
    """Low-rank adapters that are trained in the place of a published network's weights (PEFT)."""

    rank: int = attrs.field(default=16, validator=positive)
    alpha: float | None = attrs.field(default=None, validator=attrs.validators.optional(positive))
    """W + (alpha / rank) B A; the rank when absent."""
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """Ends of the names of the layers that get an adapter."""


@attrs.frozen
class PipelineNetwork:
    """``[network]`` of a recipe that starts from a published model."""

    pipeline: str
    """Folder of a diffusers pipeline; relative to the working directory."""
    expert: Literal["", "high", "low"] = ""
    """Of a pipeline of two transformers, as Wan 2.2: which one."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """Further arguments of the pipeline's call, such as max_sequence_length."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights that are not trained, with ``[lora]``; those that are trained are float32."""
    untested: bool = False
    """Take a class that was never compared with diffusers' own run."""


def of_published(document: dict[str, Any], folder: str) -> dict[str, Any]:
    """The document with the defaults of a recipe that starts from a published model."""
    training = document.get("training")
    filled = {**_PUBLISHED, **training} if isinstance(training, dict) else training
    codec = {"name": "autoencoder", "options": {"folder": folder}}
    return {"codec": codec, **document, **({} if filled is None else {"training": filled})}


def check_published(recipe: Any, where: str) -> None:
    """Refuse what does not go with a published model, or needs one."""
    stated = recipe.published
    noise = recipe.noise
    if bool(noise.from_strategy) != bool(noise.expert):
        raise InputError(f"{where}: noise.from_strategy and noise.expert go together, got one of them")
    if noise.from_strategy and noise.bands:
        raise InputError(f"{where}: noise.bands beside noise.from_strategy, which has its own; leave one out")
    if recipe.kind not in ("image", "video") and noise != Noise():
        raise InputError(
            f"{where}: noise of a recipe of kind {recipe.kind!r}: expected an image or a video network"
        )
    if stated is None:
        if recipe.lora is not None:
            raise InputError(f"{where}: lora without network.pipeline: adapters are of a published model")
        return
    if recipe.kind not in ("image", "video"):
        raise InputError(
            f"{where}: network.pipeline of kind {recipe.kind!r}: expected kind 'image' or 'video'"
        )
    for name in ("text", "schedule"):
        value = getattr(recipe, name)
        if value != type(value)():
            raise InputError(f"{where}: {name} beside network.pipeline, which has its own; leave it out")
    if recipe.training.stills:
        raise InputError(f"{where}: training.stills beside network.pipeline: expected clips, or stills alone")
    if stated.dtype != "float32" and recipe.lora is None:
        raise InputError(
            f"{where}: network.dtype {stated.dtype!r} without [lora]: weights are trained in float32"
        )
