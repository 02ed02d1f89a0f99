"""Everything that a run computes with, made from its recipe: processes, samples, the network with its initial weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from jvid.errors import InputError
from jvid.machine.cores import set_threads
from jvid_models.text import EmbeddingTable
from jvid_models.weights import read_weights
from jvid_models.words import Words
from jvid_training.data.checks import check_same_everywhere
from jvid_training.data.windows import Windows
from jvid_training.jobs.agreement import check_agreement, digest
from jvid_training.jobs.ranks import Ranks, cpu_job
from jvid_training.published.model import PublishedModel
from jvid_training.recipe import Recipe, to_document
from jvid_training.train.batches import Batches
from jvid_training.train.networks import fitted, network_of, unet_of
from jvid_training.train.optimisation import computable
from jvid_training.train.parameters import fix, start_from
from jvid_training.train.precision import Precision
from jvid_training.train.sizes import check_sizes
from jvid_training.train.tasks import Sources, objective_of, sources_of, text_of
from jvid_training.train.trackers import check_trackers

__all__ = ["Setup", "accelerator_of", "check_checkpointing", "ranks_of", "set_up"]


@attrs.frozen(eq=False)
class Setup:
    """The parts of a run; ``network`` is the module that owns the parameters."""

    recipe: Recipe
    accelerator: Accelerator
    precision: Precision
    ranks: Ranks
    sources: Sources
    text: EmbeddingTable | Words | PublishedModel | None
    batches: Batches
    network: nn.Module

    @property
    def words(self) -> dict[str, Any] | None:
        """The encoder of known words, without its weights: its numbers mean something in its vocabulary alone."""
        return self.text.config if isinstance(self.text, Words) else None

    @property
    def encoder(self) -> str:
        """The digest of the weights that encoded the latents; "" where it is not known, or there are none."""
        source = self.sources["train"]
        return source.manifest.encoder if isinstance(source, Windows) else ""


def accelerator_of(recipe: Recipe) -> Accelerator:
    """The processes of the job, connected."""
    set_threads(recipe.training.threads or None)
    # Autocast and the scale of fp16 are `Precision`'s: accelerate has no fp16 on the CPU, and one precision a process.
    return Accelerator(
        mixed_precision="no",
        dynamo_backend="no",  # `Parallel` compiles, also with the backend that accelerate is launched with
        cpu=cpu_job(),
        log_with=check_trackers(recipe.training.trackers),
        project_dir=str(Path(recipe.out) / "logs"),
    )


def ranks_of(accelerator: Accelerator) -> Ranks:
    """This process in its job."""
    return Ranks(accelerator.process_index, accelerator.num_processes, accelerator.local_process_index)


def check_checkpointing(recipe: Recipe) -> None:
    """Refuse ``training.checkpointing`` of networks that keep every layer's activations.

    Raises:
        InputError: of a decoder or an autoencoder.
    """
    if recipe.training.checkpointing and recipe.kind in ("decoder", "autoencoder"):
        raise InputError(
            f"training.checkpointing: only UNets compute layers again, not the {recipe.kind}; leave it out"
        )


def set_up(recipe: Recipe, accelerator: Accelerator) -> Setup:
    """Make the parts of a run.

    Raises:
        InputError: a recipe whose parts do not fit each other, the data or the number of processes, or that is not the same in
            all of them.
    """
    training, ranks = recipe.training, ranks_of(accelerator)
    recipes = json.dumps(to_document(recipe)).encode()
    check_agreement(ranks, {"the recipe's keys": digest(recipes)})
    check_checkpointing(recipe)
    precision = Precision(computable(training.precision), accelerator.device)
    sources = sources_of(recipe)
    if isinstance(source := sources["train"], Windows):
        check_same_everywhere(source.manifest, recipe.data.latents, ranks)
        check_sizes(recipe, source)
    # The initial weights are the one thing that torch's global generator decides: first of a text network, then of the UNet.
    set_seed(training.seed)
    text = text_of(recipe, sources)
    recipe = fitted(recipe, text)
    objective = objective_of(recipe, text, accelerator.device)
    batches = Batches(training, objective, sources, ranks, accelerator.device)
    set_seed(training.seed)
    network = network_of(recipe, text)
    if training.init:
        weights = read_weights(Path(training.init))
        start_from(network, weights, training.new, training.unused, training.init)
    fix(network, training.fixed)
    _choose_attention(network, accelerator.device)
    return Setup(recipe, accelerator, precision, ranks, sources, text, batches, network)


def _choose_attention(network: nn.Module, device: torch.device) -> None:
    """On the CPU the fused attention's backward takes twice the time of the plain one at these sizes."""
    unet: Any = unet_of(network)
    if device.type == "cpu" and hasattr(unet, "set_attn_processor"):
        unet.set_attn_processor(AttnProcessor())
