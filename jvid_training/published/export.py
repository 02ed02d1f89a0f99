"""Published models that were trained, as diffusers pipelines, and their adapters as a file of LoRA.

    export_pipelines    {"image": run, "video": run}  ->  a folder of `JVIDPipeline`: a diffusers pipeline for each expert, whole
    export_lora         run of [lora]                 ->  FILE.safetensors, as ``load_lora_weights`` of diffusers takes it

Parts that pipelines of one folder have in common are written once. Adapters are merged into the weights of a pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from jvid.ensemble import Ensemble
from jvid.errors import InputError
from jvid.files import check_file
from jvid.strategy import Strategy
from jvid_models.adapters.pipelines import from_pipeline
from jvid_models.diffusion_pipeline import JVIDPipeline
from jvid_models.diffusion_pipeline.loading import load_pipeline_folder
from jvid_models.diffusion_pipeline.sources import PipelineExpert
from jvid_models.ensembles.pipelines import own_run
from jvid_models.ensembles.split import HIGH, LOW, has_two
from jvid_models.weights import save_weights
from jvid_training.published.lora import lora_tensors, merge
from jvid_training.published.model import PublishedModel, load_model, sizes_of
from jvid_training.published.network import PublishedNetwork
from jvid_training.recipe import Recipe

__all__ = ["TrainedModel", "export_lora", "export_pipelines", "trained_model"]


@attrs.frozen(eq=False)
class TrainedModel:
    """A run of a published model: its recipe, and the model with the run's weights."""

    recipe: Recipe
    network: PublishedNetwork

    @property
    def model(self) -> PublishedModel:
        """The model."""
        return self.network.model


def trained_model(recipe: Recipe, weights: Mapping[str, Any]) -> TrainedModel:
    """The model that a recipe started from, with the weights of its run.

    Raises:
        InputError: the model's folder is not what it was, or the weights do not fit it.
    """
    network = PublishedNetwork(load_model(recipe), recipe)
    try:
        network.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise InputError(
            f"{network.model.files} is not what the run started from: {' '.join(str(error).split())[:300]}"
        ) from None
    return TrainedModel(recipe, network)


def export_lora(trained: TrainedModel, out: Path) -> Path:
    """Write the adapters of a run.

    Raises:
        InputError: a run without adapters, or another ending than .safetensors.
    """
    check_file(out, (".safetensors",))
    if trained.recipe.lora is None:
        raise InputError(f"{trained.recipe.name} was trained whole: expected a run of a recipe with [lora]")
    model = trained.model
    # diffusers loads both transformers of a pipeline under the name of the first.
    tensors = lora_tensors(trained.network.network, model.component, trained.recipe.lora)
    save_weights(tensors, out, {"format": "pt"})
    return out


def export_pipelines(
    experts: Mapping[str, TrainedModel | Path], out: Path, strategy: Path | None = None
) -> Ensemble:
    """Write the pipelines of some experts; returns the ensemble that is read back.

    Args:
        experts: by name: a run, or the folder of a pipeline that was not trained.
        out: of the folder; it is not there, or empty.
        strategy: file of the recommended strategy; None is a pipeline's own run: of one expert, or of the high and low noise of
            one pipeline.

    Raises:
        InputError: several experts without a strategy, or a folder that cannot be written.
    """
    sources: dict[str, Any] = {}
    known: dict[Path, Any] = {}
    for name, each in experts.items():
        if isinstance(each, Path):
            sources[name] = each
            continue
        model, recipe = each.model, each.recipe
        assert recipe.published is not None
        if recipe.lora is not None:
            merge(each.network.network)
        pipe = model.denoiser.pipe
        _share(pipe, known.setdefault(model.folder.resolve(), pipe), model.component)
        options = {**sizes_of(pipe, recipe), **recipe.published.options}
        denoiser = from_pipeline(pipe, untested=recipe.published.untested, **options)
        sources[name] = PipelineExpert(denoiser, fps=recipe.data.fps if recipe.kind == "video" else None)
    JVIDPipeline(sources, _strategy(experts, strategy)).save_pretrained(out)
    return load_pipeline_folder(out)


def _strategy(experts: Mapping[str, TrainedModel | Path], path: Path | None) -> Strategy | None:
    if path is not None:
        return Strategy.load(path)
    wholes = [each.model.whole for each in experts.values() if isinstance(each, TrainedModel)]
    if set(experts) == {HIGH, LOW} and wholes and has_two(wholes[0].pipe):
        return own_run(wholes[0])
    if len(experts) > 1:
        raise InputError(f"no strategy for {', '.join(experts)}: expected --strategy FILE")
    return None


def _share(pipe: Any, first: Any, component: str) -> None:
    """Give a pipeline the parts of another one of the same folder, but for its network."""
    if pipe is not first:
        parts = {name: part for name, part in first.components.items() if name in pipe.components}
        networks = {component, "transformer", "transformer_2", "unet"}
        pipe.register_modules(**{name: part for name, part in parts.items() if name not in networks})
