"""Folders of a `JVIDPipeline`, read: what `folder` writes, and the folder of one pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jvid import documents
from jvid.ensemble import Ensemble
from jvid.errors import InputError, MissingDependencyError, located
from jvid.files import read_json
from jvid.plugins.choice import Choice
from jvid.strategy import Strategy
from jvid_models.adapters.pipelines import from_pipeline
from jvid_models.adapters.pipelines.folders import is_pipeline_folder
from jvid_models.adapters.pipelines.load import read_pipeline
from jvid_models.adapters.precision import precision
from jvid_models.diffusion_pipeline.experts import Experts, experts_of
from jvid_models.diffusion_pipeline.folder import DOCUMENT, FORMAT, is_name
from jvid_models.diffusion_pipeline.options import CallOptions
from jvid_models.diffusion_pipeline.sources import PipelineExpert
from jvid_models.ensembles.pipelines import without_weights

__all__ = ["load_pipeline_folder", "read_folder"]

_KEYS = ("format", "whole", "experts", "around", "strategy")
_DESCRIBED = ("folder", "options", "seed", "untested", "native", "fps", "wrappers")
_REMEDY = "write it again with JVIDPipeline.save_pretrained"


def read_folder(
    path: str | Path,
    *,
    dtype: Any = None,
    torch_dtype: Any = None,
    device: str = "cpu",
    weights: bool = True,
) -> tuple[Experts, Strategy | None]:
    """The experts of a folder and its strategy; arguments as of ``JVIDPipeline.from_pretrained``.

    Without ``weights`` the experts have what a plan needs, as of `pipeline_ensemble`.

    Raises:
        MissingDependencyError: no such folder, or a class needs a package that is not installed.
        InputError: a newer format, a folder of an expert that is absent, or one that is damaged.
    """
    root, dtype = Path(path), dtype or torch_dtype or "float32"
    place: dict[str, Any] = {"device": device, "dtype": precision(dtype), "weights": weights}
    if not (root / DOCUMENT).is_file():
        if not is_pipeline_folder(root):
            raise MissingDependencyError(
                f"no {root / DOCUMENT}: expected a local folder that JVIDPipeline.save_pretrained wrote, or of one pipeline"
            )
        return experts_of(read_pipeline(root, **place), {}, {}), None
    document: dict[str, Any] = read_json(root / DOCUMENT, "the document of a JVIDPipeline", _REMEDY, _checked)
    experts = document["experts"]
    for name, described in experts.items():  # before any is loaded
        folder = described["folder"]
        if not is_name(folder) or not is_pipeline_folder(root / folder):
            raise InputError(f"{root}: expert {name!r} has no folder {folder!r} in it: {_REMEDY}")
    pipes: dict[str, Any] = {}
    sources: dict[str, PipelineExpert] = {}
    for name, described in experts.items():
        folder = described["folder"]
        with located(f"{root}: expert {name!r}"):
            if folder not in pipes:
                parts = {part: _part(pipes, where) for part, where in described.get("shared", {}).items()}
                pipes[folder] = read_pipeline(root / folder, shared=parts, **place)
                sources[folder] = _source(pipes[folder], described)
    named = {name: sources[described["folder"]] for name, described in experts.items()}
    return Experts(named, document["around"], document["whole"]), document["strategy"]


def load_pipeline_folder(path: str | Path, *, weights: bool = True, **options: Any) -> Ensemble:
    """The ensemble of a folder, with its strategy; options as of `read_folder`."""

    def loaded(weights: bool) -> Ensemble:
        experts, strategy = read_folder(path, weights=weights, **options)
        ensemble = experts.ensemble(CallOptions())
        ensemble.strategy = strategy
        return ensemble

    return loaded(True) if weights else without_weights(loaded, path)


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    if document.get("format") != FORMAT:
        raise InputError(f"it has format {document.get('format')!r}, this jvid reads {FORMAT}: update jvid")
    if missing := [key for key in _KEYS if key not in document]:
        raise InputError(f"it lacks {', '.join(missing)}: {_REMEDY}")
    experts: object = document["experts"]
    if not isinstance(experts, Mapping) or not experts:
        raise InputError(f"its experts are {documents.short(experts)}: expected some, by name; {_REMEDY}")
    for described in experts.values():
        for key in _DESCRIBED:
            _ = described[key]
    return {**document, "strategy": Strategy.from_dict(document["strategy"])}


def _part(pipes: Mapping[str, Any], where: str) -> Any:
    """A part EXPERT/PART of a pipeline that is loaded already."""
    name, _, part = where.partition("/")
    found = getattr(pipes.get(name), part, None)
    if found is None:
        raise InputError(f"it shares {where!r}, which there is not: {_REMEDY}")
    return found


def _source(pipe: Any, described: Mapping[str, Any]) -> PipelineExpert:
    options = {key: described[key] for key in ("seed", "untested")}
    wrappers = described["wrappers"]
    return PipelineExpert(
        from_pipeline(pipe, **options, **described["options"]),
        described["native"],
        described["fps"],
        None if wrappers is None else tuple(map(Choice.from_plain, wrappers)),
    )
