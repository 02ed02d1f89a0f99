"""Tiny pipelines with random weights: every class of diffusers that makes pictures or clips of a text, a picture or a clip.

``build("FluxPipeline")`` is a pipeline of some ten thousand weights, on the CPU in float32, that runs in about a
second. A class may have variants, "WanPipeline:2.2" say. ``names()`` and ``missing()`` together are every such class of
the installed diffusers. ``python -m benchmarks.published.tiny`` builds and runs them all.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections import Counter
from collections.abc import Mapping
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

from attrs import frozen

from benchmarks.published.tiny import families
from benchmarks.published.tiny.classes import published
from benchmarks.published.tiny.parts import Part, Recipe
from jvid.errors import InputError


@frozen
class Tiny:
    """A tiny pipeline and what to call it with.

    Attributes:
        pipe: The pipeline of diffusers.
        arguments: Keyword arguments of one call, without ``latents``, ``generator`` and ``output_type``.
        kind: as of a `Recipe`.
    """

    pipe: Any
    arguments: dict[str, Any]
    kind: str


@cache
def recipes() -> Mapping[str, Recipe]:
    """The recipe of each class and of its variants, built here or not."""
    found: dict[str, Recipe] = {}
    for family in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        found |= getattr(importlib.import_module(family.name), "RECIPES", {})
    return found


def lacks(recipe: Recipe) -> tuple[str, ...]:
    """Packages that a recipe needs and that are not installed."""
    return tuple(package for package in recipe.needs if importlib.util.find_spec(package) is None)


def variants() -> tuple[str, ...]:
    """All that :func:`build` takes: names of classes, and of their variants after a colon."""
    absent = missing()
    return tuple(
        name
        for name, recipe in recipes().items()
        if name.partition(":")[0] not in absent and not lacks(recipe)
    )


def names() -> tuple[str, ...]:
    """The classes that can be built here."""
    return tuple(dict.fromkeys(name.partition(":")[0] for name in variants()))


def missing() -> Mapping[str, str]:
    """The classes of the installed diffusers that cannot be built here, each with the reason."""
    lacking = {
        name: f"needs {', '.join(lacks(recipe))}"
        for name, recipe in recipes().items()
        if ":" not in name and lacks(recipe)
    }
    unknown = {name: "has no recipe" for name in published() if name not in recipes()}
    return lacking | unknown


def keep_ascii(module: ModuleType) -> None:
    """Let a pipeline's module clean prompts without ftfy, as others of diffusers do.

    ``WanPipeline`` leaves prompts as they are where ftfy is not installed; ``WanImageToVideoPipeline`` and others fail
    by an omission. ftfy returns the ASCII prompts of this package as they are.
    """
    if hasattr(module, "is_ftfy_available") and not module.is_ftfy_available():
        module.__dict__.setdefault("ftfy", SimpleNamespace(fix_text=str))


def build(name: str, seed: int = 0) -> Tiny:
    """The pipeline of a class or variant, with weights drawn from the seed."""
    import torch

    from benchmarks.published.tiny.weights import draw

    if name not in recipes():
        raise InputError(
            f"{name!r} has no tiny pipeline: expected one of tiny.variants(), 'WanPipeline:2.2' say"
        )
    recipe = recipes()[name]
    cls = getattr(importlib.import_module("diffusers"), name.partition(":")[0])
    keep_ascii(importlib.import_module(cls.__module__))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {key: part() if isinstance(part, Part) else part for key, part in recipe.parts.items()}
        networks = Counter[type]()
        for part in parts.values():
            if isinstance(part, torch.nn.Module):
                draw(part.eval().requires_grad_(False), seed, number=networks[type(part)])
                networks[type(part)] += 1
        pipe = cls(**parts)
        arguments = {
            key: each() if isinstance(each, Part) else each for key, each in recipe.arguments.items()
        }
    for attribute, value in recipe.limits.items():
        setattr(pipe, attribute, value)
    pipe.set_progress_bar_config(disable=True)
    return Tiny(pipe, arguments, recipe.kind)
