"""A pipeline at one size: what its loop visits, how its latents lie, and whether its loop holds anything else.

1. The whole loop once with the pipeline's own timesteps; its networks are called in the first turn and replayed in the others.
2. Some turns at one timestep with latents that do not change: networks that get other values in one than in the first, or another
   output, are of a loop with a state, or one that counts; one that draws noise there moves a generator.
3. Numbered values from where latents are prepared to the scheduler's step, and from there to the decoder (`learn_layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError, JvidError, MissingDependencyError, one_line
from jvid_models.adapters.pipelines.answers import Answers, kept_methods
from jvid_models.adapters.pipelines.call import PipelineCall, Sizes
from jvid_models.adapters.pipelines.compared import KEEP_STATE
from jvid_models.adapters.pipelines.entry import enter, leaving_at_the_decoder
from jvid_models.adapters.pipelines.layout import PipelineLayout
from jvid_models.adapters.pipelines.learning import Pass, learn_layout
from jvid_models.adapters.pipelines.levels import VisitedLevels, visited_levels
from jvid_models.adapters.pipelines.networks import PipelineNetworks
from jvid_models.adapters.pipelines.outlines import outlined
from jvid_models.adapters.pipelines.probe import StepCall
from jvid_models.adapters.pipelines.visits import Visiting, Visits

__all__ = ["Setting", "visits_of"]

_STEPS = 4
_TURNS = 8


@attrs.frozen(eq=False)
class Setting:
    """What was learned of a pipeline for so many prompts at one size.

    Attributes:
        sizes: the arguments of that size.
        kept: the methods whose answers hold for all calls under one condition.
        prepared: which call of ``prepare_latents`` gives the latents.
        form: latents as the pipeline takes them, where it has no ``prepare_latents``.
        networks: recorded.
        levels: of its scheduler.
        layout: of its latents.
        delegates: whether the real scheduler's step is called within a turn too (Cosmos).
        streams: whether its loop keeps a state, so that a run waits in it.
    """

    sizes: Sizes
    kept: tuple[str, ...]
    prepared: int
    form: Tensor | None
    networks: PipelineNetworks
    levels: VisitedLevels
    layout: PipelineLayout
    delegates: bool
    streams: bool

    def answers(self) -> Answers:
        """Those of a new condition: none so far."""
        return Answers(self.kept, self.prepared, self.form)


def learn(call: PipelineCall, prompts: Sequence[str], sizes: Sizes) -> Setting:
    """Learn a pipeline at one size.

    Raises:
        InputError: what it does is not explained; the message names its class and what.
        MissingDependencyError: it needs a package that is not installed.
    """
    with _explained(call.who), outlined(call.pipe):
        return _learned(call, prompts, sizes)


@contextmanager
def _explained(who: str) -> Iterator[None]:
    """Name the pipeline's class in an error of its own code."""
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
        raise InputError(f"{who} cannot be called as an expert: {reason}") from error


def _learned(call: PipelineCall, prompts: Sequence[str], sizes: Sizes) -> Setting:
    pipe = call.pipe
    reachable = hasattr(pipe, "prepare_latents") or "latents" in call.parameters
    if not reachable or not hasattr(pipe, "scheduler"):
        raise InputError(f"{call.who} has no prepare_latents and scheduler: its latents cannot be reached")
    networks, answers = PipelineNetworks(pipe), Answers(kept_methods(pipe))
    visiting = _visit(call, prompts, sizes, answers, networks)
    visits = visiting.visits(call.who)
    streams = call.who in KEEP_STATE
    if visiting.copies and not streams:
        raise InputError(f"{call.who} copies its scheduler for a second stream, whose state is in its loop")
    levels = visited_levels(pipe.scheduler, visits)
    at = levels.presented(levels.times(visits)[-2])
    passes = Pass(call, prompts, sizes, answers, networks, at, visiting.delegates)
    if not streams:
        _check_stationary(passes)
    layout = learn_layout(passes)
    return Setting(
        sizes,
        answers.names,
        answers.last or 1,
        answers.form,
        networks,
        levels,
        layout,
        visiting.delegates,
        streams,
    )


def _visit(
    call: PipelineCall, prompts: Sequence[str], sizes: Sizes, answers: Answers, networks: PipelineNetworks
) -> Visiting:
    """The first call, which records networks and answers."""
    before: dict[str, int] = {}

    def turned() -> None:
        networks.turned()
        before.update(before or answers.calls())

    visiting = Visiting(turned)
    arguments = call.arguments(prompts, sizes, _STEPS)
    with networks.recorded(), leaving_at_the_decoder(call.pipe):
        enter(call.pipe, arguments, visiting, answers, lambda prepared: prepared)
        if visiting.calls_twice:
            visiting.delegates = True
            enter(call.pipe, arguments, visiting, answers, lambda prepared: prepared)
    # What is called in each turn may depend on it.
    answers.names = tuple(name for name in answers.names if answers.calls()[name] == before.get(name, 0))
    if not hasattr(call.pipe, "prepare_latents"):
        answers.form = visiting.first
        return visiting
    answers.last = before.get("prepare_latents", 0)
    if before and (not answers.last or answers.calls()["prepare_latents"] != answers.last):
        raise InputError(f"{call.who} prepares its latents inside its loop: expected once, before it")
    return visiting


def visits_of(call: PipelineCall, prompts: Sequence[str], setting: Setting, steps: int) -> Visits:
    """What the pipeline visits in ``steps`` steps, its networks replayed."""
    visiting = Visiting(setting.networks.turned, setting.delegates)
    arguments = call.arguments(prompts, setting.sizes, steps, skips=True)
    with (
        _explained(call.who),
        outlined(call.pipe),
        setting.networks.replayed(),
        leaving_at_the_decoder(call.pipe),
    ):
        enter(call.pipe, arguments, visiting, setting.answers(), lambda prepared: prepared)
    return visiting.visits(call.who)


def _check_stationary(passes: Pass) -> None:
    """Refuse a loop that hands its networks other values at the same timestep and latents, or that draws noise."""
    seen: list[Any] = []
    states: list[Tensor] = []

    def stepped(call: StepCall) -> Tensor:
        inputs = [(name, [value.clone() for value in values]) for name, values in passes.networks.inputs]
        seen.append([*inputs, call.output])
        states.append(torch.cat([torch.get_rng_state(), *(each.get_state() for each in passes.generators)]))
        passes.networks.turned()
        return call.sample

    alone = passes.stepped(lambda prepared: prepared).output
    passes.run(lambda prepared: prepared, stepped, _TURNS)
    who = passes.call.who
    if len(seen) != _TURNS:
        raise InputError(f"{who} takes {len(seen)} steps for {_TURNS} timesteps: expected one each")
    if not torch.equal(states[0], states[-1]):
        raise InputError(f"{who} draws noise inside its loop: an evaluation alone would draw it anew")
    if not all(_equal(seen[0], each) for each in seen):
        raise InputError(
            f"{who} does not do the same in each turn of its loop: an evaluation is a first turn"
        )
    if not torch.equal(alone, seen[0][-1]):
        raise InputError(
            f"{who} guides by the number of steps: an evaluation does not know it; turn that off in its options"
        )


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
