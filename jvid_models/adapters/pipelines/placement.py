"""The modules of a pipeline by when they are called, and where the pipeline computes while they are moved.

A pipeline makes its tensors on the device of its first module, which may be on the host just then. For the time of a call each
module has a hook in the form of accelerate's, which names the device that computes; autoencoders call theirs before ``encode``
and ``decode``, which are no forward.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import torch
from torch import nn

from jvid.core.modules import Parts
from jvid.machine.managed import Place, place_of
from jvid_models.adapters.movable import movable
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.replaced import replaced

__all__ = ["DECODERS", "parts_of", "placed"]

DECODERS = ("vae", "movq", "vqgan", "vqvae")
"""Components that turn a pipeline's latents into pixels."""

_NETWORKS = ("transformer", "unet", "dit", "controlnet", "motion_adapter")


def parts_of(pipe: Any, called: Collection[str] = ()) -> Parts:
    """The modules of a pipeline that may be moved.

    Args:
        pipe: the pipeline.
        called: the components that its loop calls; where there are none yet, they are known by their names.
    """
    modules = movable(modules_of(pipe))
    networks = {name for name in modules if name in called or (not called and name.startswith(_NETWORKS))}
    decoders = {name for name in modules if name in DECODERS or name.startswith("vae")} - networks
    return Parts(
        {name: module for name, module in modules.items() if name in networks},
        {name: module for name, module in modules.items() if name not in networks | decoders},
        {name: module for name, module in modules.items() if name in decoders},
    )


@attrs.frozen(eq=False)
class PlacingHook:
    """What diffusers reads of an accelerate hook: the device that computes, and a call ahead of a module's methods."""

    execution_device: torch.device
    place: Place | None

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Have the weights there."""
        if self.place is not None:
            self.place.call()
        return args, kwargs


@contextmanager
def placed(pipe: Any) -> Iterator[None]:
    """Within the block the pipeline computes on the device that its modules are moved to, if some are."""
    modules = modules_of(pipe).values()
    places = [place for module in modules if (place := place_of(module)) is not None]
    with ExitStack() as stack:
        for module in modules if places else ():
            if not hasattr(module, "_hf_hook"):
                hook = PlacingHook(places[0].device, place_of(module))
                stack.enter_context(replaced(module, _hf_hook=hook))
        yield
