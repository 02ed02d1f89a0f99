"""The processes of one job, as ``accelerate launch`` and torchrun start them; one process alone is a job of one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from jvid.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Ranks", "computing", "cpu_job", "device_of", "first_process", "ranks", "world_size"]

T = TypeVar("T")
_REMEDY = "start the command with torchrun or accelerate launch, or unset it"
_PATIENCE = timedelta(days=30)  # a process may have whole batches to make after another has none left


@attrs.frozen
class Ranks:
    """This process in its job: number ``rank`` of ``world``, and number ``local`` on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    def broadcast(self, value: T) -> T:
        """The main process's value, in every process."""
        if self.world == 1:
            return value
        from accelerate.utils import broadcast_object_list

        held: list[Any] = [value]
        broadcast_object_list(held)
        received: T = held[0]
        return received

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in every process, by rank."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def spread(
        self, tensors: Mapping[str, Tensor] | None, device: torch.device
    ) -> Iterator[tuple[str, Tensor]]:
        """The main process's tensors in every process, by name, one after another; the others have none to give.

        A tensor is on ``device`` where it came from another process.
        """
        if self.world == 1:
            yield from (tensors or {}).items()
            return
        import torch
        import torch.distributed as dist

        own = tensors or {}
        described = self.broadcast([(name, tuple(each.shape), each.dtype) for name, each in own.items()])
        for name, shape, dtype in described:
            tensor = (
                own[name].to(device).contiguous()
                if self.rank == 0
                else torch.empty(shape, dtype=dtype, device=device)
            )
            dist.broadcast(tensor, 0)
            yield name, tensor

    def wait(self) -> None:
        """Until every process has come here."""
        if self.world > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def world_size() -> int:
    """The number of processes of this job.

    Raises:
        InputError: ``WORLD_SIZE`` is no whole number of 1 or more.
    """
    return _number("WORLD_SIZE", 1, None, 1)


def _checked_size() -> int:
    """`world_size`; of several, what distinguishes them has to be set, else they would wait for each other for ever."""
    world = world_size()
    if world > 1:
        _number("RANK", 0, world - 1)
        _number("LOCAL_RANK", 0, world - 1, 0)
        _number("MASTER_PORT", 1, 65535)
        if not os.environ.get("MASTER_ADDR"):
            raise InputError(f"WORLD_SIZE={world} without MASTER_ADDR: {_REMEDY}")
    return world


def _number(name: str, least: int, most: int | None, otherwise: int | None = None) -> int:
    text = os.environ.get(name, "").strip()
    if not text and otherwise is not None:
        return otherwise
    if (
        text.isascii()
        and text.isdigit()
        and least <= int(text[:12])
        and (most is None or int(text[:12]) <= most)
    ):
        return int(text[:12])
    known = f"{least} or more" if most is None else f"from {least} to {most}"
    raise InputError(f"{name}={text!r}: expected a whole number, {known}; {_REMEDY}")


def first_process() -> bool:
    """Whether this process is the one of its job that writes and prints; a process alone is, whatever RANK is.

    Raises:
        InputError: as `ranks`.
    """
    return _checked_size() < 2 or int(os.environ["RANK"]) == 0


@contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """The job of this process; its processes can send values to each other within the block.

    Raises:
        InputError: a variable that torchrun sets, such as RANK, is absent or no number that can be.
    """
    if _checked_size() < 2:
        yield Ranks()
        return
    import torch.distributed as dist
    from accelerate import PartialState

    found = dist.is_initialized()
    state = PartialState(cpu=cpu_job(device), **({} if found else {"timeout": _PATIENCE}))
    try:
        yield Ranks(state.process_index, state.num_processes, state.local_process_index)
    finally:
        if not found:
            state.destroy_process_group()
            PartialState._reset_state()


@contextmanager
def computing(threads: int, device: str) -> Iterator[None]:
    """So many threads within the block.

    Raises:
        InputError: a device that is not there.
    """
    import torch

    from jvid.machine.device import prepare

    before = torch.get_num_threads()
    try:
        prepare(device, threads)
        yield
    finally:
        torch.set_num_threads(before)


def cpu_job(device: str | None = None) -> bool:
    """Whether this process is one of several whose ``device`` (or the best there is) connects them by gloo alone.

    accelerate needs it as an argument: it joins processes over the network of their GPUs or, with ``cpu``, by gloo; else it lets
    each of them run as if it were alone.
    """
    import torch

    if world_size() < 2:
        return False
    best = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind = (device or (best.type if best else "cpu")).partition(":")[0]
    return kind in ("cpu", "mps")


def device_of(device: str, local: int) -> str:
    """The device of process ``local`` of a machine: GPUs are taken in turn."""
    import torch

    if device != "cuda" or torch.cuda.device_count() < 2:
        return device
    return f"cuda:{local % torch.cuda.device_count()}"
