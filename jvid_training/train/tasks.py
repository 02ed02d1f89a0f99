"""What the kind of a recipe means for its run: where samples come from, how prompts are encoded, and what is learnt.

image, video    windows of encoded clips, prompts      `jvid_training.train.objectives`; of a published model, too
video           and stills, where a recipe names them  `jvid_training.train.joint`
decoder         windows of encoded clips, no prompts   `jvid_training.train.objectives`
autoencoder     single frames, as pixels, no prompts   `jvid_training.train.autoencoding`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from jvid.errors import InputError
from jvid_models.text import EmbeddingTable
from jvid_models.words import Words
from jvid_training.data.checks import check_encoded
from jvid_training.data.pictures import Pictures
from jvid_training.data.prompts import load_text, sentences_of
from jvid_training.data.windows import Split, Windows
from jvid_training.jobs.ranks import cpu_job
from jvid_training.published.latents import check_latents
from jvid_training.published.model import PublishedModel, load_model
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import buckets_of
from jvid_training.train import objectives
from jvid_training.train.autoencoding import Autoencode
from jvid_training.train.joint import Jointly, manifests_of

__all__ = ["objective_of", "sources_of", "text_of"]

Sources = Mapping[Split, Any]


def sources_of(recipe: Recipe) -> Sources:
    """The samples of the training split, and of held-out actors where there are some: `Windows` or `Pictures`.

    Raises:
        InputError: the latents are of other data, or of another autoencoder, than the recipe's.
    """
    if recipe.kind == "autoencoder":
        splits: tuple[Split, ...] = ("train", "holdout") if recipe.data.holdout else ("train",)
        return {split: Pictures(recipe.data, split) for split in splits}
    latents = Path(recipe.data.latents)
    sources: dict[Split, Windows] = {"train": Windows(latents, leave_out=recipe.training.leave_out)}
    check_encoded(sources["train"].manifest, recipe.data, recipe.codec)
    manifest, stated = sources["train"].manifest, buckets_of(recipe.data)
    lengths = [bucket.frames for bucket in manifest.buckets] or [manifest.frames]
    if recipe.kind == "decoder" and lengths != [bucket.frames for bucket in stated]:
        raise InputError(
            f"codec {recipe.codec.name!r} encodes over time: a decoder recipe decodes latents frame by frame, leave it out"
        )
    if manifest.holdout:
        sources["holdout"] = Windows(latents, "holdout")
    return sources


def text_of(recipe: Recipe, sources: Sources) -> EmbeddingTable | Words | PublishedModel | None:
    """The encoder of the prompts; None where the network takes none. A published model encodes them itself.

    Raises:
        InputError: an encoder or a model that does not fit the samples.
    """
    if recipe.kind not in ("image", "video"):
        return None
    if recipe.published is not None:
        manifest = sources["train"].manifest
        sentences = [*sentences_of([manifest], recipe.data), *manifest.sequences.captions()]
        model = load_model(recipe, sentences, PartialState(cpu=cpu_job()).device)
        check_latents(model, recipe, sources["train"])
        return model
    return load_text(manifests_of(recipe, sources["train"].manifest), recipe.data, recipe.text)


def objective_of(
    recipe: Recipe, text: EmbeddingTable | Words | PublishedModel | None, device: torch.device
) -> objectives.Objective:
    """The objective of a recipe.

    Raises:
        InputError: a network, a schedule or features that do not fit.
    """
    if recipe.kind == "autoencoder":
        return Autoencode.of(recipe)
    objective = objectives.objective_of(recipe, text, device)
    if recipe.training.stills and isinstance(objective, objectives.PredictNoise):
        return Jointly.of(objective)
    return objective
