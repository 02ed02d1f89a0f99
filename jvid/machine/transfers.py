"""Weights between host and device, by exchanging the tensors behind parameters and buffers.

    fetch    p.data = copy on the device;  ahead: of page-locked memory, on a stream of its own
    wait     the computation waits for the event behind the copy
    drop     p.data = the host's tensor, which was kept; edits in place on the device are copied back first

Device memory is allocated on the computation's stream and the copy waits for what that stream had to do before, so memory that
is freed and taken again needs no further care. Edits through ``.data`` on the device are not seen: edit between runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from jvid.machine.versions import version

__all__ = ["CudaStreams", "Streams", "Transfers"]


class Streams(Protocol):
    """The order of copies and computation on a device."""

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Within the block copies are on a stream of their own, behind what the computation had to do so far."""
        yield

    def event(self, ahead: bool) -> Any:
        """What is reached when the copies so far are done; ``ahead``: those of the stream of their own."""
        ...

    def wait(self, event: Any) -> None:
        """Let the computation wait for an event."""
        ...


class CudaStreams:
    """Those of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._own = torch.cuda.Stream(device)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Within the block copies are on a stream of their own, behind what the computation had to do so far."""
        self._own.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._own):
            yield

    def event(self, ahead: bool) -> Any:
        """What is reached when the copies so far are done; ``ahead``: those of the stream of their own."""
        return (self._own if ahead else torch.cuda.current_stream(self._device)).record_event()

    def wait(self, event: Any) -> None:
        """Let the computation wait for an event."""
        torch.cuda.current_stream(self._device).wait_event(event)


class Transfers:
    """Moves units of tensors; the `Mover` of a residence.

    Args:
        units: parameters and buffers by unit. Those that are on the device are moved to the host at once.
        device: where units are moved in.
        streams: of the device; None computes and copies one after the other.
    """

    def __init__(
        self, units: Mapping[str, Sequence[Tensor]], device: torch.device, streams: Streams | None = None
    ) -> None:
        self._units = {name: tuple(tensors) for name, tensors in units.items()}
        self._device, self._streams = device, streams
        self._homes: dict[str, list[Tensor]] = {}
        self._versions: dict[str, list[int]] = {}
        self._arrivals: dict[str, Any] = {}
        for name, tensors in self._units.items():
            for tensor in tensors:
                if tensor.device.type != "cpu":
                    tensor.data = tensor.data.cpu()
            self._homes[name] = [tensor.data for tensor in tensors]

    def fetch(self, unit: str, ahead: bool = False) -> None:
        """Move a unit in; ``ahead``: while others compute. After an error it is where it was."""
        with torch.inference_mode(False):  # a run within that mode would leave its tensors to the next
            self._fetch(unit, self._units[unit], ahead)

    def _fetch(self, unit: str, tensors: Sequence[Tensor], ahead: bool) -> None:
        # What was edited or replaced on the host since is what is moved.
        self._homes[unit] = [tensor.data for tensor in tensors]
        beside = ahead and self._streams is not None
        if beside:
            self._homes[unit] = [_pinned(home) for home in self._homes[unit]]
        homes = self._homes[unit]
        copies = [torch.empty_like(home, device=self._device) for home in homes]
        if beside:
            assert self._streams is not None  # for mypy
            with self._streams.beside():
                _copy(copies, homes)
        else:
            _copy(copies, homes)
        if self._streams is not None:
            self._arrivals[unit] = self._streams.event(ahead)
        for tensor, copy in zip(tensors, copies, strict=True):
            tensor.data = copy
        self._versions[unit] = [version(tensor) for tensor in tensors]

    def wait(self, unit: str) -> None:
        """Let the computation that follows wait until a unit is there."""
        event = self._arrivals.pop(unit, None)
        if event is not None and self._streams is not None:
            self._streams.wait(event)

    def drop(self, unit: str) -> None:
        """Move a unit out."""
        self.wait(unit)  # memory that a copy still writes to must not be taken again
        parts = zip(self._units[unit], self._homes[unit], self._versions.pop(unit), strict=True)
        with torch.inference_mode(False):
            for tensor, home, known in parts:
                if version(tensor) != known or tensor.shape != home.shape or tensor.dtype != home.dtype:
                    home = tensor.data.to("cpu")
                tensor.data = home


def _copy(copies: Sequence[Tensor], homes: Sequence[Tensor]) -> None:
    for copy, home in zip(copies, homes, strict=True):
        copy.copy_(home, non_blocking=True)


def _pinned(home: Tensor) -> Tensor:
    try:
        return home.pin_memory()
    except RuntimeError:
        return home  # the system grants no more: the copy is slower, and no other
