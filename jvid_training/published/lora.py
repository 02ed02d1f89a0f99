"""Low-rank adapters in a network of diffusers, by PEFT: injected, kept apart in checkpoints, merged, and written as a file.

    W + (alpha / rank) B A        A drawn, B = 0: training begins with the published network

A network of any class gets them by ``inject_adapter_in_model``, those without diffusers' own mixin too (UNet3DConditionModel).
The file is that of ``load_lora_weights``: B in it holds the factor alpha / rank, so that every loader gives the same network.
Source: Hu et al., LoRA, https://arxiv.org/abs/2106.09685.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from jvid.errors import InputError, one_line
from jvid.extras import extra
from jvid_training.recipe_published import Lora

with extra("models"):
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import get_peft_model_state_dict

__all__ = ["inject", "lora_tensors", "merge"]

_NAME = "default"


def inject(network: nn.Module, lora: Lora, unused: Collection[str] = ()) -> None:
    """Put adapters into the layers that ``lora.targets`` name; they alone are trained, in float32.

    Those beside weights that are ``unused`` stay as they are.

    Raises:
        InputError: a target that names no layer, or one that takes no adapter.
    """
    names = [name for name, _ in network.named_modules() if name]
    for target in lora.targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise InputError(
                f"lora.targets: no layer of the {type(network).__name__} is named {target!r}; expected ends of names, such as "
                f"those of {', '.join(_linear(network)[:3])}"
            )
    if not lora.targets:
        raise InputError("lora.targets: got none, expected ends of names of layers")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha or lora.rank,  # type: ignore[arg-type]  # a factor as any other
        target_modules=list(lora.targets),
        init_lora_weights=True,
    )
    try:
        inject_adapter_in_model(config, network, adapter_name=_NAME)
    except (ValueError, TypeError) as error:
        raise InputError(f"lora.targets: {one_line(error, first=True)}") from error
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
            parameter.requires_grad_(f"{name.partition('.lora_')[0]}.weight" not in unused)


def lora_tensors(network: nn.Module, component: str, lora: Lora) -> dict[str, Tensor]:
    """The adapters as ``load_lora_weights`` of a pipeline takes them; ``component``: the network's name in the pipeline."""
    factor = (lora.alpha or lora.rank) / lora.rank
    found: dict[str, Tensor] = get_peft_model_state_dict(network, adapter_name=_NAME)
    return {
        f"{component}.{name}": tensor.detach() * factor if "lora_B" in name else tensor.detach()
        for name, tensor in found.items()
    }


@torch.no_grad()
def merge(network: nn.Module) -> None:
    """Add the adapters to the weights that they are beside, and take them out."""
    for name, module in list(network.named_modules()):
        if isinstance(module, BaseTunerLayer):
            layer: Any = module
            layer.merge()
            owner, _, key = name.rpartition(".")
            setattr(network.get_submodule(owner), key, layer.get_base_layer())
    vars(network).pop("peft_config", None)


def _linear(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
