"""Which modules of a pipeline jvid may move between host and device; the others manage their memory themselves.

Left alone are modules with hooks of accelerate (``enable_model_cpu_offload``, ``enable_sequential_cpu_offload``, a device map) or
of diffusers' group offloading, quantised ones, and such whose weights are not there yet. Those whose weights were left out for a
plan are among the movable ones, as they are in a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from jvid_models.adapters.weightless import is_weightless

__all__ = ["is_movable", "movable"]

_QUANTISED = ("hf_quantizer", "is_loaded_in_8bit", "is_loaded_in_4bit", "is_quantized")
_PLAIN = (torch.Tensor, nn.Parameter)


def movable(modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Those of the modules that may be moved."""
    return {name: module for name, module in modules.items() if is_movable(module)}


def is_movable(module: nn.Module) -> bool:
    """Whether nothing else moves the weights of a module, and they are plain tensors."""
    if any(getattr(module, name, None) for name in _QUANTISED) or getattr(module, "hf_device_map", None):
        return False
    if any(_has_hook(each) for each in module.modules()):
        return False
    return all(
        type(weight) in _PLAIN
        and weight.is_floating_point()
        and (weight.device.type != "meta" or is_weightless(module))
        for weight in module.parameters()
    )


def _has_hook(module: Any) -> bool:
    if hasattr(module, "_hf_hook"):
        return True
    registry = getattr(module, "_diffusers_hook", None)
    hooks = getattr(registry, "hooks", {})
    return any("group_offloading" in name for name in hooks)
