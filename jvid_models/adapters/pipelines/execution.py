"""The device that a pipeline computes on, found once for many calls of it.

    device = that of the first tensors of its components,      unless modules of theirs are offloaded by hooks

diffusers looks through all modules of all components for hooks, at the beginning of each call: tens of milliseconds for the
thousands of modules of a published pipeline. Its own run does so once, evaluations would do it once a step. They are called on
a view of the pipeline: an object of a derived class, with the pipeline's own attributes, whose device is known. What the device
depends on is looked at before each call.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import torch
from torch import nn

from jvid.extras import extra
from jvid_models.adapters.pipelines.networks import modules_of

with extra("models"):
    from diffusers import DiffusionPipeline, ModelMixin
    from diffusers.hooks.group_offloading import _GROUP_OFFLOADING
    from transformers import PreTrainedModel

__all__ = ["with_known_device"]

_NAMES = ("_execution_device", "device")
# Of a class that looks for its device in another way nothing is known.
_OF_PIPELINES: Any = {name: vars(DiffusionPipeline)[name] for name in _NAMES}
_OF_MODULES: Any = (vars(ModelMixin)["device"], PreTrainedModel.device)

Places = tuple[tuple["weakref.ref[nn.Module]", torch.device], ...]
"""Each component, and the device of its first tensor."""


@attrs.frozen(eq=False)
class _Known:
    places: Places
    device: torch.device


_known: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()


def with_known_device(pipe: Any, hooked: Iterable[nn.Module]) -> Any:
    """A pipeline as the ``self`` of a call: a view that has its device, or the pipeline where that may be another each time.

    ``hooked``: its modules with hooks, but for hooks that are given to its components for this call.
    """
    places = None if any(map(_is_offloaded, hooked)) else _places(pipe)
    if places is None:
        return pipe
    known = _known.get(pipe)
    if known is None or known.places != places:
        known = _known[pipe] = _Known(places, pipe._execution_device)
    kind: Any = type(pipe)
    view: Any = object.__new__(_derived(kind))
    object.__setattr__(view, "__dict__", pipe.__dict__)
    for name in _NAMES:
        object.__setattr__(view, name, known.device)
    return view


def _places(pipe: Any) -> Places | None:
    """What a pipeline's device depends on; None where that is more than its components and where they are."""
    kind: Any = type(pipe)
    if any(getattr(kind, name, None) is not own for name, own in _OF_PIPELINES.items()) or _is_particular(
        kind
    ):
        return None
    found = []
    for module in modules_of(pipe).values():
        first = next(itertools.chain(module.parameters(), module.buffers()), None)
        of_a_kind = any(getattr(type(module), "device", None) is own for own in _OF_MODULES)
        if first is None or not of_a_kind or _is_offloaded(module):
            return None
        found.append((weakref.ref(module), first.device))
    return tuple(found)


def _is_offloaded(module: nn.Module) -> bool:
    """Whether a module has a hook of accelerate, or of diffusers' group offloading, which have the device that computes."""
    registry = module.__dict__.get("_diffusers_hook")
    grouped = registry is not None and registry.get_hook(_GROUP_OFFLOADING) is not None
    return grouped or "_hf_hook" in module.__dict__


@cache
def _is_particular(kind: Any) -> bool:
    """Whether a class does something of its own where a class is derived from it."""
    return type(kind) is not type or any("__init_subclass__" in vars(each) for each in kind.__mro__[:-1])


@cache
def _derived(kind: Any) -> Any:
    """A class under the same name, with places for what is a property otherwise."""
    return type(kind.__name__, (kind,), {"__slots__": _NAMES, "__module__": kind.__module__})
