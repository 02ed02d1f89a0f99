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

from jvid.errors import InputError, one_line
from jvid.extras import extra
from jvid_models.saved import read_tensors

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

    @classmethod
    def of(cls, what: str, error: Exception) -> NeedsWeights:
        """In one line: ``what``, and the first line of the error that it met."""
        return cls(f"{what}: {one_line(error, first=True)}")


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
    with extra("models"):
        from diffusers import ModelMixin

    of_diffusers = issubclass(kind, ModelMixin)
    try:
        with empty_weights(), torch.random.fork_rng(devices=[]), _default(dtype):
            if of_diffusers:
                config = kind.load_config(str(folder), local_files_only=True)
                _refuse_quantised(config)
                model = kind.from_config(config)
                model.register_to_config(_name_or_path=str(folder))
            else:
                config = kind.config_class.from_pretrained(
                    str(folder), local_files_only=True, use_safetensors=True
                )
                _refuse_quantised(config.to_dict())
                model = kind._from_config(config, dtype=dtype)
    except NeedsWeights:
        raise
    except Exception as error:
        raise NeedsWeights.of(f"a {kind.__name__} is not made of its config.json alone", error) from error
    _cast(model, dtype, _in_float32(model, dtype, of_diffusers))
    small = {name: value for name, value in _stored_buffers(model).items() if value.device.type != "meta"}
    stem = "diffusion_pytorch_model" if of_diffusers else "model"
    for name, value in (read_tensors(folder, small, stem) if small else {}).items():
        _place(model, "_buffers", name, value.to(small[name].dtype))
    leave_out_weights(model.eval())
    return model


def leave_out_weights(module: nn.Module) -> None:
    """Leave out the weights that a module still has, and refuse its calls."""
    known: dict[int, nn.Parameter] = {}
    for name, weight in list(module.named_parameters(remove_duplicate=False)):
        if weight.device.type != "meta":
            _place(module, "_parameters", name, known.setdefault(id(weight), _on_meta(weight, weight.dtype)))
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

    def own(name: str, value: Tensor) -> torch.dtype:
        return value.dtype if not value.is_floating_point() else torch.float32 if in_float32(name) else dtype

    known: dict[int, nn.Parameter] = {}
    for name, weight in list(model.named_parameters(remove_duplicate=False)):
        _place(model, "_parameters", name, known.setdefault(id(weight), _on_meta(weight, own(name, weight))))
    for name, buffer in _stored_buffers(model).items():
        device = buffer.device if buffer.nbytes <= LARGE else "meta"
        _place(model, "_buffers", name, buffer.to(device, own(name, buffer)))


def _on_meta(weight: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.empty(weight.shape, dtype=dtype, device="meta"), weight.requires_grad)


def _place(model: nn.Module, group: str, name: str, value: Tensor) -> None:
    """Put a tensor in the place of another of the ``group`` "_parameters" or "_buffers"."""
    owner, _, key = name.rpartition(".")
    vars(model.get_submodule(owner))[group][key] = value


def _stored_buffers(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that a file of weights holds."""
    stored, buffers = model.state_dict(keep_vars=True), dict(model.named_buffers(remove_duplicate=False))
    return {name: buffer for name, buffer in buffers.items() if name in stored}
