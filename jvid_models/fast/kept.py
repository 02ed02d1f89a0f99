"""What a fast forward keeps between calls: projected text, and what convolutions are made into.

Each entry knows the tensors that it came from, with their version counters: a tensor that was replaced or edited in
place is noticed. Nothing is keyed by an address alone, which the next tensor may have. What was made of a text goes with it:
nothing is left behind a run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from jvid.denoisers.memo import Memo, version

__all__ = ["Kept", "marks"]

TEXTS = 4
"""Prompts whose keys and values are kept: two guided runs that take turns, with room for two more."""


Marks = tuple[tuple[Tensor, int, StorageWeakRef], ...]


def marks(*tensors: Tensor | None) -> Marks:
    """The tensors with what changes when they do.

    A module that is moved gives its parameters other memory and counts no version. The reference keeps
    the old memory's address from being another's; the memory itself it lets go.
    """
    return tuple((t, version(t), StorageWeakRef(t.untyped_storage())) for t in tensors if t is not None)


def _same(one: Marks, other: Marks) -> bool:
    return len(one) == len(other) and all(
        a[0] is b[0] and a[1] == b[1] and a[2].cdata == b[2].cdata for a, b in zip(one, other, strict=True)
    )


class Kept:
    """The memory of one accelerated UNet; ``clear`` empties it."""

    def __init__(self) -> None:
        self._texts: Memo[dict[nn.Module, tuple[Marks, tuple[Tensor, Tensor]]]] = Memo(TEXTS)
        self._thinned: Memo[Tensor] = Memo(TEXTS)
        self._weights: dict[tuple[nn.Module, Hashable], tuple[Marks, Tensor]] = {}

    def clear(self) -> None:
        """Forget everything, and let go of the tensors."""
        self._texts.clear()
        self._thinned.clear()
        self._weights.clear()

    def text(
        self, text: Tensor, attention: nn.Module, weights: Marks, make: Callable[[], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of ``text`` in one attention, made once for each prompt and each state of its weights."""
        values = self._texts({"text": text}, dict)
        entry = values.get(attention)
        if entry is None or not _same(entry[0], weights):
            entry = values[attention] = (weights, make())
        return entry[1]

    def thinned(self, text: Tensor, frames: int) -> Tensor:
        """Every ``frames``-th row of ``text``: the same tensor for the same text, so that its keys are found again."""
        return self._thinned({f"every {frames}": text}, lambda: text[::frames].clone())

    def weight(self, conv: nn.Conv2d | nn.Conv3d, form: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """A convolution's weight in another form, made once for each state of it."""
        weights = marks(conv.weight)
        entry = self._weights.get((conv, form))
        if entry is None or not _same(entry[0], weights):
            with torch.no_grad():
                entry = self._weights[conv, form] = (weights, make())
        return entry[1]

    def matrix(self, conv: nn.Conv2d, h: int, w: int) -> Tensor:
        """``(c_out h_out w_out, c_in h w)``: the convolution of an ``h`` by ``w`` map as one product."""
        return self.weight(conv, (h, w), lambda: _matrix(conv, h, w))


def _matrix(conv: nn.Conv2d, h: int, w: int) -> Tensor:
    if (h, w) == (1, 1):  # all but the middle of the kernel meets padding
        return conv.weight[:, :, 1, 1].contiguous()
    size = conv.in_channels * h * w
    columns = []
    for part in torch.eye(size, dtype=conv.weight.dtype, device=conv.weight.device).split(256):
        basis = part.view(-1, conv.in_channels, h, w)
        columns.append(
            nn.functional.conv2d(basis, conv.weight, stride=conv.stride, padding=conv.padding).flatten(1)
        )
    return torch.cat(columns).T.contiguous()
