"""A diffusers pipeline as an ensemble of one expert: its own encoders, times, solver and decoder surround it.

    jvid.load("ensemble", "path/to/pipeline")                               the expert "video", or "image"
    jvid.load("ensemble", video="path/to/one", image="path/to/another")     both in one ensemble
    jvid.load("ensemble", video=pipe, image=other)                          of pipelines that are loaded

The recommended strategy is the pipeline's own run: its call's default number of steps, its times, its scheduler's solver.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import attrs

from jvid.core.protocols import TextEncoder
from jvid.ensemble import Deferred, Ensemble, Member
from jvid.errors import InputError, JvidWarning
from jvid.machine.on_demand import computing_on
from jvid.plugins.choice import Choice
from jvid.strategy import Strategy
from jvid_models.adapters.pipelines import PipelineDenoiser, PipelinePrompts, from_folder, from_pipeline
from jvid_models.adapters.pipelines.frames import frame_rule_of
from jvid_models.adapters.pipelines.loops import loop_of
from jvid_models.adapters.pipelines.lora import Files, Scales
from jvid_models.adapters.pipelines.shared import SharedParts
from jvid_models.adapters.precision import precision
from jvid_models.adapters.weightless import NeedsWeights
from jvid_models.ensembles.native import native_member
from jvid_models.ensembles.pipeline_codec import PipelineCodec
from jvid_models.ensembles.pipeline_text import PipelineText
from jvid_models.ensembles.schedulers import solver_of
from jvid_models.ensembles.split import boundary_of, has_two, split

__all__ = ["ensemble_of", "own_run", "pipeline_ensemble", "without_weights"]

FPS = {
    "AnimateDiff": 8.0, "CogVideoX": 8.0, "StableVideo": 7.0, "TextToVideo": 8.0, "Wan": 16.0, "HunyuanVideo15": 24.0,
    "Hunyuan": 15.0, "LTX": 24.0, "Mochi": 30.0, "Kandinsky5": 24.0, "SkyReels": 24.0, "Cosmos": 16.0, "Allegro": 15.0,
}  # fmt: skip
"""Frames per second by the beginning of a pipeline's class, as the examples of diffusers' documentation export them."""

_STEPS = 50


def pipeline_ensemble(
    pipe: Any,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    inputs: Mapping[str, Any] | None = None,
    seed: int = 0,
    untested: bool = False,
    fps: float | None = None,
    native: bool = True,
    lora: Files | None = None,
    lora_scale: Scales | None = None,
    lora_2: Files | None = None,
    lora_scale_2: Scales | None = None,
    host: bool = False,
    weights: bool = True,
    common_parts: MutableMapping[str, Any] | None = None,
    **options: Any,
) -> Ensemble:
    """The ensemble of one pipeline.

    Args:
        pipe: a folder with a ``model_index.json``, or a loaded ``DiffusionPipeline``, which stays where it is.
        device: of the networks that are loaded from a folder.
        dtype: of the networks that are loaded from a folder.
        inputs: pictures, clips and tensors for the pipeline's call, such as ``{"image": picture}``.
        seed: of the draws that the pipeline makes before its loop.
        untested: take a class that was not compared with diffusers' own run.
        fps: frames per second; by default those of its class.
        native: jvid's own adapter where it has one for the class, which does the same in less time.
        lora: files of LoRA weights for a pipeline from a folder: a path, or several, in one text between "+".
        lora_scale: of all of them, or one for each.
        lora_2: as ``lora``, of the second of two transformers.
        lora_scale_2: as ``lora_scale``.
        host: leave the weights of a folder on the host, whatever the device: an `Offload` moves them as a run needs them.
        weights: whether those of a folder are read; without them the ensemble has what a plan needs, and nothing is evaluated.
        common_parts: of the ensembles of one composition: parts of folders whose files are equal are loaded once.
        options: further arguments of the pipeline's call: guidance_scale, negative_prompt, height, width, num_frames, ...

    Raises:
        MissingDependencyError: the folder holds no pipeline, or a class needs a package that is not installed.
        InputError: the folder or a LoRA is damaged, an option that the pipeline's call does not have, or a class that was not
            compared.
    """
    given: dict[str, Any] = {"inputs": inputs, "seed": seed, "untested": untested, **options}
    loras: dict[str, Any] = {
        "lora": lora,
        "lora_scale": lora_scale,
        "lora_2": lora_2,
        "lora_scale_2": lora_scale_2,
    }
    if not isinstance(pipe, str | Path):
        if lora is not None or lora_2 is not None:
            raise InputError("lora of a loaded pipeline: load it there, pipe.load_lora_weights(...)")
        denoiser = from_pipeline(pipe, **given)
        with computing_on(denoiser.modules().all, device):
            return ensemble_of(denoiser, native=native, fps=fps)
    shared = None if common_parts is None else common_parts.setdefault("diffusers", SharedParts())

    def loaded(weights: bool) -> Ensemble:
        place: dict[str, Any] = {
            "dtype": precision(dtype),
            "device": device,
            "host": host,
            "weights": weights,
        }
        denoiser = from_folder(pipe, shared, **place, **loras, **given)
        with computing_on(denoiser.modules().all, device if weights else "cpu"):
            return ensemble_of(denoiser, native=native, fps=fps, folder=pipe)

    return loaded(True) if weights else without_weights(loaded, pipe)


def without_weights(load: Callable[[bool], Ensemble], folder: str | Path) -> Ensemble:
    """What ``load(False)`` gives, without weights; or ``load(True)`` with a warning, where their values matter."""
    try:
        return load(False)
    except NeedsWeights as error:
        warnings.warn(f"{folder}: {error}; its weights are loaded", JvidWarning, stacklevel=3)
    return load(True)


def ensemble_of(
    denoiser: PipelineDenoiser,
    *,
    native: bool = True,
    fps: float | None = None,
    folder: str | Path | None = None,
    wrappers: tuple[Choice, ...] | None = None,
) -> Ensemble:
    """The ensemble of a pipeline's denoiser: one expert, or two where the pipeline has two transformers.

    Args:
        denoiser: of the pipeline; what it does at the size of its options is learned here.
        native: as of `pipeline_ensemble`.
        fps: as of `pipeline_ensemble`.
        folder: where the pipeline was loaded from, if from one.
        wrappers: the experts' default stack; None is the pipeline's own guidance.
    """
    kind = type(denoiser.pipe).__name__
    single = "video" if denoiser.denoises == "clips" else "image"
    experts = split(denoiser) or {single: denoiser}
    members = {
        name: (native_member(expert) if native else None) or _member(expert)
        for name, expert in experts.items()
    }
    members = _sharing_text(members)
    if wrappers is not None:
        members = {name: attrs.evolve(member, wrappers=wrappers) for name, member in members.items()}
    if not denoiser.compared:
        members = {name: attrs.evolve(member, untested=kind) for name, member in members.items()}
    return Ensemble(
        members,
        denoiser.shape,
        fps=_fps(denoiser) if fps is None else fps,
        codec=Deferred(lambda: PipelineCodec(denoiser)),
        space=denoiser.space,
        frames=frame_rule_of(denoiser.pipe),
        strategy=own_run(denoiser),
        name=kind.removesuffix("Pipeline") or kind,
        folder=folder,
        times=denoiser.grid,
        clean=Deferred(lambda: _clean(denoiser)) if denoiser.call.begins_from_a_clip else None,
    )


def _clean(denoiser: PipelineDenoiser) -> Any:
    latents: Any = denoiser.clean()
    return latents[0]


def _member(denoiser: PipelineDenoiser) -> Member:
    """The member by the pipeline's own call, its own guidance included."""
    conditioner: TextEncoder | None = PipelinePrompts() if "prompt" in denoiser.call.parameters else None
    return Member(denoiser, denoiser.denoises, conditioner, any_length=True)  # type: ignore[arg-type]


def _sharing_text(members: dict[str, Member]) -> dict[str, Member]:
    """With one conditioner for all whose prompts are encoded by the same pipeline, so that they are encoded once."""
    texts = [each.conditioner for each in members.values()]
    if not all(isinstance(text, PipelineText) for text in texts):
        return members
    return {name: attrs.evolve(member, conditioner=texts[0]) for name, member in members.items()}


def _fps(denoiser: PipelineDenoiser) -> float:
    """Stated in the call's options, or by its default, or by the class."""
    for name in ("frame_rate", "fps"):
        if name in denoiser.call.parameters:
            value = denoiser.options.get(name, denoiser.call.parameters[name].default)
            if isinstance(value, int | float) and value > 0:
                return float(value)
    kind = type(denoiser.pipe).__name__
    return next((fps for start, fps in FPS.items() if kind.startswith(start)), 8.0)


def own_run(denoiser: PipelineDenoiser) -> Strategy:
    """The strategy that does what the pipeline itself does."""
    if has_two(denoiser.pipe):
        selector = boundary_of(denoiser)
    else:
        selector = Choice("always", {"name": "video" if denoiser.denoises == "clips" else "image"})
    default = getattr(denoiser.call.parameters.get("num_inference_steps"), "default", _STEPS)
    steps = denoiser.call.steps or default
    solver = solver_of(loop_of(denoiser.pipe).scheduler, denoiser.call.who)
    return Strategy(selector, solver, "native", steps=steps if isinstance(steps, int) else _STEPS)
