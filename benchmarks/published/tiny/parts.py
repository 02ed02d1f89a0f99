"""Parts of a tiny pipeline as values: what is built, and from which configuration.

A table of recipes imports neither torch nor diffusers; a part imports its library when it is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen


@frozen
class Part:
    """A component or an argument of a pipeline that is built on demand."""

    make: Callable[[], Any]

    def __call__(self) -> Any:
        return self.make()


@frozen
class Recipe:
    """How to build and call one tiny pipeline.

    Attributes:
        kind: "text-to-image", "text-to-video", "image-to-video", "image-to-image", "video-to-video", "control-to-image" or
            "control-to-video".
        parts: The constructor's arguments: parts, and plain values as they are.
        arguments: Keyword arguments of one call; parts are built.
        needs: Packages without which the class cannot be called.
        limits: Attributes of the pipeline that are set after it is built, where published sizes are fixed in its code.
    """

    kind: str
    parts: Mapping[str, Any]
    arguments: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(factory=dict)

    def but(self, kind: str | None = None, **parts: Any) -> Recipe:
        """The same recipe with other parts; a part ``...`` is left out."""
        return evolve(self, kind=kind or self.kind, parts=_merged(self.parts, parts))

    def called(self, **arguments: Any) -> Recipe:
        """The same recipe with other arguments of the call; an argument ``...`` is left out."""
        return evolve(self, arguments=_merged(self.arguments, arguments))

    def needing(self, *packages: str) -> Recipe:
        """The same recipe for a class that cannot be called without packages."""
        return evolve(self, needs=packages)

    def limited(self, **limits: Any) -> Recipe:
        """The same recipe with other attributes of the pipeline."""
        return evolve(self, limits=_merged(self.limits, limits))


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in {**old, **new}.items() if each is not ...}


def _find(name: str, library: str) -> Any:
    """A class of a library, or "module:Class" of a module below it."""
    module, _, cls = name.rpartition(":")
    return getattr(importlib.import_module(f"{library}.{module}".rstrip(".")), cls)


def diffusers(name: str, **config: Any) -> Part:
    """A component of diffusers (a network, an autoencoder, a scheduler), from its configuration.

    Args:
        name: The class; "pipelines.ltx2:LTX2Vocoder" where only a module below ``diffusers`` has it.
        config: The constructor's arguments.
    """
    return Part(lambda: _find(name, "diffusers")(**config))


def transformers(name: str, config: str, library: str = "transformers", **values: Any) -> Part:
    """A network of transformers, or of diffusers in its style, from the values of its configuration class."""
    return Part(lambda: _find(name, library)(_find(config, library)(**values)))


def processor(name: str, **values: Any) -> Part:
    """A tokenizer or image processor of transformers."""
    return Part(lambda: _find(name, "transformers")(**values))


def picture(height: int, width: int, turn: float = 0.0) -> Part:
    """A picture of smooth colours, as PIL has it; they change with ``turn`` in [0, 1]."""

    def make() -> Any:
        import numpy as np
        from PIL import Image

        down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
        colours = [down * across, 1 - down * across / 2, abs(down - across)]
        colours = [each + (1 - 2 * each) * turn for each in colours]
        return Image.fromarray((np.stack(colours, -1) * 255).astype(np.uint8))

    return Part(make)


def clip(height: int, width: int, frames: int) -> Part:
    """A clip of such pictures, a list; its colours turn to others from the first to the last."""
    made = [picture(height, width, number / frames) for number in range(frames)]
    return Part(lambda: [each() for each in made])
