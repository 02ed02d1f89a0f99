"""A pipeline at one size: what its loop visits, how its latents lie, and whether its loop holds anything else.

1. The whole loop once with the pipeline's own timesteps; its networks are called in the first turn and replayed in the others.
2. Some turns at one timestep with latents that do not change: whether the loop keeps a state, or counts (`states`).
3. Numbered values from where latents are prepared to the scheduler's step, and from there to the decoder (`learn_layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
from torch import Tensor

from jvid.errors import InputError, JvidError, MissingDependencyError, one_line
from jvid_models.adapters.pipelines.answers import Answers, kept_methods
from jvid_models.adapters.pipelines.call import PipelineCall, Sizes
from jvid_models.adapters.pipelines.entry import enter, leaving_at_the_decoder
from jvid_models.adapters.pipelines.finishing import Finishing
from jvid_models.adapters.pipelines.fixed_parts import FixedParts
from jvid_models.adapters.pipelines.layout import PipelineLayout
from jvid_models.adapters.pipelines.learning import Pass, learn_layout
from jvid_models.adapters.pipelines.levels import VisitedLevels, visited_levels
from jvid_models.adapters.pipelines.loops import loop_of, preparing
from jvid_models.adapters.pipelines.manner import Manner
from jvid_models.adapters.pipelines.networks import PipelineNetworks, modules_of
from jvid_models.adapters.pipelines.outlines import outlined
from jvid_models.adapters.pipelines.probe import StepCall
from jvid_models.adapters.pipelines.states import keeps_state
from jvid_models.adapters.pipelines.visits import Visiting, Visits

__all__ = ["Setting", "visits_of"]

_STEPS = 4


@attrs.frozen(eq=False)
class Setting:
    """What was learned of a pipeline for so many prompts at one size.

    Attributes:
        sizes: the arguments of that size.
        kept: the methods whose answers hold for all calls under one condition.
        prepared: which call of ``prepare_latents`` gives the latents.
        form: latents as the pipeline takes them, where no method of it prepares them.
        networks: recorded.
        levels: of its scheduler.
        layout: of its latents.
        times: of the turns of a run, where its number of steps is stated; else none.
        skipped: how many of its scheduler's timesteps are before the first turn of such a run.
        manner: how its loop calls its scheduler.
        streams: whether its loop keeps a state, so that a run waits in it.
        passes: of the pipeline from end to end without its networks, with the answers to plain prompts.
        fixed: the scheduler that the levels are read of.
        place: the device and dtype of each module then.
    """

    sizes: Sizes
    kept: tuple[str, ...]
    prepared: int
    form: Tensor | None
    networks: PipelineNetworks
    levels: VisitedLevels
    layout: PipelineLayout
    times: tuple[float, ...]
    skipped: int
    manner: Manner
    streams: bool
    passes: Pass
    fixed: FixedParts
    place: tuple[Any, ...]

    def returned(self, scheduler: Any, x: Tensor, call: StepCall, before: float, time: float) -> Tensor:
        """What the scheduler of a waiting run gives at the next time: latents x, and what is beside them a step further."""
        sample = call.sample
        if self.layout.has_more:
            sample = self.levels.advanced(scheduler, sample, call.output, before, time)
        return self.layout.returned(x, sample)

    def answers(self) -> Answers:
        """Those of a new condition: none so far."""
        return Answers(self.kept, self.prepared, self.form)

    def plain_answers(self, pipe: Any) -> Answers:
        """Those to plain prompts, where no more than their form matters: no encoder is called unless the pipeline was moved."""
        return self.passes.answers if _place(pipe) == self.place else self.answers()

    def kept_latents(self, prompts: Sequence[str], answers: Answers) -> Tensor | None:
        """The latents ``(b c f h w)`` that a run keeps for itself, right outside of the layout's box; None where that is all.

        Args:
            prompts: of the run.
            answers: of its encoders.
        """
        if self.layout.kept is None:
            return None
        passes = attrs.evolve(self.passes, prompts=prompts, answers=answers)
        decoded = passes.decoded(lambda prepared: prepared, lambda call: call.sample)
        return self.layout.from_decoder(decoded, passes.call.who)


def learn(call: PipelineCall, prompts: Sequence[str], sizes: Sizes) -> Setting:
    """Learn a pipeline at one size.

    Raises:
        InputError: what it does is not explained; the message names its class and what.
        MissingDependencyError: it needs a package that is not installed.
    """
    with _explained(call), outlined(call.pipe):
        return _learned(call, prompts, sizes)


@contextmanager
def _explained(call: PipelineCall) -> Iterator[None]:
    """Name the pipeline's class in an error of its own code, and the pictures and clips that it was not given."""
    who = call.who
    try:
        yield
    except JvidError:
        raise
    except (NameError, ImportError) as error:
        name = getattr(error, "name", None) or one_line(error, first=True)
        raise MissingDependencyError(
            f"{who} needs {name!r}, which is not installed: pip install {name}"
        ) from error
    except Exception as error:
        reason = one_line(error, first=True, typed=True)
        if lacks := call.not_given:
            raise InputError(
                f"{who} got no {' and no '.join(lacks)}, and cannot be called ({reason}): give "
                f"inputs={{{lacks[0]!r}: ...}}, or --input NAME.{lacks[0]}=FILE"
            ) from error
        raise InputError(f"{who} cannot be called as an expert: {reason}") from error


def _learned(call: PipelineCall, prompts: Sequence[str], sizes: Sizes) -> Setting:
    pipe = call.pipe
    reachable = preparing(pipe) is not None or "latents" in call.parameters
    if not reachable or not hasattr(loop_of(pipe), "scheduler"):
        raise InputError(f"{call.who} has no prepare_latents and scheduler: its latents cannot be reached")
    networks, answers = PipelineNetworks(pipe), Answers(kept_methods(pipe))
    visiting = _visit(call, prompts, sizes, answers, networks)
    visits = visiting.visits(call.who)
    levels = visited_levels(loop_of(pipe).scheduler, visits)
    times = levels.times(visits)
    skipped = 0 if call.steps is None else visits.skipped
    at, finishing = levels.presented(times[-2]), Finishing(loop_of(pipe))
    passes = Pass(call, prompts, sizes, answers, networks, at, visiting.manner, finishing, skipped)
    streams = (visiting.copies > 0 and not visiting.manner.parts) or keeps_state(passes)
    layout = learn_layout(passes)
    if layout.factor != 1.0 and levels.kind.prediction == "eps":
        raise InputError(
            f"{call.who} scales its latents by {layout.factor:g}, and its network's noise by 1: expected one scale"
        )
    return Setting(
        sizes,
        answers.names,
        answers.last or 1,
        answers.form,
        networks,
        levels,
        layout,
        () if call.steps is None else times[:-1],
        skipped,
        visiting.manner,
        streams or layout.has_more,
        passes,
        FixedParts.of(loop_of(pipe), "scheduler"),
        _place(pipe),
    )


def _place(pipe: Any) -> tuple[Any, ...]:
    """The device and dtype of each module."""
    first = (next(module.parameters(), None) for module in modules_of(pipe).values())
    return tuple((each.device, each.dtype) for each in first if each is not None)


def _visit(
    call: PipelineCall, prompts: Sequence[str], sizes: Sizes, answers: Answers, networks: PipelineNetworks
) -> Visiting:
    """The first call, which records networks and answers; where they cannot be replayed, a second that calls them each time."""
    try:
        return _visited(call, prompts, sizes, answers, networks)
    except JvidError:
        raise
    except Exception:
        if not networks.names:  # none was replayed so far
            raise
        # A pipeline may read more of its networks than their answers, by hooks or processors.
        networks.replayable = False
        return _visited(call, prompts, sizes, answers, networks)


def _visited(
    call: PipelineCall, prompts: Sequence[str], sizes: Sizes, answers: Answers, networks: PipelineNetworks
) -> Visiting:
    before: dict[str, int] = {}

    def turned() -> None:
        networks.turned()
        before.update(before or answers.calls())

    visiting = Visiting(turned)
    arguments = call.arguments(prompts, sizes, _STEPS)
    with networks.recorded(), leaving_at_the_decoder(call.pipe):
        enter(call.pipe, arguments, visiting, answers, lambda prepared: prepared)
        if visiting.calls_twice:
            visiting.manner = Manner(delegates=True)
            enter(call.pipe, arguments, visiting, answers, lambda prepared: prepared)
        elif visiting.parts:
            visiting = Visiting(turned, Manner(parts=visiting.parts))
            enter(call.pipe, arguments, visiting, answers, lambda prepared: prepared)
    # What is called in each turn may depend on it.
    answers.names = tuple(name for name in answers.names if answers.calls()[name] == before.get(name, 0))
    prepares = preparing(call.pipe)
    if prepares is None:
        answers.form = visiting.first
        return visiting
    answers.last = before.get(prepares, 0)
    if before and (not answers.last or answers.calls()[prepares] != answers.last):
        raise InputError(f"{call.who} prepares its latents inside its loop: expected once, before it")
    return visiting


def visits_of(call: PipelineCall, prompts: Sequence[str], setting: Setting, steps: int) -> Visits:
    """What the pipeline visits in ``steps`` steps, its networks replayed."""
    visiting = Visiting(setting.networks.turned, setting.manner)
    arguments = call.arguments(prompts, setting.sizes, steps, skips=True)
    with (
        _explained(call),
        outlined(call.pipe),
        setting.networks.replayed(),
        leaving_at_the_decoder(call.pipe),
    ):
        enter(call.pipe, arguments, visiting, setting.plain_answers(call.pipe), lambda prepared: prepared)
    return visiting.visits(call.who)
