"""A second device on the CPU: its tensors have values, and do not mix with those of the CPU.

Within ``second_device()`` a tensor made on, or moved to, ``SECOND`` is of a class of its own. An operation of such tensors
and of CPU tensors of one axis or more raises, as with a GPU; single numbers, indices and copies pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SECOND = torch.device("privateuseone")

_DEVICE = torch.Tensor.device.__get__
_CPU = torch.device("cpu")
_AS_THEY_ARE = {torch.device, torch.Tensor.as_subclass, torch.Tensor.__reduce_ex__, torch.Tensor.__deepcopy__}
_MOVES = {torch.Tensor.to, torch.Tensor.cpu}
_FREE = {torch.Tensor.__getitem__, torch.Tensor.__setitem__, torch.Tensor.copy_}


class There(torch.Tensor):
    """On the second device."""

    def __reduce_ex__(self, protocol: int) -> Any:
        return _there, (self.as_subclass(torch.Tensor).numpy(),)

    def __deepcopy__(self, memo: Any) -> There:
        return self.as_subclass(torch.Tensor).clone().as_subclass(There)


def _there(values: Any) -> There:
    return torch.from_numpy(values).as_subclass(There)


def _mapped(change: Any, values: Any) -> Any:
    """Each value of arguments, of lists and tuples among them too."""
    if type(values) in (list, tuple):
        return type(values)([_mapped(change, each) for each in values])
    return change(values)


class _Second(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat: list[Any] = []
        _mapped(flat.append, [*args, *kwargs.values()])
        there = any(type(each) is There for each in flat)
        if func == _DEVICE:
            return SECOND if there else torch.device("cpu")
        if func in _AS_THEY_ARE:
            return func(*args, **kwargs)
        if func is torch.Tensor.numpy and there:
            raise TypeError("can't convert a tensor of the second device to numpy: use Tensor.cpu()")
        target = there and func is not torch.Tensor.cpu
        named = [each for each in flat if isinstance(each, torch.device) or each in ("cpu", str(SECOND))
                 ] if func in _MOVES or "device" in kwargs else []  # fmt: skip
        if named:
            target = str(named[0]) == str(SECOND)
        here = any(type(each) is torch.Tensor and each.ndim for each in flat)
        if there and here and func not in _MOVES and func not in _FREE:
            raise RuntimeError(f"tensors on two devices: {getattr(func, '__name__', func)}")

        def plain(value: Any) -> Any:
            if type(value) is There:
                return value.as_subclass(torch.Tensor)
            return _CPU if named and value is named[0] else value

        out = func(*_mapped(plain, args), **{name: _mapped(plain, value) for name, value in kwargs.items()})
        return (
            _mapped(lambda value: _placed(value, target), out)
            if isinstance(out, tuple)
            else _placed(out, target)
        )


def _placed(value: Any, there: bool) -> Any:
    if not isinstance(value, torch.Tensor) or isinstance(value, There) == there:
        return value
    return value.as_subclass(There if there else torch.Tensor)


@contextmanager
def second_device() -> Iterator[torch.device]:
    """The device, while the block runs."""
    with _Second():
        yield SECOND
