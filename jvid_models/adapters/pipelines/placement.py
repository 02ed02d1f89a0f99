"""The modules of a pipeline by when they are called, and where the pipeline computes while they are moved.

A pipeline makes its tensors on the device of its first module, which may be on the host just then. For the time of a call each
module has a hook in the form of accelerate's, which names the device that computes, and methods such as ``decode``, which are no
forward, have the weights there first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import torch
from torch import nn

from jvid.core.modules import Parts
from jvid.machine.managed import arrive, place_of
from jvid_models.adapters.movable import movable
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.replaced import replaced
from jvid_models.adapters.weightless import METHODS

__all__ = ["DECODERS", "excluded_of", "parts_of", "placed"]

DECODERS = ("vae", "movq", "vqgan", "vqvae")
"""Components that turn a pipeline's latents into pixels."""

_NETWORKS = ("transformer", "unet", "dit", "controlnet", "motion_adapter")


def parts_of(pipe: Any, called: Collection[str] = ()) -> Parts:
    """The modules of a pipeline that may be moved.

    Args:
        pipe: the pipeline.
        called: the components that its loop calls; where there are none yet, they are known by their names.
    """
    excluded = excluded_of(pipe)
    modules = movable({name: part for name, part in modules_of(pipe).items() if name not in excluded})
    networks = {name for name in modules if name in called or (not called and name.startswith(_NETWORKS))}
    decoders = {name for name in modules if name in DECODERS or name.startswith("vae")} - networks
    return Parts(
        {name: module for name, module in modules.items() if name in networks},
        {name: module for name, module in modules.items() if name not in networks | decoders},
        {name: module for name, module in modules.items() if name in decoders},
    )


def excluded_of(pipe: Any) -> dict[str, nn.Module]:
    """The components that diffusers itself keeps on the device where it offloads a pipeline: their weights are used as such."""
    names = getattr(pipe, "_exclude_from_cpu_offload", ())
    return {name: module for name, module in modules_of(pipe).items() if name in names}


@attrs.frozen(eq=False)
class PlacingHook:
    """What diffusers reads of an accelerate hook: the device that computes."""

    execution_device: torch.device


@contextmanager
def placed(pipe: Any) -> Iterator[None]:
    """Within the block the pipeline computes on the device that its modules are moved to, if some are."""
    modules = modules_of(pipe).values()
    places = {module: place for module in modules if (place := place_of(module)) is not None}
    networks = [module for name, module in modules_of(pipe).items() if name.startswith(_NETWORKS)]
    with ExitStack() as stack:
        for module in modules if places else ():
            values: dict[str, Any] = {}
            if not hasattr(module, "_hf_hook"):
                values["_hf_hook"] = PlacingHook(next(iter(places.values())).device)
            if module in places:
                values |= {
                    name: _arriving(module, getattr(module, name))
                    for name in METHODS
                    if callable(getattr(module, name, None)) and name not in module.__dict__
                }
                # A part of an encoder may be called by itself, as the vision tower of a language model is.
                for child in module.children() if module not in networks else ():
                    if "forward" not in child.__dict__:
                        stack.enter_context(replaced(child, forward=_arriving(module, child.forward)))
            stack.enter_context(replaced(module, **values))
        yield


def _arriving(module: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        arrive(module)
        return method(*args, **kwargs)

    return called
