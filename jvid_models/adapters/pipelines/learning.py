"""The layout of a pipeline's latents, learned by numbered values from where they are prepared to where they are decoded.

    prepare_latents --- numbers ---> scheduler.step --- other numbers ---> decoder

A pass of the pipeline sends one digit of the numbers, on one of the ways; two passes of each way send 0 and 1. The last pass
sends random values, which must arrive where the learned layout has them. Networks are replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines.answers import Answers, Inject
from jvid_models.adapters.pipelines.call import PipelineCall, Sizes
from jvid_models.adapters.pipelines.entry import enter, leaving_at_the_decoder
from jvid_models.adapters.pipelines.finishing import Finishing
from jvid_models.adapters.pipelines.layout import PipelineLayout, layout_of
from jvid_models.adapters.pipelines.loops import has_autoencoder
from jvid_models.adapters.pipelines.manner import Manner
from jvid_models.adapters.pipelines.networks import PipelineNetworks
from jvid_models.adapters.pipelines.presenting import Presenting, leave
from jvid_models.adapters.pipelines.probe import Drive, Presented, StepCall
from jvid_models.adapters.pipelines.rehearsing import Rehearsing
from jvid_models.adapters.pipelines.ways import Field, way_of

__all__ = ["Pass", "learn_layout"]


@attrs.frozen(eq=False)
class Pass:
    """Passes of a pipeline from end to end at one level, without its networks."""

    call: PipelineCall
    prompts: Sequence[str]
    sizes: Sizes
    answers: Answers
    networks: PipelineNetworks
    at: Presented
    manner: Manner
    finishing: Finishing
    skipped: int = 0
    generators: list[torch.Generator] = attrs.field(factory=list)

    def decoded(self, inject: Inject, stepped: Callable[[StepCall], Tensor]) -> Tensor:
        """What the decoder gets, where ``stepped`` gives the latents behind the step."""
        found = self.run(inject, stepped)
        if not has_autoencoder(self.call.pipe) and not isinstance(found, StepCall | Tensor):
            found = found[0]
        if not isinstance(found, Tensor):
            raise InputError(
                f"{self.call.who} does not reach its decoder: expected one call of it behind the loop"
            )
        return found

    def stepped(self, inject: Inject) -> StepCall:
        """The scheduler's first call of a pass."""
        found = self.run(inject, leave)
        if not isinstance(found, StepCall):
            raise self.call.uneven("no step where its scheduler has one level")
        return found

    def run(self, inject: Inject, stepped: Callable[[StepCall], Tensor], count: int = 1) -> Any:
        """What a pass left with: at the decoder, or in ``stepped``; ``count`` turns, or those of a run of stated steps."""
        arguments = self.call.arguments(self.prompts, self.sizes, max(2, count))
        given = arguments.get("generator", [])
        self.generators[:] = given if isinstance(given, list) else [given]
        drive: Drive = Presenting(self.at, stepped, count, self.manner)
        if self.call.steps is not None:
            drive = Rehearsing(self.networks, stepped, manner=self.manner, skipped=self.skipped)
        with self.networks.replayed(), leaving_at_the_decoder(self.call.pipe), self.finishing.leaving_out():
            return enter(self.call.pipe, arguments, drive, self.answers, inject)


def learn_layout(passes: Pass) -> PipelineLayout:
    """The layout of the latents of these passes; a finishing method is left out of them where that explains it.

    Raises:
        InputError: what happens to them is no reshape, permutation, scale and shift.
    """
    try:
        return _learned(passes)
    except InputError as error:
        reason = error
    for name in _finishing_methods(passes):
        passes.finishing.left_out = name
        try:
            return _learned(passes)
        except InputError:
            passes.finishing.left_out = None
    raise reason


def _finishing_methods(passes: Pass) -> list[str]:
    """The methods that change latents behind the loop, in the order of their calls."""
    steps: list[StepCall] = []

    def stepped(call: StepCall) -> Tensor:
        steps.append(call)
        return call.sample

    with passes.finishing.noted(lambda: bool(steps)):
        passes.run(lambda prepared: prepared, stepped)
    return passes.finishing.names


def _learned(passes: Pass) -> PipelineLayout:
    who = passes.call.who

    def inwards(field: Field) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []

        def inject(prepared: Tensor) -> Tensor:
            found.append(prepared)
            return field(tuple(prepared.shape)).to(prepared)

        call = passes.stepped(inject)
        if call.output.shape != call.sample.shape:
            raise InputError(
                f"{who} steps with an output of shape {tuple(call.output.shape)} for latents of shape "
                f"{tuple(call.sample.shape)}: expected equal shapes"
            )
        return found[-1], call.sample

    def outwards(field: Field) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []

        def stepped(call: StepCall) -> Tensor:
            found.append(call.sample)
            return field(tuple(call.sample.shape)).to(call.sample)

        return passes.decoded(lambda prepared: prepared, stepped), found[-1]

    inward = way_of(who, "where it prepares them and scheduler.step", inwards)
    outward = way_of(who, "scheduler.step and its decoder", lambda field: outwards(field)[::-1])
    layout = layout_of(who, len(passes.prompts), inward, outward)
    _check(passes, layout)
    return layout


def _check(passes: Pass, layout: PipelineLayout) -> None:
    """Send random values there and back, and find them where the layout has them."""
    draws = torch.Generator().manual_seed(0)
    x, y = (torch.randn(layout.shape, generator=draws) for _ in range(2))
    arrived: dict[str, Tensor] = {}

    def stepped(call: StepCall) -> Tensor:
        arrived.setdefault("sample", layout.extract(call.sample))
        return layout.returned(y, call.sample)

    decoded = passes.decoded(lambda prepared: layout.insert(x, prepared), stepped)
    seen = layout.from_decoder(decoded, passes.call.who)
    tolerance = 1e-4 if decoded.dtype == torch.float32 else 5e-2
    for got, wanted in ((arrived["sample"].float().cpu(), x), (seen[layout.box], y)):
        if not bool(((got - wanted[layout.box]).abs() <= tolerance * wanted.abs().max()).all()):
            raise InputError(
                f"{passes.call.who} changes its latents on the way to the decoder in ways that are not explained"
            )
