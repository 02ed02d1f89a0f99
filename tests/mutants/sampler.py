"""Wrong samplers: loops that reorder, forget, count wrongly or keep what a run leaves behind.

Each is a ``Sampler`` of two oracles, with one method changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.plan import Plan
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.core.state import State
from jvid.noise import SharedNoise
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import PiecewiseAffine
from jvid.solvers import DDPM
from jvid.testing.oracles import GaussianOracle, TwoModeOracle
from tests.mutants import Mutant, add

__all__ = ["example"]


def example(kind: type[Sampler] = Sampler) -> Sampler:
    """Two oracles on two schedules that take turns, with correlated noise and a postprocessor."""
    experts = {
        "video": Expert(TwoModeOracle(TabulatedSchedule.scaled_linear(), 0.9, 0.4), SharedNoise(0.5)),
        "image": Expert(GaussianOracle(FlowMatching(), 0.3, 0.5)),
    }
    grid = (0.98, 0.8, 0.6, 0.7, 0.5, 0.3, 0.1, 0.0)
    return kind(
        experts, PiecewiseAffine(0.1, 0.6, 0.4, 0.4), DDPM(), grid, postprocessors=[TemporalSmoothing(2.0)]
    )


def _sampler_mutant(check: str) -> Callable[[type[Sampler]], type[Sampler]]:
    def register(kind: type[Sampler]) -> type[Sampler]:
        why = " ".join((kind.__doc__ or "").split())
        add(Mutant("sampler", kind.__name__, check, lambda: example(kind), why))
        return kind

    return register


@_sampler_mutant("a_call_is_its_trace")
class finishes_twice(Sampler):
    """A call applies the postprocessors twice."""

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        return self.finish(super().__call__(*args, **options))


@_sampler_mutant("a_call_is_its_trace")
class leaves_out_a_state(Sampler):
    """The trace begins with the second step."""

    def trace(self, *args: Any, **options: Any) -> Iterator[State]:
        states = super().trace(*args, **options)
        next(states)
        return states


@_sampler_mutant("states_stay")
class one_buffer(Sampler):
    """All states share one tensor, which the next step writes on."""

    def trace(self, *args: Any, **options: Any) -> Iterator[State]:
        buffer: list[Tensor] = []
        for state in super().trace(*args, **options):
            buffer = buffer or [state.x.clone()]
            buffer[0].copy_(state.x)
            yield attrs.evolve(state, x=buffer[0])


@_sampler_mutant("states_stay")
class one_count(Sampler):
    """All states share one dict of calls."""

    def trace(self, *args: Any, **options: Any) -> Iterator[State]:
        calls: dict[str, int] = {}
        for state in super().trace(*args, **options):
            calls.update(state.calls)
            yield attrs.evolve(state, calls=calls)


@_sampler_mutant("only_weighted_experts_are_evaluated")
class asks_everyone(Sampler):
    """At each step all experts are evaluated, and those without weight left unused."""

    def trace(self, *args: Any, **options: Any) -> Iterator[State]:
        for state in super().trace(*args, **options):
            for expert in self.experts.values():
                expert.denoiser(state.x, torch.tensor(state.step.end.t, dtype=torch.float64), {})
            yield state


@_sampler_mutant("only_weighted_experts_are_evaluated")
class counts_steps(Sampler):
    """Every expert is counted as called once a step."""

    def trace(self, *args: Any, **options: Any) -> Iterator[State]:
        for state in super().trace(*args, **options):
            yield attrs.evolve(state, calls=dict.fromkeys(self.experts, state.step.index + 1))


@_sampler_mutant("a_clip_depends_on_its_seed_alone")
class seeds_by_position(Sampler):
    """The seeds are counted on from the first: a clip depends on its place in the batch."""

    def trace(self, shape: Any = None, *, seeds: Any = None, **options: Any) -> Iterator[State]:
        counted = None if seeds is None else [seeds[0] + i for i in range(len(seeds))]
        return super().trace(shape, seeds=counted, **options)


@_sampler_mutant("a_clip_depends_on_its_seed_alone")
class seeds_of_32_bits(Sampler):
    """Seeds keep 32 bits, as those of torch's generator on the CPU."""

    def trace(self, shape: Any = None, *, seeds: Any = None, **options: Any) -> Iterator[State]:
        cut = None if seeds is None else [seed % 2**32 for seed in seeds]
        return super().trace(shape, seeds=cut, **options)


@_sampler_mutant("a_clip_depends_on_its_seed_alone")
class plans_by_seed(Sampler):
    """The plan is drawn from the first clip's seed: batch mates decide which expert predicts."""

    def trace(
        self, shape: Any = None, *, seeds: Any = None, plan: Any = None, **options: Any
    ) -> Iterator[State]:
        own = plan if seeds is None or isinstance(plan, Plan) else seeds[0]
        return super().trace(shape, seeds=seeds, plan=own, **options)


@_sampler_mutant("a_run_resumes")
class starts_over(Sampler):
    """Resuming starts with the step that the state was left at."""

    def trace(self, *args: Any, resume: Any = None, **options: Any) -> Iterator[State]:
        if resume is not None and resume.step.index > 0:
            resume = attrs.evolve(resume, step=resume.plan.steps[resume.step.index - 1])
        return super().trace(*args, resume=resume, **options)


@_sampler_mutant("a_run_resumes")
class forgets_its_calls(Sampler):
    """Calls before the interruption are not counted."""

    def trace(self, *args: Any, resume: Any = None, **options: Any) -> Iterator[State]:
        if resume is not None:
            resume = attrs.evolve(resume, calls=dict.fromkeys(resume.calls, 0))
        return super().trace(*args, resume=resume, **options)


@_sampler_mutant("a_run_resumes")
class rounds_on_resuming(Sampler):
    """A state is resumed from latents in half precision, as they were saved."""

    def trace(self, *args: Any, resume: Any = None, **options: Any) -> Iterator[State]:
        if resume is not None:
            resume = attrs.evolve(resume, x=resume.x.half().float())
        return super().trace(*args, resume=resume, **options)


_KEPT: list[Tensor] = []


@_sampler_mutant("runs_in_turn_are_apart")
class latents_on_the_class(Sampler):
    """The latents of the run at hand stand on the class: two runs in turn mix."""

    def trace(self, *args: Any, **options: Any) -> Iterator[State]:
        _KEPT.clear()
        for state in super().trace(*args, **options):
            last = _KEPT[-1] if _KEPT and _KEPT[-1].shape == state.x.shape else state.x
            _KEPT.append(state.x)
            yield attrs.evolve(state, x=0.9 * state.x + 0.1 * last)


@_sampler_mutant("plans_replay")
class plans_by_chance(Sampler):
    """Every plan is drawn from a seed that is one more than the last."""

    def plan(self, seed: int = 0) -> Plan:
        _COUNT[0] += 1
        return super().plan(seed + _COUNT[0])


_COUNT = [0]


@_sampler_mutant("plans_replay")
class draws_its_own_plan(Sampler):
    """A plan that is handed in is left unused: its seed is drawn from again, one later."""

    def trace(self, shape: Any = None, *, plan: Any = None, **options: Any) -> Iterator[State]:
        return super().trace(shape, plan=plan.seed + 1 if isinstance(plan, Plan) else plan, **options)


@_sampler_mutant("names_mean_nothing")
class sorts_by_name(Sampler):
    """Latents are scaled by the place of the expert's name in the alphabet."""

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        return super().__call__(*args, **options) * (
            1.0 + 0.01 * (min(self.experts) == next(iter(self.experts)))
        )


@_sampler_mutant("dtype_of_latents_kept")
class always_single(Sampler):
    """The requested dtype is left unused."""

    def trace(self, shape: Any = None, *, dtype: Any = None, **options: Any) -> Iterator[State]:
        return super().trace(shape, **options)


@_sampler_mutant("starts_from_what_is_given")
class scales_what_is_given(Sampler):
    """Latents that are handed in are scaled in place."""

    def trace(self, shape: Any = None, *, x: Any = None, **options: Any) -> Iterator[State]:
        return super().trace(shape, x=None if x is None else x.mul_(0.9), **options)


@_sampler_mutant("starts_from_what_is_given")
class ignores_what_is_given(Sampler):
    """Latents that are handed in give their shape, and nothing else."""

    def trace(self, shape: Any = None, *, x: Any = None, **options: Any) -> Iterator[State]:
        return super().trace(shape if x is None else tuple(x.shape[1:]), **options)


@_sampler_mutant("globals_untouched")
class seeds_torch(Sampler):
    """It seeds torch's generator with the clip's seed."""

    def trace(self, shape: Any = None, *, seeds: Any = None, **options: Any) -> Iterator[State]:
        if seeds is not None:
            torch.manual_seed(seeds[0] % 1000)
        return super().trace(shape, seeds=seeds, **options)
