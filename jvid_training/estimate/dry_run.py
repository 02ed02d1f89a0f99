"""A run up to its first step, without its weights: what would refuse the recipe, and what it would cost.

Nothing is written, no clip is decoded and no weight is made: the network is on the meta device. What a run checks of its data,
its text, its starting weights and its output is checked here; data that are not there leave the estimate possible.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

import jvid
from jvid.errors import InputError, JvidError
from jvid_models.text import EmbeddingTable
from jvid_models.weights import read_weights
from jvid_models.words import Words
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.estimate.estimate import UTILISATION, Estimate, estimate
from jvid_training.estimate.gpus import Gpu, gpus_named
from jvid_training.estimate.published import published_steps
from jvid_training.estimate.shapes import Denoising, Shapes, forms_of
from jvid_training.estimate.steps import RecipeSteps
from jvid_training.jobs.ranks import Ranks
from jvid_training.published.latents import check_latents
from jvid_training.published.model import load_model
from jvid_training.recipe import Recipe, to_document
from jvid_training.recipe_buckets import buckets_of, is_bucketed
from jvid_training.train.autoencoding import Autoencode
from jvid_training.train.batches import Batches
from jvid_training.train.checkpoints import last_whole
from jvid_training.train.compatible import changes_of
from jvid_training.train.joint import Jointly
from jvid_training.train.networks import TextConditioned, build_network, conditioned, fitted, unet_of
from jvid_training.train.objectives import Objective, PredictNoise, Reconstruct, in_memory
from jvid_training.train.parallel import check_parallel
from jvid_training.train.parameters import fix, start_from
from jvid_training.train.previews import Previews
from jvid_training.train.setup import check_checkpointing
from jvid_training.train.sizes import check_sizes
from jvid_training.train.tasks import Sources, objective_of, sources_of, text_of
from jvid_training.train.trackers import check_trackers

__all__ = ["DryRun", "dry_run"]

_CLIP_TOKENS = 77
_USUAL_FACTOR = 8


@attrs.frozen
class DryRun:
    """The estimate of a run; ``problem`` is what would refuse it before its first step, None where nothing would."""

    estimate: Estimate
    problem: str | None


@attrs.define
class _Parts:
    """What a run is made of, as far as it could be made."""

    network: nn.Module
    sources: Sources | None = None
    text: EmbeddingTable | Words | None = None
    objective: Objective | None = None


def dry_run(
    recipe: Recipe,
    gpus: Sequence[Gpu] | None = None,
    utilisation: float = UTILISATION,
    processes: int = 1,
) -> DryRun:
    """Check a recipe as `jvid_training.train.trainer.train` does, and estimate its run.

    Args:
        recipe: of the run.
        gpus: whose hours are wanted; the usual ones if None.
        utilisation: share of their peak.
        processes: that share a step's batch.

    Raises:
        InputError: a network that cannot be made, or a share out of range: there is no estimate.
    """
    if recipe.published is not None:
        return _of_published(recipe, gpus or gpus_named(), utilisation, processes)
    with torch.device("meta"):
        parts = _Parts(build_network(recipe))
    problem = None
    try:
        _check(recipe, processes, parts)
    except JvidError as error:
        problem = str(error)
        # What is fixed is known without data; only the names of a text network that was not made are not.
        with suppress(InputError):
            fix(parts.network, recipe.training.fixed)
    parts.network.to("meta")
    # The run's own objective would look up embeddings that the network does not take, which is the problem.
    if in_memory(parts.text) and not _takes(parts.network, parts.text):
        parts.objective = None
    assumed: list[str] = []
    shapes = attrs.evolve(_shapes(recipe, parts, assumed), shares=_shares(recipe, parts.sources, assumed))
    objective = _objective(recipe, parts, assumed)
    table = objective.table(torch.device("meta")) if isinstance(objective, PredictNoise | Jointly) else None
    held = () if table is None else (table,)
    steps = RecipeSteps(recipe, parts.network, objective, shapes, held)
    buckets = [bucket for bucket, _ in forms_of(recipe, shapes.shares)] if is_bucketed(recipe.data) else []
    found = estimate(
        recipe, parts.network, steps, gpus or gpus_named(), utilisation, processes, assumed, buckets
    )
    return DryRun(found, problem)


def _of_published(recipe: Recipe, gpus: Sequence[Gpu], utilisation: float, processes: int) -> DryRun:
    """The dry run of a recipe with ``network.pipeline``: what refuses its network has no estimate, what refuses the rest has."""
    model = load_model(recipe, weights=False)
    sources: Sources | None = None
    problem = None
    try:
        check_trackers(recipe.training.trackers)
        _check_out(Path(recipe.out))
        check_parallel(recipe, processes)
        sources = sources_of(recipe)
        if isinstance(train := sources["train"], Windows):
            check_latents(model, recipe, train)
    except JvidError as error:
        problem = str(error)
    assumed = ["prompts of as many tokens as a short one has, where the model does not pad them"]
    forms = forms_of(recipe, _shares(recipe, sources, assumed))
    steps = published_steps(model, recipe, forms)
    buckets = [bucket for bucket, _ in forms] if is_bucketed(recipe.data) else []
    found = estimate(recipe, steps.network, steps, gpus, utilisation, processes, assumed, buckets)
    return DryRun(found, problem)


def _check(recipe: Recipe, processes: int, parts: _Parts) -> None:
    """Check what a run checks, in its order; fills ``parts``."""
    training = recipe.training
    check_trackers(training.trackers)
    _check_out(Path(recipe.out))
    check_checkpointing(recipe)
    check_parallel(recipe, processes)
    parts.sources = sources_of(recipe)
    if isinstance(windows := parts.sources["train"], Windows):
        check_sizes(recipe, windows)
    text: Any = text_of(recipe, parts.sources)  # of no published model
    parts.text = text
    if (whole := fitted(recipe, text)) is not recipe:
        with torch.device("meta"):
            parts.network = build_network(whole)
        recipe = whole
    cpu = torch.device("cpu")
    parts.objective = objective_of(recipe, parts.text, cpu)
    batches = Batches(training, parts.objective, parts.sources, Ranks(world=processes), cpu)
    parts.network = conditioned(parts.network, parts.text)
    if training.init:
        with (
            warnings.catch_warnings()
        ):  # torch warns of each tensor that it does not copy onto the meta device
            warnings.simplefilter("ignore", UserWarning)
            weights = read_weights(Path(training.init))
            start_from(parts.network, weights, training.new, training.unused, training.init)
    fix(parts.network, training.fixed)
    if training.samples_every:
        Previews(recipe, batches, parts.text)
    words = parts.text.config if isinstance(parts.text, Words) else None
    last_whole(Path(recipe.out), lambda path, state: changes_of(path, state, to_document(recipe), words))


def _check_out(out: Path) -> None:
    """Refuse a folder that could not be made or written to, without trying."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"out: {there} is no folder that can be written to; give another")


def _shapes(recipe: Recipe, parts: _Parts, assumed: list[str]) -> Shapes:
    network: Any = unet_of(parts.network)
    if recipe.kind == "autoencoder":
        return Shapes(network.channels, network.factor)
    if recipe.kind == "decoder":
        return Shapes(network.config["latent_channels"], network.factor)
    factor = _factor(recipe, parts, assumed)
    channels = network.config.in_channels
    # A UNet alone takes embeddings; of another width than the encoder's, which is the problem then.
    width = None if isinstance(parts.network, TextConditioned) else network.config.cross_attention_dim
    if isinstance(parts.text, Words):
        return Shapes(channels, factor, parts.text.vocabulary.rows([""]).shape[1], width)
    if in_memory(parts.text) and parts.objective is not None:
        return Shapes(channels, factor, None)
    if parts.text is not None:
        return Shapes(channels, factor, parts.text.embeddings.shape[1], width)
    tokens = recipe.text.options.get("tokens", _CLIP_TOKENS)
    assumed.append(f"prompts of {tokens} tokens")
    return Shapes(channels, factor, tokens, width)


def _takes(network: nn.Module, text: EmbeddingTable) -> bool:
    """Whether a UNet takes the embeddings of a table."""
    return bool(unet_of(network).config.cross_attention_dim == text.embeddings.shape[-1])


def _factor(recipe: Recipe, parts: _Parts, assumed: list[str]) -> int:
    """How many times smaller latents are: of what was encoded, or else of the codec or ``network.sample_size``."""
    windows = (parts.sources or {}).get("train")
    if isinstance(windows, Windows):
        window = windows.draw(generator(0, 0, 0))
        width = buckets_of(recipe.data)[window.sequence.bucket].width
        return width // int(windows.latents(window, 0).shape[-1])
    try:
        return int(jvid.load("codec", recipe.codec.name, **recipe.codec.options).factor)
    except (JvidError, AttributeError):
        side = recipe.network.get("sample_size")
        if isinstance(side, int) and side > 0 and recipe.data.size % side == 0:
            return recipe.data.size // side
        assumed.append(f"latents {_USUAL_FACTOR} times smaller than frames")
        return _USUAL_FACTOR


def _shares(recipe: Recipe, sources: Sources | None, assumed: list[str]) -> tuple[float, ...]:
    """The share of the steps that are of each bucket, of what was encoded."""
    windows = (sources or {}).get("train")
    if not is_bucketed(recipe.data):
        return ()
    if isinstance(windows, Windows):
        return windows.shares
    assumed.append("as many steps of each bucket")
    return ()


def _objective(recipe: Recipe, parts: _Parts, assumed: list[str]) -> Objective:
    """The objective whose loss is computed: that of the run, or one of the same cost."""
    if recipe.kind == "autoencoder":
        return parts.objective or Autoencode.of(recipe)
    if recipe.kind == "decoder":
        if recipe.training.perceptual:
            assumed.append("no features of training.perceptual: they come on top")
        return Reconstruct(recipe)
    return parts.objective or Denoising(frames=recipe.kind == "image")
