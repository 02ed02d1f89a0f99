"""How jvid's latents ``(b c f h w)`` lie in a pipeline's: where it prepares them, and where its scheduler takes a step.

    prepared = the pipeline's own, with jvid's values at the positions of `prepared`
    x_0      = the values that the pipeline keeps for itself, with the model's at the positions of `stepped`

jvid's latents are those that the pipeline's decoder gets, less the shift and over the scale of each channel. What the pipeline
keeps for itself (a first frame that is given) is a constant of them.
"""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines.axes import Strides, strides_of
from jvid_models.adapters.pipelines.ways import Way

__all__ = ["PipelineLayout", "as_clips", "layout_of"]

Box = tuple[slice, ...]


@attrs.frozen(eq=False)
class PipelineLayout:
    """The positions of latents of one shape.

    Attributes:
        shape: ``(b c f h w)``.
        box: the part of it that the model predicts.
        prepared: its positions in the latents that the pipeline prepares.
        stepped: its positions in the latents that its scheduler gets.
        kept: ``(b c f h w)``, the values outside of the box; None where the box is all.
        scale: of each channel ``(c,)``, or of each element: what the decoder gets is scale x + shift.
        shift: as ``scale``.
        factor: the scheduler's latents are so many times those that are prepared (consistency models).
        has_more: whether the scheduler's latents hold more than what is decoded, such as an embedding beside a picture.
    """

    shape: tuple[int, ...]
    box: Box
    prepared: Strides
    stepped: Strides
    kept: Tensor | None
    scale: Tensor
    shift: Tensor
    factor: float = 1.0
    has_more: bool = False

    def insert(self, x: Tensor, prepared: Tensor) -> Tensor:
        """The prepared latents with those of x ``(b c f h w)``, in their dtype, on their device."""
        filled = _filled(prepared, self.prepared)
        self.prepared.scatter(x[self.box], filled)
        return filled

    def returned(self, x: Tensor, stepped: Tensor) -> Tensor:
        """What a scheduler's step gives: latents like ``stepped`` with those of x ``(b c f h w)``."""
        filled = _filled(stepped, self.stepped)
        self.stepped.scatter(x[self.box] if self.factor == 1.0 else x[self.box] * self.factor, filled)
        return filled

    def extract(self, stepped: Tensor) -> Tensor:
        """Values in the scheduler's form -> the box of them."""
        found = self.stepped.gather(stepped)
        return found if self.factor == 1.0 else found / self.factor

    def completed(self, box: Tensor, kept: Tensor | None) -> Tensor:
        """The box's values among those that a run keeps -> ``(b c f h w)``; ``kept``: None where the box is all."""
        if kept is None:
            return box
        full = kept.to(box).clone()
        full[self.box] = box
        return full

    def from_decoder(self, decoded: Tensor, who: str) -> Tensor:
        """What the decoder gets, as latents ``(b c f h w)``, float32 on the CPU."""
        scale, shift = self._of_elements()
        return (as_clips(decoded.float().cpu(), self.shape[0], who) - shift) / scale

    def with_kept(self, decoded: Tensor, x: Tensor, who: str) -> Tensor:
        """What the decoder gets, with the values of x ``(b c f h w)`` where the pipeline has its own."""
        scale, shift = self._of_elements()
        filled = decoded.clone()
        clips = as_clips(filled, self.shape[0], who)
        whole = (x.float().cpu() * scale + shift).to(clips)
        whole[self.box] = clips[self.box]
        clips.copy_(whole)  # a view of what is returned
        return filled

    def _of_elements(self) -> tuple[Tensor, Tensor]:
        """Scale and shift in a shape that fits ``(b c f h w)``."""
        shape = (1, -1, 1, 1, 1) if self.scale.ndim == 1 else self.shape
        return self.scale.view(shape), self.shift.view(shape)


def _filled(like: Tensor, strides: Strides) -> Tensor:
    """A contiguous tensor with the values that are not at these positions; there it holds anything."""
    if math.prod(strides.shape) == like.numel():
        return torch.empty_like(like, memory_format=torch.contiguous_format)
    return like.clone(memory_format=torch.contiguous_format)


def layout_of(who: str, b: int, inward: Way, outward: Way) -> PipelineLayout:
    """The layout for ``b`` prompts of what was measured from prepared latents to a step, and from there to the decoder.

    Raises:
        InputError: it is no reshape and permutation of a part of them; ``who`` is in the message.
    """
    index, depends, scale, shift = (
        as_clips(each, b, who) for each in (outward.index, outward.depends, outward.scale, outward.shift)
    )
    box = _box(depends)
    if box is None:
        raise InputError(
            f"{who} keeps single values of its latents for itself: expected whole frames, rows or columns"
        )
    stepped = strides_of(index[box])
    reached = index[box].flatten()
    factor = float(inward.scale.flatten()[reached[0]])
    same = inward.depends & (inward.scale == factor) & (inward.shift == 0.0)
    if factor <= 0.0 or not bool(same.flatten()[reached].all()):
        raise InputError(
            f"{who} scales its latents one by one, or adds to them, between where it prepares them and scheduler.step"
        )
    prepared = strides_of(inward.index.flatten()[reached].reshape(index[box].shape))
    if stepped is None or prepared is None:
        raise InputError(
            f"{who} permutes its latents one by one: expected a reshape and a permutation of axes"
        )
    found = _normalised(who, tuple(index.shape), box, prepared, stepped, scale * factor, shift)
    return attrs.evolve(found, factor=factor, has_more=math.prod(outward.sent) > index.numel())


def _normalised(
    who: str,
    shape: tuple[int, ...],
    box: Box,
    prepared: Strides,
    stepped: Strides,
    scale: Tensor,
    shift: Tensor,
) -> PipelineLayout:
    """With scale and shift of each channel, where there is one, and the values outside of the box."""
    by_channel = [each[box].movedim(1, 0).flatten(1) for each in (scale, shift)]
    alike = all(
        bool(((each - each[:, :1]).abs() <= 1e-3 * each.abs().amax().clamp_min(1e-3)).all())
        for each in by_channel
    )
    whole = all(part == slice(0, size) for part, size in zip(box, shape, strict=True))
    if not alike:
        if not whole:
            raise InputError(f"{who} normalises each element by itself and keeps some: expected one of both")
        return PipelineLayout(shape, box, prepared, stepped, None, scale, shift)
    factors, offsets = (each.double().median(dim=1).values.float() for each in by_channel)
    kept = None
    if not whole:
        kept = (shift - offsets.view(1, -1, 1, 1, 1)) / factors.view(1, -1, 1, 1, 1)
    return PipelineLayout(shape, box, prepared, stepped, kept, factors, offsets)


def as_clips(values: Tensor, b: int, who: str) -> Tensor:
    """The decoder's form as ``(b c f h w)``: clips, pictures, or frames in rows."""
    if values.ndim == 5 and values.shape[0] == b:
        return values
    if values.ndim == 4 and values.shape[0] % b == 0:
        return values.unflatten(0, (b, -1)).movedim(1, 2)
    raise InputError(
        f"{who} decodes latents of shape {tuple(values.shape)} for {b} prompts: expected (b c f h w), or rows of (c h w)"
    )


def _box(depends: Tensor) -> Box | None:
    """The box that holds these elements and no others."""
    box: list[slice] = []
    for axis in range(depends.ndim):
        some = depends.movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten()
        if not len(some):
            return None
        box.append(slice(int(some[0]), int(some[-1]) + 1))
    found = tuple(box)
    return found if bool(depends[found].all()) and int(depends.sum()) == depends[found].numel() else None
