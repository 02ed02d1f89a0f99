"""The reverse process: experts take turns inside one solver's run.

    for step in plan:  x_0(x, level) = sum_k w_k D_k(x, level, cond),   w = step.weights
                       x, memory <- solver.step(x, step, x_0, noise, memory)

Levels are the *reference* schedule's; an expert of another schedule is bridged to it. Only
experts of the step's weights are evaluated. The noise of a step is shaped by the noise sampler of
its dominant expert (``Step.expert``) and keyed by (clip seed, step index, name): neither the batch
nor the experts' names matter. ``jvid.core.run`` takes the steps; here a strategy is composed and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from jvid.core.bridged import Bridged
from jvid.core.conditions import PerExpert
from jvid.core.fingerprint import check_same, fingerprint
from jvid.core.keyed import check_seeds
from jvid.core.members import check_members
from jvid.core.plan import Plan
from jvid.core.planning import check_names, draw_plan, levels_of, on_schedule
from jvid.core.protocols import DeclaresExperts, Expert, Level
from jvid.core.provenance import annotate, origin
from jvid.core.renormalized import in_space
from jvid.core.run import Run, checked, ended
from jvid.core.scope import RunScope
from jvid.core.spaces import LatentSpace
from jvid.core.spaces import same_space as shared_space
from jvid.core.state import State, check_initial, start, streams_of
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import (
        Condition,
        Denoiser,
        LatentPostprocessor,
        NoiseSampler,
        NoiseSchedule,
        Selector,
        Solver,
    )

__all__ = ["Sampler", "State"]

Grid = Sequence[float] | Callable[["NoiseSchedule"], Sequence[float]]
"""Times of the reference schedule, the first the noisiest as a rule; or what gives them for it."""


@attrs.frozen(eq=False, init=False)
class Sampler:
    """Experts, which of them predict at a step, and how a prediction becomes the next latents.

    Args:
        experts: what the selector names.
        selector: weights of the experts at each step, from a number drawn for the plan.
        solver: turns predictions into transitions.
        grid: times in [0, 1] of the reference schedule, at least two; or a value such as
            ``Leading(50)`` that gives them when called with the schedule.
        schedule: the reference; the first expert's if None.
        postprocessors: applied in order to the finished latents.
        initial: shapes the first noise across frames, as models trained on correlated noise expect it; independent
            if None. It is divided by the deviation that it declares (``std``): the first level sets the deviation.
        space: of the latents; that of the first expert that declares one if None. Experts of the same encoder that are
            normalised differently are evaluated in their own (`jvid.core.renormalized`).
        same_space: take spaces that differ as one; for users who know that they are.
        clean: latents ``(c, f, h, w)`` of a clip that runs change: they begin with the noise of the first level on it, rather
            than with noise alone.

    Raises:
        InputError: no experts, a part that is not of its kind (its name or its class, say), experts of different latent
            spaces, a selector that names others, a grid that is not one, or an initial noise of deviation 0.
    """

    experts: Mapping[str, Expert]
    selector: Selector
    solver: Solver[Any]
    grid: Grid
    schedule: NoiseSchedule
    postprocessors: tuple[LatentPostprocessor, ...]
    initial: NoiseSampler | None
    clean: Tensor | None = attrs.field(repr=False)
    _denoisers: Mapping[str, Denoiser] = attrs.field(init=False, repr=False)
    _levels: tuple[Level, ...] = attrs.field(init=False, repr=False)

    def __init__(
        self,
        experts: Mapping[str, Expert],
        selector: Selector,
        solver: Solver[Any],
        grid: Grid,
        schedule: NoiseSchedule | None = None,
        postprocessors: Iterable[LatentPostprocessor] = (),
        initial: NoiseSampler | None = None,
        *,
        space: LatentSpace | None = None,
        same_space: bool = False,
        clean: Tensor | None = None,
    ) -> None:
        if not isinstance(experts, Mapping):
            raise InputError(
                f"experts are a {type(experts).__name__}: expected them by name, {{name: Expert(denoiser)}}"
            )
        experts = dict(experts)
        if not experts:
            raise InputError("a sampler without experts: expected at least one, by name")
        for name, expert in experts.items():
            if not isinstance(expert, Expert):
                raise InputError(f"expert {name!r} is a {type(expert).__name__}: wrap it, Expert(denoiser)")
            check_members("denoiser", expert.denoiser, f"the denoiser of expert {name!r}")
            if expert.noise is not None:
                check_members("noise", expert.noise, f"the noise of expert {name!r}")
        check_members("selector", selector, "the selector")
        check_members("solver", solver, "the solver")
        if schedule is not None:
            check_members("schedule", schedule, "the schedule")
        if initial is not None:
            check_members("noise", initial, "the initial noise")
        if callable(postprocessors):
            raise InputError("postprocessors are one component: expected a list, postprocessors=[...]")
        postprocessors = tuple(postprocessors)
        for postprocessor in postprocessors:
            check_members("postprocessor", postprocessor, "a postprocessor")
        if isinstance(selector, DeclaresExperts):
            check_names(selector.experts, experts, selector)
        given = {name: expert.denoiser for name, expert in experts.items()}
        shared = shared_space(given, space, same_space)
        if not same_space:
            given = {name: in_space(denoiser, shared) for name, denoiser in given.items()}
        reference = next(iter(experts.values())).denoiser.schedule if schedule is None else schedule
        denoisers = {
            name: denoiser if denoiser.schedule == reference else Bridged(denoiser, reference)
            for name, denoiser in given.items()
        }
        levels = levels_of(grid, reference)  # a wrong grid is an error here, not at the first run
        check_initial(initial)
        self.__attrs_init__(experts, selector, solver, grid, reference, postprocessors, initial, clean)
        object.__setattr__(self, "_denoisers", denoisers)
        object.__setattr__(self, "_levels", levels)

    @cached_property
    def _fingerprint(self) -> Mapping[str, str]:
        """What states are known by; made when the first of them is."""
        values = {field.name: getattr(self, field.name) for field in attrs.fields(Sampler) if field.init}
        if self.clean is None:  # as states of earlier versions have it
            del values["clean"]
        return fingerprint(values)

    def plan(self, seed: int = 0) -> Plan:
        """Draw which experts predict at each step. No network runs.

        Raises:
            InputError: the seed is negative, or the selector gives weights that are not weights.
        """
        return draw_plan(self.selector, self._levels, tuple(self.experts), seed, self.schedule)

    def trace(
        self,
        shape: Sequence[int] | None = None,
        *,
        seeds: Sequence[int] | None = None,
        cond: Condition | PerExpert | None = None,
        plan: Plan | int | None = None,
        x: Tensor | None = None,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        resume: State | None = None,
    ) -> Iterator[State]:
        """Run step by step; a step runs when the iterator is advanced, and it may be dropped at any step.

        Args:
            shape: ``(c, f, h, w)`` of one clip; may be left out with ``x`` or ``resume``.
            seeds: one a clip; a clip depends on its own alone. May be left out with ``resume``.
            cond: of the batch, tensors leading with ``len(seeds)``; passed to the experts as it is; or a ``PerExpert``.
            plan: a plan to replay, from a file if need be, or the seed of one; 0 if None (with ``resume``, the
                state's). Its levels must be the schedule's.
            x: latents ``(b c f h w)`` to start from, at the plan's first level, which the noise of the run depends on too: it
                differs from that of the run which made them; if None, N(0, alpha^2 + sigma^2) keyed by the seeds: the
                paper's N(0, I) where variance is kept.
            dtype: of the latents, float32 (the default) or float64; experts may compute in less.
            device: of the latents; x's, or the CPU.
            resume: a state to go on from, with the steps after it: bitwise what would have come.

        Raises:
            InputError: arguments that do not fit each other, a state of another strategy, or a prediction of
                another shape.
            NonFiniteError: a prediction or latents hold NaN or infinity; names expert or solver, step and level.

        Whatever else a component raises goes through with a note that names it, its distribution, step and level.
        """
        if resume is not None:
            if x is not None:
                raise InputError("both x and resume: expected one of them to start from")
            if seeds is not None and check_seeds(seeds) != resume.seeds:
                raise InputError(
                    f"seeds {list(seeds)} to resume a run of {list(resume.seeds)}: leave them out"
                )
            check_same(self._fingerprint, resume.strategy)
            seeds, x = resume.seeds, resume.x
            plan = self._same_plan(resume, plan)
        if seeds is None:
            raise InputError("no seeds: expected one non-negative integer for each clip")
        seeds = check_seeds(seeds)
        if not isinstance(plan, Plan):
            plan = self.plan(0 if plan is None else plan)
        check_names({name for step in plan.steps for name in step.weights}, self.experts, plan)
        plan = on_schedule(plan, self.schedule)
        given = x is not None
        x = start(shape, seeds, plan.steps[0].start, x, dtype, device, self.initial, self.clean)
        if resume is not None:
            streams = resume.streams or seeds
        else:
            streams = streams_of(x, seeds) if given else seeds
        return self._run(x, seeds, streams, {} if cond is None else cond, plan, resume)

    def __call__(
        self,
        shape: Sequence[int] | None = None,
        *,
        seeds: Sequence[int] | None = None,
        cond: Condition | PerExpert | None = None,
        plan: Plan | int | None = None,
        x: Tensor | None = None,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        resume: State | None = None,
    ) -> Tensor:
        """The finished latents ``(b c f h w)``: the last of ``trace``, then ``finish``."""
        states = self.trace(
            shape, seeds=seeds, cond=cond, plan=plan, x=x, dtype=dtype, device=device, resume=resume
        )
        state = resume
        for state in states:  # noqa: B007 the last one is wanted
            pass
        assert state is not None  # a plan has a step, and a state comes with each
        return self.finish(state.x)

    def finish(self, x: Tensor) -> Tensor:
        """Apply the postprocessors, in order, to ``(b c f h w)``.

        Raises:
            InputError: one returns another shape or dtype.
            NonFiniteError: one returns NaN or infinity.
        """
        with torch.no_grad():
            for index, postprocessor in enumerate(self.postprocessors):
                who = f"postprocessor {index + 1} of {len(self.postprocessors)}"
                try:
                    smoothed = postprocessor(x)
                except SystemExit as error:
                    raise ended(f"{who}, {origin(postprocessor)},", error) from error
                except Exception as error:
                    annotate(error, who, postprocessor)
                    raise
                x = checked(smoothed, x, who, postprocessor)
        return x

    def _same_plan(self, resume: State, plan: Plan | int | None) -> Plan:
        if not isinstance(plan, Plan) and plan is not None:
            plan = self.plan(plan)
        if plan is not None and plan != resume.plan:
            raise InputError(
                "the state to resume has another plan: expected the strategy and plan it came from"
            )
        return resume.plan

    def _run(
        self,
        x: Tensor,
        seeds: tuple[int, ...],
        streams: tuple[int, ...],
        cond: Condition | PerExpert,
        plan: Plan,
        resume: State | None,
    ) -> Iterator[State]:
        run = Run(
            self._denoisers,
            {name: expert.noise for name, expert in self.experts.items()},
            self.solver,
            streams,
            cond,
            dict.fromkeys(self.experts, 0) | dict(resume.calls if resume else {}),
            dict.fromkeys(self.experts, 0.0) | dict(resume.seconds if resume else {}),
            resume.scope if resume else RunScope(),
        )
        memory = resume.memory if resume else self.solver.init()
        for step in plan.steps[resume.step.index + 1 if resume else 0 :]:
            x, x_0, memory = run.step(x, step, memory)
            calls, seconds = dict(run.calls), dict(run.seconds)
            yield State(
                plan, step, seeds, x, x_0, memory, calls, seconds, self._fingerprint, streams, run.scope
            )
