"""One way of a pipeline's latents, measured: where each value comes from, its scale and its shift."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines import fields

__all__ = ["Field", "Way", "way_of"]

Field = Callable[[tuple[int, ...]], Tensor]
"""A shape -> values of it."""


@attrs.frozen(eq=False)
class Way:
    """One way of the latents: what became of numbered values that were sent in one form and seen in another.

    Attributes:
        sent: the shape that they were sent in.
        index: of each value seen, the position that it was sent from, int64.
        depends: whether it is one of those that were sent.
        scale: seen = scale sent + shift.
        shift: as ``scale``.
    """

    sent: tuple[int, ...]
    index: Tensor
    depends: Tensor
    scale: Tensor
    shift: Tensor


def way_of(who: str, where: str, send: Callable[[Field], tuple[Tensor, Tensor]]) -> Way:
    """What becomes of values on one way; ``send``: a field -> the tensor that it replaced, and what was seen of it.

    Raises:
        InputError: a value seen is not one of those sent, times a scale and with a shift; ``where`` is in the message.
    """
    first, zeros = send(torch.zeros)
    _, ones = send(torch.ones)
    base = fields.base_for([first.dtype, zeros.dtype, ones.dtype])
    count = fields.digits(first.numel(), base)
    seen = [send(partial(fields.numbered, digit=k, base=base))[1] for k in range(count)]
    shift, scale = zeros.float().cpu(), ones.float().cpu() - zeros.float().cpu()
    found = fields.positions(shift, scale, [each.float().cpu() for each in seen], base)
    if found is None:
        raise InputError(
            f"{who} mixes its latents between {where}: expected a permutation, a scale and a shift"
        )
    return Way(tuple(first.shape), *found, scale, shift)
