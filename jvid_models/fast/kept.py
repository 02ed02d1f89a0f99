"""What a fast forward keeps between calls: projected text, and what convolutions are made into.

Each entry has a copy of the weights that it came from, which is compared with them at each call (``Contents``): weights that were
replaced, moved or edited are noticed, through ``.data`` too. What was made of a text goes with it: nothing is left behind a run.
What autocast made has another dtype, so it is kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn

from jvid.denoisers.memo import Memo
from jvid_models.fast.contents import Contents, comparable

__all__ = ["Kept"]

TEXTS = 4
"""Prompts whose keys and values are kept: two guided runs that take turns, with room for two more."""


class Kept:
    """The memory of one accelerated UNet; ``clear`` empties it."""

    def __init__(self) -> None:
        self._texts: Memo[dict[Hashable, tuple[Contents, tuple[Tensor, Tensor]]]] = Memo(TEXTS)
        self._thinned: Memo[Tensor] = Memo(TEXTS)
        self._weights: dict[Hashable, tuple[Contents, Tensor]] = {}
        self._contents: dict[nn.Module, Contents] = {}

    def clear(self) -> None:
        """Forget everything, and let go of the tensors."""
        self._texts.clear()
        self._thinned.clear()
        self._weights.clear()
        self._contents.clear()

    def _now(self, module: nn.Module, *weights: Tensor) -> Contents:
        """The contents of a module's weights: the same object for as long as they are the same."""
        found = self._contents.get(module)
        if found is None or not found.are(*weights):
            found = self._contents[module] = Contents(*weights)
        return found

    def text(
        self,
        text: Tensor,
        attention: nn.Module,
        weights: tuple[Tensor, ...],
        make: Callable[[], tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of ``text`` in one attention, made once for each prompt and each state of its ``weights``."""
        if not comparable(*weights):
            return make()
        values = self._texts({"text": text}, dict)
        key = (attention, _autocast(text.device))
        entry, now = values.get(key), self._now(attention, *weights)
        if entry is None or entry[0] is not now:
            entry = values[key] = (now, make())
        return entry[1]

    def thinned(self, text: Tensor, frames: int) -> Tensor:
        """Every ``frames``-th row of ``text``: the same tensor for the same text, so that its keys are found again."""
        return self._thinned({f"every {frames}": text}, lambda: text[::frames].clone())

    def weight(self, conv: nn.Conv2d | nn.Conv3d, form: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """A convolution's weight in another form, made once for each state of it."""
        with torch.no_grad():
            if not comparable(conv.weight):
                return make()
            key = (conv, form, _autocast(conv.weight.device))
            entry, now = self._weights.get(key), self._now(conv, conv.weight)
            if entry is None or entry[0] is not now:
                entry = self._weights[key] = (now, make())
        return entry[1]

    def matrix(self, conv: nn.Conv2d, h: int, w: int) -> Tensor:
        """``(c_out h_out w_out, c_in h w)``: the convolution of an ``h`` by ``w`` map as one product."""
        return self.weight(conv, (h, w), lambda: _matrix(conv, h, w))


def _autocast(device: torch.device) -> torch.dtype | None:
    """The dtype that autocast computes in now; None without."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


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
