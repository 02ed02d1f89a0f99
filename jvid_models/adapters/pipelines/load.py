"""Denoisers from loaded pipelines and from folders that diffusers wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.extras import extra
from jvid.files import read_json
from jvid.machine.device import check_device
from jvid.machine.managed import are_too_large, units_of
from jvid.media.given import read_given
from jvid_models.adapters.pipelines.compared import COMPARED
from jvid_models.adapters.pipelines.denoiser import PipelineDenoiser
from jvid_models.adapters.pipelines.folders import (
    check_index,
    check_parts,
    encoders_of,
    models_of,
    models_without_weights,
    variant_of,
)
from jvid_models.adapters.pipelines.lora import Files, Scales, load_loras, loads_into
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.placement import excluded_of, parts_of
from jvid_models.adapters.pipelines.shared import SharedParts, files_of_parts
from jvid_models.adapters.weightless import NeedsWeights, empty_weights, leave_out_weights

with extra("models"):
    import diffusers

__all__ = ["from_folder", "from_pipeline", "read_pipeline"]


def from_pipeline(
    pipe: Any,
    *,
    inputs: Mapping[str, Any] | None = None,
    seed: int = 0,
    untested: bool = False,
    **options: Any,
) -> PipelineDenoiser:
    """The denoiser of a loaded ``DiffusionPipeline``.

    Args:
        pipe: the pipeline; it is not copied, and works as before beside the denoiser.
        inputs: pictures, clips and tensors for its call, or paths of their files (`jvid.media.given`): ``{"image": picture}``.
        seed: of the draws that the pipeline makes before its loop.
        untested: take a class that was never compared with diffusers' own run.
        options: further arguments of its call, by its own names: guidance_scale, negative_prompt, height, width, ...

    Raises:
        InputError: no pipeline, an option that its call does not have, or a class that was not compared.
    """
    if not isinstance(pipe, diffusers.DiffusionPipeline):
        raise InputError(f"got a {type(pipe).__name__}: expected a DiffusionPipeline of diffusers")
    name = type(pipe).__name__
    if name not in COMPARED and not untested:
        raise InputError(
            f"{name} was never compared with diffusers' own run, and may be wrong in silence: give untested=True to use it"
        )
    given = {
        key: read_given(each) if isinstance(each, str | Path) else each
        for key, each in (inputs or {}).items()
    }
    return PipelineDenoiser(pipe, {**options, **given}, seed, name in COMPARED)


def from_folder(
    path: str | Path,
    shared: SharedParts | None = None,
    /,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    host: bool = False,
    adaptable: bool = False,
    weights: bool = True,
    inputs: Mapping[str, Any] | None = None,
    seed: int = 0,
    untested: bool = False,
    lora: Files | None = None,
    lora_scale: Scales | None = None,
    lora_2: Files | None = None,
    lora_scale_2: Scales | None = None,
    **options: Any,
) -> PipelineDenoiser:
    """The denoiser of a local folder with a ``model_index.json``; other arguments as those of `from_pipeline`.

    Weights are read from safetensors only. With ``host`` they stay on the host, whatever the device, and so they do where a GPU
    has no room for them; an `Offload` then moves them as a run needs them.

    Args:
        path: of the folder.
        shared: the parts of other pipelines of the ensemble, which take the place of equal ones; None shares none.
        dtype: of its networks.
        device: of its networks.
        adaptable: whether LoRA may come later: parts that take it are then the pipeline's own.
        weights: whether they are read; without them the denoiser has shape, times and space, and is not evaluated.
        lora: files of LoRA weights (`load_loras`): a path, or several.
        lora_scale: of all of them, or one for each.
        lora_2: as ``lora``, into the second transformer of a pipeline of two.
        lora_scale_2: as ``lora_scale``.
        inputs, seed, untested, options: as those of `from_pipeline`.

    Raises:
        MissingDependencyError: the folder has no ``model_index.json``, or a class needs a package that is not installed.
        NeedsWeights: without weights, a folder that is not made of its configurations alone.
        InputError: the folder is damaged, its class was not compared, or the device is not there.
    """
    index = _index_of(path)
    name = index.get("_class_name")
    if name not in COMPARED and not untested:
        raise InputError(
            f"{path} holds a {name}, which was never compared with diffusers' own run: give untested=True to use it"
        )
    check_device(str(device))
    if shared is None:
        pipe = read_pipeline(path, dtype=dtype, weights=weights)
    else:
        changes = adaptable or lora is not None or lora_2 is not None
        changed = loads_into(_class_of(index), index) if changes else ()
        parts = files_of_parts(Path(path), index, dtype, (str(device), host, weights), changed)
        pipe = read_pipeline(path, dtype=dtype, shared=shared.equal(parts, whole=weights), weights=weights)
        shared.add(parts, pipe)
    load_loras(pipe, lora, lora_scale, lora_2, lora_scale_2)
    if weights and (host or are_too_large(units_of(parts_of(pipe).all), device)):
        for module in excluded_of(pipe).values():
            module.to(device)
    elif weights:
        pipe = pipe.to(device)
    return from_pipeline(pipe, inputs=inputs, seed=seed, untested=untested, **options)


def read_pipeline(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    shared: Mapping[str, Any] | None = None,
    weights: bool = True,
) -> Any:
    """The pipeline of a local folder, with parts in the place of its own where they are ``shared``.

    Weights are read from safetensors only. Without ``weights`` the pipeline is on no device.

    Raises:
        MissingDependencyError: the folder has no ``model_index.json``, or a class needs a package that is not installed.
        NeedsWeights: without weights, a folder that is not made of its configurations alone.
        InputError: the folder is damaged.
    """
    stated, given = _index_of(path), dict(shared or {})
    own = {key: value for key, value in stated.items() if key not in given}
    kind, options = _class_of(stated), {"dtype": dtype, "local_files_only": True}
    check_parts(Path(path), own)
    try:
        if not weights:
            return _without_weights(
                kind, path, models_without_weights(Path(path), own, dtype) | given, options
            )
        variant = variant_of(Path(path), own)
        parts = models_of(Path(path), own, dtype) | encoders_of(Path(path), own, dtype) | given
        pipe = kind.from_pretrained(path, use_safetensors=True, variant=variant, **options, **parts)
    except NeedsWeights:
        raise
    except (OSError, SafetensorError, RuntimeError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"cannot load a pipeline from {path}: {one_line(error, first=True)}") from None
    except ImportError as error:
        raise MissingDependencyError(
            f"{stated.get('_class_name')} needs a package: {one_line(error, first=True)}"
        ) from error
    return pipe.to(device)


def _without_weights(
    kind: Any, path: str | Path, parts: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """The pipeline of parts without weights; some classes make a model of two (AnimateDiff)."""
    try:
        with empty_weights():
            pipe = kind.from_pretrained(path, use_safetensors=True, **options, **parts)
    except RuntimeError as error:
        raise NeedsWeights.of(f"a {kind.__name__} is not made without weights", error) from error
    for module in modules_of(pipe).values():
        leave_out_weights(module)
    return pipe


def _class_of(index: Mapping[str, Any]) -> Any:
    """diffusers' class of a pipeline. The base class, which it is for others, loads optional parts that it is given once more."""
    kind = getattr(diffusers, str(index.get("_class_name")), None)
    is_pipeline = isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)
    return kind if is_pipeline else diffusers.DiffusionPipeline


def _index_of(path: str | Path) -> dict[str, Any]:
    index = Path(path) / "model_index.json"
    if not index.is_file():
        raise MissingDependencyError(f"no {index}: expected a local folder of a diffusers pipeline")
    stated: dict[str, Any] = read_json(index, "JSON as diffusers writes it", "fetch the folder again")
    check_index(index, stated)
    return stated
