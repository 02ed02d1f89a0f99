"""Models without their weights: modules as a configuration describes them, for what shapes alone decide.

    parameters, buffers above 1 MB      shape and dtype, on torch's meta device: no memory, no file is read
    buffers of the weights' file        read, such as the mean and deviation of LTX's latents
    buffers that are computed           computed, as the class does

A call of such a model is an error, but within `jvid_models.adapters.pipelines.outlines.outlined`.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from jvid.errors import InputError
from jvid.extras import extra
from jvid_models.saved import read_tensors

with extra("models"):
    from diffusers import ModelMixin

__all__ = [
    "METHODS",
    "NeedsWeights",
    "empty_weights",
    "is_weightless",
    "leave_out_weights",
    "model_without_weights",
]

METHODS = ("encode", "decode", "generate", "get_text_features", "get_image_features")
"""How pipelines call their modules, beside ``forward``."""

LARGE = 1 << 20
"""Bytes of a buffer that is left out as parameters are."""

_WEIGHTLESS: weakref.WeakSet[nn.Module] = weakref.WeakSet()


class NeedsWeights(InputError):
    """What is wanted depends on the values of weights that were left out."""


class _EmptyOnMeta(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def empty_weights() -> TorchFunctionMode:
    """Within the block modules are made without memory for values that are still to come; others are computed."""
    return _EmptyOnMeta()


def is_weightless(module: nn.Module) -> bool:
    """Whether the weights of a module were left out."""
    return module in _WEIGHTLESS


def model_without_weights(kind: Any, folder: Path, dtype: torch.dtype) -> nn.Module:
    """The model that ``folder`` holds, as the class's own ``from_pretrained`` makes it, without its weights.

    Args:
        kind: a class of models of diffusers or of transformers.
        folder: holds config.json, and the files of weights if buffers are in them.
        dtype: of its weights, but for those that the class keeps in float32.

    Raises:
        NeedsWeights: it is quantised, or not made of its configuration alone.
        InputError: buffers that are not in the files.
    """
    of_diffusers = issubclass(kind, ModelMixin)
    try:
        with empty_weights(), torch.random.fork_rng(devices=[]), _default(dtype):
            if of_diffusers:
                config = kind.load_config(str(folder), local_files_only=True)
                _refuse_quantised(config)
                model = kind.from_config(config)
                model.register_to_config(_name_or_path=str(folder))
            else:
                config = kind.config_class.from_pretrained(str(folder), local_files_only=True)
                _refuse_quantised(config.to_dict())
                model = kind._from_config(config, dtype=dtype)
    except NeedsWeights:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NeedsWeights(f"a {kind.__name__} is not made of its config.json alone: {reason}") from error
    _cast(model, dtype, _in_float32(model, dtype, of_diffusers))
    stored = {name: value for name, value in _stored_buffers(model).items() if value.device.type != "meta"}
    found = (
        read_tensors(folder, stored, "diffusion_pytorch_model" if of_diffusers else "model") if stored else {}
    )
    for name, value in found.items():
        owner, _, key = name.rpartition(".")
        model.get_submodule(owner)._buffers[key] = value.to(stored[name].dtype)
    leave_out_weights(model.eval())
    return model  # type: ignore[no-any-return]


def leave_out_weights(module: nn.Module) -> None:
    """Leave out the weights that a module still has, and refuse its calls."""
    known: dict[int, nn.Parameter] = {}
    for each in module.modules():
        for name, weight in each._parameters.items():
            if weight is not None and weight.device.type != "meta":
                each._parameters[name] = known.setdefault(id(weight), _on_meta(weight, weight.dtype))
    _WEIGHTLESS.add(module)
    kind = type(module).__name__

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise InputError(
            f"a {kind} was loaded without its weights, for a plan alone: load it with weights=True"
        )

    for name in ("forward", *METHODS):
        if callable(getattr(module, name, None)):
            module.__dict__[name] = refuse


def _refuse_quantised(config: Any) -> None:
    if config.get("quantization_config"):
        raise NeedsWeights(f"a {config.get('_class_name') or config.get('model_type')} is quantised")


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _in_float32(model: Any, dtype: torch.dtype, of_diffusers: bool) -> Callable[[str], bool]:
    """Whether the class keeps a weight of this name in float32."""
    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    if of_diffusers:
        return lambda name: not kept.isdisjoint(name.split("."))
    strict = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    chosen = kept | strict if dtype == torch.float16 else strict
    return lambda name: any(re.search(each, name) for each in chosen)


def _cast(model: nn.Module, dtype: torch.dtype, in_float32: Callable[[str], bool]) -> None:
    """Parameters and stored buffers in their dtype; parameters and large buffers without values."""
    known: dict[int, nn.Parameter] = {}
    stored = _stored_buffers(model)
    for path, each in model.named_modules():
        for name, weight in each._parameters.items():
            if weight is not None:
                own = torch.float32 if in_float32(f"{path}.{name}".lstrip(".")) else dtype
                each._parameters[name] = known.setdefault(id(weight), _on_meta(weight, own))
        for name, buffer in each._buffers.items():
            full = f"{path}.{name}".lstrip(".")
            if buffer is not None and full in stored:
                own = (
                    (torch.float32 if in_float32(full) else dtype)
                    if buffer.is_floating_point()
                    else buffer.dtype
                )
                each._buffers[name] = buffer.to(own) if buffer.nbytes <= LARGE else buffer.to("meta", own)


def _on_meta(weight: Tensor, dtype: torch.dtype) -> nn.Parameter:
    own = dtype if weight.is_floating_point() else weight.dtype
    return nn.Parameter(
        torch.empty(weight.shape, dtype=own, device="meta"), requires_grad=weight.requires_grad
    )


def _stored_buffers(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that a file of weights holds."""
    stored, buffers = model.state_dict(keep_vars=True), dict(model.named_buffers(remove_duplicate=False))
    return {name: buffer for name, buffer in buffers.items() if name in stored}
