"""One run of a tiny pipeline, by diffusers alone."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor

from benchmarks.published.tiny import Tiny

PICTURES_ONLY = ("LDM3D", "KandinskyCombined", "KandinskyImg2ImgCombined")
"""Classes, by parts of their names, that return no latents."""


def run(tiny: Tiny, seed: int = 0, **arguments: Any) -> Tensor:
    """The result of a call: latents where the class returns them, frames otherwise."""
    call = inspect.signature(tiny.pipe.__call__).parameters
    given = tiny.arguments | arguments
    if "output_type" in call:
        pictures = any(part in type(tiny.pipe).__name__ for part in PICTURES_ONLY)
        given = {"output_type": "np" if pictures else "latent"} | given
    if "generator" in call:
        given = {"generator": torch.Generator().manual_seed(seed)} | given
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # some pipelines draw what they encode from the global generator
        result = tiny.pipe(**given)[0]
    while isinstance(result, list | tuple):
        result = result[0]
    return torch.as_tensor(result if isinstance(result, Tensor) else np.asarray(result)).float()


def flaw(tiny: Tiny) -> str | None:
    """What makes a pipeline useless for comparisons: values that are not finite, or do not depend on prompt or pictures."""
    first = run(tiny)
    if not first.isfinite().all():
        return "values that are not finite"
    if "prompt" in tiny.arguments:
        other = run(tiny, prompt="blue dogs run")
        if (first - other).abs().max() < 1e-3 * first.abs().max():
            return "the same values for another prompt"
    for name, given in tiny.arguments.items():
        if (negative := _negative(given)) is not None:
            other = run(tiny, **{name: negative})
            if (first - other).abs().max() < 1e-3 * first.abs().max():
                return f"the same values for another {name}"
    return None


def _negative(given: Any) -> Any:
    """A picture or clip in other colours; None of what is neither."""
    if isinstance(given, Image.Image):
        return ImageChops.invert(given)
    if isinstance(given, list) and given and isinstance(given[0], Image.Image):
        return [_negative(each) for each in given]
    return None
