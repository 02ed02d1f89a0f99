"""The layout of a pipeline's latents, learned by numbered values from where they are prepared to where they are decoded.

    prepare_latents --- numbers ---> scheduler.step --- other numbers ---> decoder

A pass of the pipeline sends one digit of the numbers, on one of the ways; two passes of each way send 0 and 1. The last pass sends
random values, which must arrive where the learned layout has them. Networks are replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines import fields
from jvid_models.adapters.pipelines.answers import Answers, Inject
from jvid_models.adapters.pipelines.axes import Strides, strides_of
from jvid_models.adapters.pipelines.call import PipelineCall, Sizes
from jvid_models.adapters.pipelines.entry import enter, leaving_at_the_decoder
from jvid_models.adapters.pipelines.layout import Box, PipelineLayout
from jvid_models.adapters.pipelines.networks import Networks
from jvid_models.adapters.pipelines.presenting import Presenting, leave
from jvid_models.adapters.pipelines.probe import Call, Presented

__all__ = ["Pass", "learn_layout"]

Field = Callable[[tuple[int, ...]], Tensor]


@attrs.frozen(eq=False)
class Pass:
    """Passes of a pipeline from end to end at one level, without its networks."""

    call: PipelineCall
    prompts: Sequence[str]
    sizes: Sizes
    answers: Answers
    networks: Networks
    at: Presented
    delegates: bool
    generators: list[torch.Generator] = attrs.field(factory=list)

    def decoded(self, inject: Inject, stepped: Callable[[Call], Tensor]) -> Tensor:
        """What the decoder gets, where ``stepped`` gives the latents behind the step."""
        found = self.run(inject, stepped)
        if not isinstance(found, Tensor):
            raise InputError(f"{self.call.who} does not reach its decoder: expected one call of it behind the loop")
        return found

    def run(self, inject: Inject, stepped: Callable[[Call], Tensor], count: int = 1) -> Any:
        """What a pass left with: at the decoder, or in ``stepped``; ``count`` turns."""
        arguments = self.call.arguments(self.prompts, self.sizes, max(2, count))
        given = arguments.get("generator", [])
        self.generators[:] = given if isinstance(given, list) else [given]
        drive = Presenting(self.at, stepped, count, self.delegates)
        with self.networks.replayed(), leaving_at_the_decoder(self.call.pipe):
            return enter(self.call.pipe, arguments, drive, self.answers, inject)


@attrs.frozen(eq=False)
class _Way:
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


def _way(who: str, where: str, send: Callable[[Field], tuple[Tensor, Tensor]]) -> _Way:
    """``send``: a field -> the tensor that it replaced, and what was seen of it."""
    first, zeros = send(lambda shape: torch.zeros(shape))
    _, ones = send(lambda shape: torch.ones(shape))
    base = fields.base_for([first.dtype, zeros.dtype, ones.dtype])
    count = fields.digits(first.numel(), base)
    seen = [send(lambda shape, k=k: fields.numbered(shape, k, base))[1] for k in range(count)]
    shift, scale = zeros.float().cpu(), ones.float().cpu() - zeros.float().cpu()
    found = fields.positions(shift, scale, [each.float().cpu() for each in seen], base)
    if found is None:
        raise InputError(f"{who} mixes its latents between {where}: expected a permutation, a scale and a shift")
    return _Way(tuple(first.shape), *found, scale, shift)


def learn_layout(passes: Pass) -> PipelineLayout:
    """The layout of the latents of these passes.

    Raises:
        InputError: what happens to them is no reshape, permutation, scale and shift.
    """
    who = passes.call.who

    def inwards(field: Field) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []

        def inject(prepared: Tensor) -> Tensor:
            found.append(prepared)
            return field(tuple(prepared.shape)).to(prepared)

        call: Any = passes.run(inject, leave)
        if call.output.shape != call.sample.shape:
            raise InputError(
                f"{who} steps with an output of shape {tuple(call.output.shape)} for latents of shape "
                f"{tuple(call.sample.shape)}: expected equal shapes"
            )
        return found[-1], call.sample

    def outwards(field: Field) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []

        def stepped(call: Call) -> Tensor:
            found.append(call.sample)
            return field(tuple(call.sample.shape)).to(call.sample)

        return passes.decoded(lambda prepared: prepared, stepped), found[-1]

    inward = _way(who, "prepare_latents and scheduler.step", inwards)
    outward = _way(who, "scheduler.step and its decoder", lambda field: outwards(field)[::-1])
    layout = _layout(who, len(passes.prompts), inward, outward)
    _check(passes, layout)
    return layout


def _layout(who: str, b: int, inward: _Way, outward: _Way) -> PipelineLayout:
    index, depends, scale, shift = (
        _clips(each, b, who) for each in (outward.index, outward.depends, outward.scale, outward.shift)
    )
    if math.prod(outward.sent) > index.numel():
        raise InputError(f"{who} denoises latents of shape {outward.sent} and decodes only {tuple(index.shape)} of them")
    box = _box(depends)
    if box is None:
        raise InputError(f"{who} keeps single values of its latents for itself: expected whole frames, rows or columns")
    stepped = strides_of(index[box])
    reached = index[box].flatten()
    if not bool((inward.depends & (inward.scale == 1.0) & (inward.shift == 0.0)).flatten()[reached].all()):
        raise InputError(f"{who} scales its latents, or adds to them, between prepare_latents and scheduler.step")
    prepared = strides_of(inward.index.flatten()[reached].reshape(index[box].shape))
    if stepped is None or prepared is None:
        raise InputError(f"{who} permutes its latents one by one: expected a reshape and a permutation of axes")
    return _normalised(who, tuple(index.shape), box, prepared, stepped, scale, shift)


def _normalised(
    who: str, shape: tuple[int, ...], box: Box, prepared: Strides, stepped: Strides, scale: Tensor, shift: Tensor
) -> PipelineLayout:
    """With scale and shift of each channel, where there is one, and the values outside of the box."""
    by_channel = [each[box].movedim(1, 0).flatten(1) for each in (scale, shift)]
    alike = all(
        bool(((each - each[:, :1]).abs() <= 1e-3 * each.abs().amax().clamp_min(1e-3)).all()) for each in by_channel
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


def _clips(values: Tensor, b: int, who: str) -> Tensor:
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


def _check(passes: Pass, layout: PipelineLayout) -> None:
    """Send random values there and back, and find them where the layout has them."""
    draws = torch.Generator().manual_seed(0)
    x, y = (torch.randn(layout.shape, generator=draws) for _ in range(2))
    arrived: dict[str, Tensor] = {}

    def stepped(call: Call) -> Tensor:
        arrived["sample"] = layout.extract(call.sample)
        return layout.returned(y, call.sample)

    decoded = passes.decoded(lambda prepared: layout.insert(x, prepared), stepped)
    shape = (1, -1, 1, 1, 1) if layout.scale.ndim == 1 else layout.shape
    seen = (_clips(decoded.float().cpu(), layout.shape[0], passes.call.who) - layout.shift.view(shape)) / layout.scale.view(shape)
    tolerance = 1e-4 if decoded.dtype == torch.float32 else 5e-2
    for got, wanted in ((arrived["sample"].float().cpu(), x), (seen[layout.box], y)):
        if not bool(((got - wanted[layout.box]).abs() <= tolerance * wanted.abs().max()).all()):
            raise InputError(f"{passes.call.who} changes its latents on the way to the decoder in ways that are not explained")
