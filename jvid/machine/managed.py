"""Modules whose weights a residence moves: each call of one has them on the device first.

A module of a unit is called by its ``forward``, which is another for that time. What reads a weight's device before it calls its
module, or bypasses the module, uses ``arrive`` first.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid.errors import InputError
from jvid.machine.memory import weights_room

__all__ = ["Place", "Unit", "are_too_large", "arrive", "managed", "place_of", "units_of"]


@attrs.frozen(eq=False)
class Unit:
    """Modules that share weights, which are moved together.

    Attributes:
        name: of the first of them.
        modules: whose calls need the weights.
        tensors: parameters and buffers, each once.
    """

    name: str
    modules: tuple[nn.Module, ...]
    tensors: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """Bytes of the weights, storages that are shared counted once."""
        storages = ((t, t.untyped_storage()) for t in self.tensors)
        # Weights without values, on torch's meta device, have no address.
        return sum({s.data_ptr() or id(t): s.nbytes() for t, s in storages}.values())


@attrs.frozen(eq=False)
class Place:
    """Where a managed module computes, and what moves it there."""

    device: torch.device
    call: Callable[[], None]


_PLACES: weakref.WeakKeyDictionary[nn.Module, Place] = weakref.WeakKeyDictionary()


def units_of(modules: Mapping[str, nn.Module]) -> tuple[Unit, ...]:
    """Modules as units: those that share a parameter or a buffer are one; those without any are left out."""
    found: list[Unit] = []
    for name, module in modules.items():
        tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
        if not tensors:
            continue
        same = [unit for unit in found if any(id(t) in tensors for t in unit.tensors)]
        found = [unit for unit in found if unit not in same]
        every = {id(t): t for unit in same for t in unit.tensors} | tensors
        inside = dict.fromkeys([m for unit in same for m in unit.modules] + [module])
        found.append(Unit(same[0].name if same else name, tuple(inside), tuple(every.values())))
    return tuple(found)


def are_too_large(units: Iterable[Unit], device: torch.device | str) -> bool:
    """Whether a GPU has no room for the weights that are not there yet; no other device is known to be too small."""
    if torch.device(device).type != "cuda":
        return False
    tensors = {id(t): t for unit in units for t in unit.tensors if t.device.type != "cuda"}
    return sum(t.nbytes for t in tensors.values()) > weights_room(device)


def place_of(module: nn.Module) -> Place | None:
    """Where a module computes while a residence moves it; None where none does."""
    return _PLACES.get(module)


def arrive(module: nn.Module) -> None:
    """Have the weights of a module on its device now, if a residence moves them."""
    place = _PLACES.get(module)
    if place is not None:
        place.call()


@contextmanager
def managed(units: Sequence[Unit], device: torch.device, call: Callable[[str], None]) -> Iterator[None]:
    """Within the block each call of a unit's module is preceded by ``call`` with the unit's name.

    Raises:
        InputError: a module that is managed already.
    """
    with ExitStack() as stack:
        for unit in units:
            place = Place(device, functools.partial(call, unit.name))
            for module in unit.modules:
                if module in _PLACES:
                    raise InputError(
                        f"{unit.name} is offloaded already: expected one offload for it at a time, end the other one first"
                    )
                _PLACES[module] = place
                stack.callback(_PLACES.pop, module, None)
                stack.enter_context(_preceded(module, place.call))
        yield


@contextmanager
def _preceded(module: nn.Module, call: Callable[[], None]) -> Iterator[None]:
    own, had = module.forward, "forward" in module.__dict__

    @functools.wraps(own)
    def forward(*args: Any, **kwargs: Any) -> Any:
        call()
        return own(*args, **kwargs)

    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        # What was put over it in the meantime, such as a cache of the user's, is left as it is.
        if module.__dict__.get("forward") is forward:
            if had:
                module.__dict__["forward"] = own
            else:
                del module.__dict__["forward"]
