"""A published model that is trained: a diffusers pipeline, the network of its loop, and what surrounds it.

    network     the module that the pipeline's loop evaluates: a UNet or a transformer of any class that jvid samples of
    levels      of its scheduler: alpha and sigma, what the network's output is, its own time
    prompts     encoded by the pipeline's own tokenizers and text encoders
    latents     of the pipeline's own autoencoder, in its scale

Nothing else of the pipeline is trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from jvid.core.spaces import LatentSpace
from jvid.errors import InputError, located
from jvid.schedules import FlowMatching
from jvid_models.adapters.movable import is_movable
from jvid_models.adapters.pipelines import PipelineDenoiser, from_pipeline
from jvid_models.adapters.pipelines.call import PipelineCall
from jvid_models.adapters.pipelines.guidance import unguided
from jvid_models.adapters.pipelines.levels import VisitedLevels, declared_levels
from jvid_models.adapters.pipelines.load import read_pipeline
from jvid_models.adapters.pipelines.loops import loop_of
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.outputs import Evaluated, evaluated_network, network_name
from jvid_models.adapters.precision import precision
from jvid_models.ensembles.split import split
from jvid_training.published.files import check_taken
from jvid_training.published.prompts import PromptRows
from jvid_training.recipe import Recipe
from jvid_training.recipe_buckets import Bucket, buckets_of

__all__ = ["PublishedModel", "load_model", "sizes_of"]

_KINDS = {"frames": "image", "clips": "video"}


@attrs.frozen(eq=False)
class PublishedModel:
    """A pipeline one of whose networks is trained.

    Attributes:
        folder: of the pipeline.
        whole: the denoiser of the folder's pipeline.
        denoiser: of the pipeline of the one network; the same where the folder has one.
        component: the network's name in the pipeline.
        unused: the network's parameters that its output does not depend on, as of Qwen-Image's last text layers: they are not
            trained, since processes wait for the gradients of all that are.
        prompts: rows of the prompts of its training.
    """

    folder: Path
    whole: PipelineDenoiser
    denoiser: PipelineDenoiser
    component: str
    unused: frozenset[str] = frozenset()
    prompts: PromptRows = attrs.field(factory=PromptRows)

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        return modules_of(self.denoiser.pipe)[self.component]

    @property
    def files(self) -> Path:
        """The folder of the network's files."""
        second = self.denoiser is not self.whole and self.network is getattr(
            self.whole.pipe, "transformer_2", None
        )
        return self.folder / ("transformer_2" if second else self.component)

    @property
    def levels(self) -> VisitedLevels:
        """Those of its scheduler, as the pipeline uses them."""
        return self.denoiser.setting.levels

    @property
    def shift(self) -> float:
        """The shift of times that its scheduler declares: a flow's t is its sigma in `levels`."""
        declared = declared_levels(loop_of(self.denoiser.pipe).scheduler).schedule
        return declared.shift if isinstance(declared, FlowMatching) else 1.0

    @property
    def space(self) -> LatentSpace:
        """The latents that it denoises."""
        return self.denoiser.space


def load_model(
    recipe: Recipe,
    sentences: Iterable[str] = (),
    device: torch.device | str = "cpu",
    weights: bool = True,
) -> PublishedModel:
    """The published model that a recipe starts from.

    Args:
        recipe: with ``network.pipeline``.
        sentences: all prompts of its training.
        device: of the pipeline.
        weights: whether they are read; without them the model is for an estimate alone.

    Raises:
        MissingDependencyError: the folder is absent, or a class needs a package that is not installed.
        InputError: a pipeline whose network cannot be trained, or a recipe that does not fit it; the message names what.
    """
    stated = recipe.published
    assert stated is not None
    folder = Path(stated.pipeline)
    with located("network"):
        pipe = read_pipeline(folder, dtype=precision(stated.dtype), weights=weights)
        pipe.set_progress_bar_config(disable=True)
        for module in modules_of(pipe).values():
            module.requires_grad_(False)
        pipe = pipe.to(device) if weights else pipe
        options = {**sizes_of(pipe, recipe), **stated.options}
        options = unguided(PipelineCall(pipe, options))
        whole = from_pipeline(pipe, untested=stated.untested, **options)
        denoiser = _expert(whole, stated.expert)
        if (kind := _KINDS[denoiser.denoises]) != recipe.kind:
            raise InputError(
                f"{type(pipe).__name__} makes {denoiser.denoises}: expected kind = {kind!r}, got {recipe.kind!r}"
            )
        evaluated = evaluated_network(denoiser) if weights else Evaluated(network_name(denoiser))
    model = PublishedModel(
        folder, whole, denoiser, evaluated.name, evaluated.unused, PromptRows.of(sentences)
    )
    if recipe.lora is None and not is_movable(model.network):
        raise InputError(f"network: the {evaluated.name} is quantised: it is trained by [lora] alone")
    check_taken(model.network, model.files, recipe.training.unused)
    return model


def sizes_of(pipe: Any, recipe: Recipe, bucket: Bucket | None = None) -> dict[str, int]:
    """The arguments of a pipeline's call for the sizes of a recipe's data; of its first bucket, or of ``bucket``."""
    call = PipelineCall(pipe, {})
    chosen = buckets_of(recipe.data)[0] if bucket is None else bucket
    sizes = {"height": chosen.height, "width": chosen.width}
    if call.frames_name is not None:
        sizes[call.frames_name] = chosen.frames if recipe.kind == "video" else 1
    return {name: value for name, value in sizes.items() if name in call.parameters}


def _expert(whole: PipelineDenoiser, name: str) -> PipelineDenoiser:
    experts = split(whole)
    if experts and not name:
        raise InputError(
            f"{whole.call.who} has two transformers: expected expert = {' or '.join(map(repr, experts))}"
        )
    if name and name not in experts:
        raise InputError(f"{whole.call.who} has one network: got expert = {name!r}, leave it out")
    return experts[name] if name else whole
