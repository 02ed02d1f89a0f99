"""A `JVIDPipeline` written to a folder: a pipeline of diffusers for each expert, and one document.

    jvid_pipeline.json    {"format": 1, "whole": false, "experts": {"video": {"folder": "video", "options": {...}, ...},
                           "image": {"folder": "image", "shared": {"vae": "video/vae"}, ...}}, "around": {...}, "strategy": {...}}
    video/  image/        as their own save_pretrained writes them

A part that is one object in several pipelines is written once, and is one object again when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jvid.errors import InputError, located
from jvid.extras import extra
from jvid.files import whole_folder
from jvid.strategy import Strategy
from jvid_models.adapters.pipelines.replaced import replaced
from jvid_models.diffusion_pipeline.experts import Experts
from jvid_models.diffusion_pipeline.sources import PipelineExpert

with extra("models"):
    from diffusers.configuration_utils import FrozenDict

__all__ = ["DOCUMENT", "FORMAT", "is_name", "kind_of", "save"]

DOCUMENT = "jvid_pipeline.json"
FORMAT = 1


def kind_of(source: Any) -> str:
    """The class of an expert, for a document."""
    return type(source.denoiser.pipe if isinstance(source, PipelineExpert) else source).__name__


def is_name(name: str) -> bool:
    """Whether a folder of this name is inside of the one that it is in."""
    return Path(name).name == name and name.strip(".") != ""


def save(path: str | Path, experts: Experts, strategy: Strategy, **kwargs: Any) -> None:
    """Write a folder, whole or not at all; arguments as of ``JVIDPipeline.save_pretrained``."""
    if unknown := [
        name for name in kwargs if name not in ("variant", "max_shard_size", "safe_serialization")
    ]:
        raise InputError(f"save_pretrained got {unknown[0]!r}: expected variant or max_shard_size")
    if kwargs.get("safe_serialization") is False:
        raise InputError("safe_serialization=False: weights are written as safetensors only, leave it out")
    described, shared = _described(experts), _shared(experts)
    document = {
        "format": FORMAT,
        "whole": experts.whole,
        "experts": described,
        "around": _plain("around", experts.stored_around()),
        "strategy": strategy.to_dict(),
    }
    for name, each in described.items():
        if each["folder"] == name and name in shared:
            each["shared"] = shared[name]
    with whole_folder(path, DOCUMENT) as fresh:
        for name, expert in experts.pipelines.items():
            pipe, place = expert.denoiser.pipe, fresh / name
            own = FrozenDict({k: v for k, v in pipe.config.items() if k not in shared[name]})
            with replaced(pipe, _internal_dict=own):  # diffusers writes the parts of a configuration
                pipe.save_pretrained(place, **{**kwargs, "safe_serialization": True})
            pipe.save_config(place)
        (fresh / DOCUMENT).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _described(experts: Experts) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, each in experts.sources.items():
        if not isinstance(each, PipelineExpert):
            raise InputError(f"expert {name!r} is a {kind_of(each)}: only pipelines of diffusers are saved")
        if not is_name(name):
            raise InputError(f"expert {name!r} is no name of a folder: give it another")
        with located(f"expert {name!r}"):
            found[name] = {
                "class": kind_of(each),
                "folder": next(n for n, other in experts.pipelines.items() if other is each),
                "options": _plain("option", each.denoiser.options),
                "seed": each.denoiser.seed,
                "untested": not each.denoiser.compared,
                "native": each.native,
                "fps": each.fps,
                "wrappers": None
                if each.wrappers is None
                else [choice.to_plain() for choice in each.wrappers],
            }
    return found


def _shared(experts: Experts) -> dict[str, dict[str, str]]:
    """By expert, the parts that are those of an earlier one, each as EXPERT/PART."""
    seen: dict[int, str] = {}
    shared: dict[str, dict[str, str]] = {}
    for name, expert in experts.pipelines.items():
        parts = {part: value for part, value in expert.denoiser.pipe.components.items() if value is not None}
        shared[name] = {part: seen[id(value)] for part, value in parts.items() if id(value) in seen}
        for part, value in parts.items():
            seen.setdefault(id(value), f"{name}/{part}")
    return shared


def _plain(what: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them."""
    for name, value in values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{what} {name!r} is a {type(value).__name__}, which is not saved: give it to the call, inputs={{EXPERT: ...}}"
            ) from None
    return dict(values)
