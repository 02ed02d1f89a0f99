"""A residence of modules on a device: each is moved in when it is called, and all are on the host behind the block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from jvid.machine.managed import Unit, managed, units_of
from jvid.machine.residence import Residence
from jvid.machine.transfers import CudaStreams, Transfers

__all__ = ["computing_on", "on_demand", "place_all"]


@contextmanager
def on_demand(modules: Mapping[str, nn.Module], device: torch.device | str) -> Iterator[Residence]:
    """Within the block the modules are on the device while they are called; one of them at a time, until a plan is followed.

    On the CPU nothing is moved: the moves are recorded.

    Args:
        modules: by name.
        device: where they compute.

    Raises:
        InputError: a module that is offloaded already.
    """
    device = torch.device(device)
    units = units_of(modules)
    residence = Residence(_sizes(units), _transfers(units, device), ahead=device.type == "cuda")
    with managed(units, device, residence.call):
        try:
            yield residence
        finally:
            residence.clear()


@contextmanager
def computing_on(modules: Mapping[str, nn.Module], device: torch.device | str) -> Iterator[None]:
    """Within the block modules whose weights are on the host compute on the device all the same, if all others are there."""
    kind = torch.device(device).type
    places = {name: {each.device.type for each in module.parameters()} for name, module in modules.items()}
    waiting = {name: module for name, module in modules.items() if places[name] == {"cpu"}}
    others = set().union(*(places[name] for name in modules if name not in waiting))
    if kind == "cpu" or not waiting or others - {kind}:
        yield
        return
    with on_demand(waiting, device):
        yield


def place_all(modules: Mapping[str, nn.Module], device: torch.device | str) -> None:
    """Move the weights of modules to a device, to stay."""
    for unit in units_of(modules):
        for tensor in unit.tensors:
            tensor.data = tensor.data.to(device)


def _sizes(units: tuple[Unit, ...]) -> dict[str, int]:
    return {unit.name: unit.size for unit in units}


def _transfers(units: tuple[Unit, ...], device: torch.device) -> Transfers | None:
    if device.type == "cpu":
        return None
    streams = CudaStreams(device) if device.type == "cuda" else None
    return Transfers({unit.name: unit.tensors for unit in units}, device, streams)
