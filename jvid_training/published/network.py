"""The network of a published model as a module that is trained: latents, times and prompts to its output.

    forward(x (b c f h w), t (b,), prompt (b, n) bytes) -> output (b c f h w), as the scheduler has it

The call is jvid's own adapter where it has one for the pipeline's class: a batch is then one call, in the fast forward. Of all
others it is the pipeline's own call, row by row. Prompts are encoded without a gradient, each once while it is among the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from jvid.core.protocols import Condition
from jvid.denoisers.parameterized import Parameterized
from jvid.ensemble.deferred import made
from jvid.errors import InputError
from jvid_models.adapters.movable import movable
from jvid_models.adapters.pipelines import PipelineDenoiser
from jvid_models.adapters.pipelines.latest import Latest
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.outputs import PipelineOutputs
from jvid_models.adapters.pipelines.prompts import prompts_of
from jvid_models.adapters.unet_network import UNetNetwork
from jvid_models.ensembles.native import native_member
from jvid_models.fast import accelerate
from jvid_training.published.files import mark_of
from jvid_training.published.lora import inject
from jvid_training.published.model import PublishedModel
from jvid_training.recipe import Recipe

__all__ = ["PublishedNetwork"]


class PublishedNetwork(nn.Module):
    """The network of a `PublishedModel`; its state dict holds what is trained, of adapters these alone.

    Args:
        model: whose network gets the recipe's adapters, or is trained whole.
        recipe: with ``network.pipeline``.
        native: jvid's own adapter where it has one.

    Raises:
        InputError: targets of adapters that there are not.
    """

    origin: Tensor

    def __init__(self, model: PublishedModel, recipe: Recipe, native: bool = True) -> None:
        super().__init__()
        self.network = model.network
        self.model = model
        self.lora = recipe.lora
        self._conditions: Latest[str, Condition] = Latest()
        self._outputs = PipelineOutputs(model.denoiser)
        self._native: Any
        self._conditioner: Any
        self._native, self._conditioner = _native(model.denoiser) if native else (None, None)
        self._place = next(self.network.parameters()).device
        if recipe.lora is None:
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad_(name not in model.unused)
        else:
            inject(self.network, recipe.lora, model.unused)
            self.register_buffer("origin", mark_of(self.network, model.files))
            hooks: Any = self  # torch has no types for them
            hooks.register_state_dict_post_hook(_only_adapters)
            hooks.register_load_state_dict_pre_hook(_check_origin)
            hooks.register_load_state_dict_post_hook(_expect_adapters)

    def forward(self, x: Tensor, t: Tensor, prompt: Tensor) -> Tensor:
        """The network's output for latents ``(b c f h w)``, times ``(b,)`` and prompts as bytes ``(b, n)``."""
        self._arrive(x.device)
        prompts = prompts_of(prompt.cpu())
        if self._native is None:
            return self._outputs(x, t, prompts)
        return self._native(x, t, self._condition(prompts))

    def checkpoint_layers(self) -> None:
        """Compute layers again in the backward pass.

        Raises:
            InputError: the network does not support it.
        """
        network: Any = self.network
        if not getattr(network, "_supports_gradient_checkpointing", False):
            raise InputError(
                f"training.checkpointing: a {type(network).__name__} does not compute layers again; leave it out"
            )
        network.enable_gradient_checkpointing()
        if isinstance(self._native, UNetNetwork) and self._native.fast:
            self._native = UNetNetwork(accelerate(network, checkpointing=True), self._native.levels)

    def take_stock_forward(self) -> None:
        """Evaluate the layers as modules, as sharding needs: of a UNet the stock forward in place of the fast one."""
        if isinstance(self._native, UNetNetwork):
            self._native = attrs.evolve(self._native, fast=False)

    def _arrive(self, device: torch.device) -> None:
        """Encoders follow the network, which the trainer moves: within a call its weights may be gathered, and stay."""
        if device != self._place:
            modules = modules_of(self.model.denoiser.pipe)
            for module in movable(modules).values():
                if module is not self.network:
                    module.to(device)
            self._conditions.forget()
            self._outputs.forget()
            self._place = device

    @torch.no_grad()
    def _condition(self, prompts: list[str]) -> Condition:
        def encoded(prompt: str) -> Condition:
            given: Mapping[str, Any] = self._conditioner([prompt])
            return {name: value for name, value in given.items() if name != "null"}

        known = {
            prompt: self._conditions.of(prompt, partial(encoded, prompt)) for prompt in dict.fromkeys(prompts)
        }
        rows = [known[prompt] for prompt in prompts]
        return {name: _together([row[name] for row in rows]) for name in rows[0]}


def _native(denoiser: PipelineDenoiser) -> tuple[Callable[..., Tensor] | None, Any]:
    """The network and the encoder of jvid's own adapter; None where the pipeline's own call is needed."""
    member = native_member(denoiser)
    found = None if member is None else made(member.denoiser)
    if member is None or not isinstance(found, Parameterized):
        return None, None
    conditioner: Any = member.conditioner
    return found.network, made(conditioner)


def _together(rows: list[Tensor]) -> Tensor:
    """Rows of one prompt each as a batch; texts of several lengths with zeros behind the shorter."""
    most = max(row.shape[1] for row in rows) if rows[0].ndim > 2 else 0
    return torch.cat([pad(row, (0, 0, 0, most - row.shape[1])) if most else row for row in rows])


def _trained(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad} | {"origin"}


def _only_adapters(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    kept = _trained(module)
    for name in [name for name in state if name.startswith(prefix) and name.removeprefix(prefix) not in kept]:
        del state[name]


def _expect_adapters(module: nn.Module, incompatible: Any) -> None:
    kept = _trained(module)
    incompatible.missing_keys[:] = [name for name in incompatible.missing_keys if name in kept]


def _check_origin(
    module: Any, state: Mapping[str, Any], prefix: str, metadata: Any, strict: bool,
    missing: list[str], unexpected: list[str], errors: list[str],
) -> None:  # fmt: skip
    found, own = state.get(f"{prefix}origin"), module.origin
    if isinstance(found, Tensor) and not torch.equal(found.cpu(), own.cpu()):
        raise InputError(
            f"the adapters were trained beside other weights than those in {module.model.files}: restore that folder"
        )
