"""The reverse process: experts take turns inside one solver's run.

    for step in plan:  x_0(x, level) = sum_k w_k D_k(x, level, cond),   w = step.weights
                       x, memory <- solver.step(x, step, x_0, noise, memory)

Levels are the *reference* schedule's; an expert of another schedule is bridged to it. Only
experts of the step's weights are evaluated. The noise of a step is shaped by the noise sampler of
its dominant expert (``Step.expert``) and keyed by (clip seed, step index, name): neither the batch
nor the experts' names matter.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from jvid.bridged import Bridged
from jvid.errors import InputError, NonFiniteError
from jvid.keyed import check_seeds, keyed_normal
from jvid.noise import IndependentNoise
from jvid.plan import Plan
from jvid.planning import check_names, draw_plan, levels_of
from jvid.spaces import same_space
from jvid.state import State, start
from jvid.step import Expert, Level, Step

if TYPE_CHECKING:
    from jvid.protocols import Condition, Denoiser, LatentPostprocessor, NoiseSchedule, Selector, Solver

__all__ = ["Sampler", "State"]

Grid = Sequence[float] | Callable[["NoiseSchedule"], Sequence[float]]
"""Times of the reference schedule, the first the noisiest as a rule; or what gives them for it."""


@attrs.frozen(eq=False, init=False)
class Sampler:
    """A strategy: experts, who predicts when, and how a prediction becomes the next latents.

    Args:
        experts: what the selector names.
        selector: weights of the experts at each step, from a number drawn for the plan.
        solver: turns predictions into transitions.
        grid: times in [0, 1] of the reference schedule, at least two; or a value such as
            ``Leading(50)`` that gives them when called with the schedule.
        schedule: the reference; the first expert's if None.
        postprocessors: applied in order to the finished latents.

    Raises:
        InputError: no experts, experts of different latent spaces, a selector that names others, or a grid
            that is not one.
    """

    experts: Mapping[str, Expert]
    selector: Selector
    solver: Solver[Any]
    grid: Grid
    schedule: NoiseSchedule
    postprocessors: tuple[LatentPostprocessor, ...]
    _denoisers: Mapping[str, Denoiser] = attrs.field(init=False, repr=False)

    def __init__(
        self,
        experts: Mapping[str, Expert],
        selector: Selector,
        solver: Solver[Any],
        grid: Grid,
        schedule: NoiseSchedule | None = None,
        postprocessors: Iterable[LatentPostprocessor] = (),
    ) -> None:
        experts = dict(experts)
        if not experts:
            raise InputError("a sampler without experts: expected at least one, by name")
        for name, expert in experts.items():
            if not isinstance(expert, Expert):
                raise InputError(f"expert {name!r} is a {type(expert).__name__}: wrap it, Expert(denoiser)")
        check_names(getattr(selector, "experts", ()), experts, selector)
        same_space({name: expert.denoiser for name, expert in experts.items()})
        reference = next(iter(experts.values())).denoiser.schedule if schedule is None else schedule
        denoisers = {
            name: expert.denoiser
            if expert.denoiser.schedule == reference
            else Bridged(expert.denoiser, reference)
            for name, expert in experts.items()
        }
        levels_of(grid, reference)  # a wrong grid is told here, not at the first run
        self.__attrs_init__(experts, selector, solver, grid, reference, tuple(postprocessors))
        object.__setattr__(self, "_denoisers", denoisers)

    def plan(self, seed: int = 0) -> Plan:
        """Draw who predicts at each step. No network runs.

        Raises:
            InputError: the seed is negative, or the selector gives weights that are not weights.
        """
        return draw_plan(
            self.selector, levels_of(self.grid, self.schedule), tuple(self.experts), seed, self.schedule
        )

    def trace(
        self,
        shape: Sequence[int] | None = None,
        *,
        seeds: Sequence[int] | None = None,
        cond: Condition | None = None,
        plan: Plan | int | None = None,
        x: Tensor | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        resume: State | None = None,
    ) -> Iterator[State]:
        """Run step by step; nothing runs until the iterator is asked, and it may be dropped at any step.

        Args:
            shape: ``(c, f, h, w)`` of one clip; may be left out with ``x`` or ``resume``.
            seeds: one a clip; a clip depends on its own alone. May be left out with ``resume``.
            cond: of the batch, tensors leading with ``len(seeds)``; handed to the experts as it is.
            plan: a plan to replay, or the seed of one; 0 if None (with ``resume``, the state's).
            x: latents ``(b c f h w)`` to start from, as they stand at the plan's first level; if None,
                N(0, alpha^2 + sigma^2) keyed by the seeds: the paper's N(0, I) where variance is kept.
            dtype: of the latents, float32 (the default) or float64; experts may compute in less.
            device: of the latents; x's, or the CPU.
            resume: a state to go on from, with the steps after it: bitwise what would have come.

        Raises:
            InputError: arguments that do not fit each other, or a prediction of another shape.
            NonFiniteError: a prediction holds NaN or infinity; names expert, step and level.
        """
        if resume is not None:
            if x is not None:
                raise InputError("both x and resume: expected one of them to start from")
            if seeds is not None and check_seeds(seeds) != resume.seeds:
                raise InputError(
                    f"seeds {list(seeds)} to resume a run of {list(resume.seeds)}: leave them out"
                )
            seeds, x = resume.seeds, resume.x
            plan = self._same_plan(resume, plan)
        if seeds is None:
            raise InputError("no seeds: expected one non-negative integer for each clip")
        seeds = check_seeds(seeds)
        if not isinstance(plan, Plan):
            plan = self.plan(0 if plan is None else plan)
        check_names({name for step in plan.steps for name in step.weights}, self.experts, plan)
        x = start(shape, seeds, plan.steps[0].start, x, dtype, device)
        return self._run(x, seeds, {} if cond is None else cond, plan, resume)

    def __call__(
        self,
        shape: Sequence[int] | None = None,
        *,
        seeds: Sequence[int] | None = None,
        cond: Condition | None = None,
        plan: Plan | int | None = None,
        x: Tensor | None = None,
        dtype: torch.dtype | None = None,
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
        """Apply the postprocessors, in order, to ``(b c f h w)``."""
        with torch.no_grad():
            for postprocessor in self.postprocessors:
                x = postprocessor(x)
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
        self, x: Tensor, seeds: tuple[int, ...], cond: Condition, plan: Plan, resume: State | None
    ) -> Iterator[State]:
        calls = dict.fromkeys(self.experts, 0) | dict(resume.calls if resume else {})
        seconds = dict.fromkeys(self.experts, 0.0) | dict(resume.seconds if resume else {})
        memory = resume.memory if resume else self.solver.init()
        for step in plan.steps[resume.step.index + 1 if resume else 0 :]:
            last: list[Tensor] = []

            def denoise(x_t: Tensor, level: Level, step: Step = step, last: list[Tensor] = last) -> Tensor:
                x_0 = self._blend(x_t, level, step, cond, calls, seconds)
                last[:] = [x_0]
                return x_0

            def noise(key: str, step: Step = step, like: Tensor = x) -> Tensor:
                return self._noise(key, step, seeds, like)

            # Around the step alone: a generator that yields inside would leak the mode to its caller.
            with torch.no_grad():
                x, memory = self.solver.step(x, step, denoise, noise, memory)
            x_0 = last[0] if last else x
            yield State(plan, step, seeds, x, x_0, memory, dict(calls), dict(seconds))

    def _blend(
        self,
        x: Tensor,
        level: Level,
        step: Step,
        cond: Condition,
        calls: dict[str, int],
        seconds: dict[str, float],
    ) -> Tensor:
        """``sum_k w_k x_0^k`` over the experts of the step; each prediction is checked."""
        # Metal has no float64; the others keep the level's double precision.
        t = torch.tensor(level.t, dtype=torch.float32 if x.device.type == "mps" else torch.float64)
        t = t.to(x.device)
        total: Tensor | None = None
        for name, weight in step.weights.items():
            begun = time.perf_counter()
            x_0 = self._denoisers[name](x, t, cond)
            where = f"expert {name!r} at step {step.index + 1} of {step.count}"
            if x_0.shape != x.shape or x_0.dtype != x.dtype:
                raise InputError(f"{where} returned {_form(x_0)}: expected x_0 like its input, {_form(x)}")
            # NaN and infinity survive a sum, which costs a tenth; a sum may also overflow, hence the second look.
            if not math.isfinite(x_0.sum().item()) and not bool(x_0.isfinite().all()):
                raise NonFiniteError(
                    f"{where} returned NaN or infinity, at t {level.t:.6g} (alpha {level.alpha:.6g}, "
                    f"sigma {level.sigma:.6g}): check its weights, or give it a wider dtype"
                )
            seconds[name] += time.perf_counter() - begun
            calls[name] += 1
            if len(step.weights) > 1:
                x_0 = weight * x_0
            total = x_0 if total is None else total + x_0
        assert total is not None  # a step of a plan has an expert
        return total

    def _noise(self, key: str, step: Step, seeds: tuple[int, ...], like: Tensor) -> Tensor:
        sampler = self.experts[step.expert].noise or IndependentNoise()

        def draw(name: str, shape: Sequence[int]) -> Tensor:
            if shape[0] != len(seeds):
                raise InputError(
                    f"draw {name!r} of shape {tuple(shape)}: expected it to lead with {len(seeds)}"
                )
            return keyed_normal(seeds, (step.index, key, name), shape[1:], like.dtype, like.device)

        z = sampler(tuple(like.shape), draw)
        if z.shape != like.shape:
            raise InputError(f"noise of expert {step.expert!r} has {_form(z)}: expected {_form(like)}")
        return z


def _form(x: Tensor) -> str:
    return f"shape {tuple(x.shape)} in {str(x.dtype).removeprefix('torch.')}"
