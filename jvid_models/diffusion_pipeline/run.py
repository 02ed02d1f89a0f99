"""One run of a `JVIDPipeline`, step by step: first latents and seeds of the user's generators, callbacks and interruption.

x, seeds <- generators            the pipeline's own draw, or noise keyed by seeds
x <- step(x)                      callback(pipe, index, timestep, {"latents": x}) may replace x
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import for_expert
from jvid.core.evaluations import draws_noise
from jvid.core.levels import level_at
from jvid.core.plan import Plan
from jvid.core.sampler import Sampler
from jvid.ensemble import Composition
from jvid.errors import InputError
from jvid_models.adapters.pipelines import PipelineDenoiser, PipelinePrompts
from jvid_models.diffusion_pipeline.experts import begins

__all__ = ["Callback", "as_generators", "sampled"]

Callback = Callable[[Any, int, Any, dict[str, Any]], Mapping[str, Any] | None]
Generators = torch.Generator | list[torch.Generator]


def as_generators(given: Any, b: int) -> Generators:
    """A generator, or one a clip; without any, one that is seeded by torch's global generator.

    Raises:
        InputError: something else, or another number.
    """
    if given is None:
        return torch.Generator().manual_seed(_seed(None))
    if isinstance(given, torch.Generator):
        return given
    each = list(given) if isinstance(given, list | tuple) else []
    if len(each) != b or not all(isinstance(one, torch.Generator) for one in each):
        got = f"{len(each)} generators" if each else repr(given)
        raise InputError(
            f"generator: got {got} for {b} clips, expected one torch.Generator, or a list of {b}"
        )
    return each[0] if b == 1 else each


def sampled(
    pipe: Any,
    composition: Composition,
    prompts: Sequence[str],
    generators: Generators,
    latents: Tensor | None = None,
    frames: int | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """The finished latents ``(b c f h w)`` of one run.

    Args:
        pipe: of the callback's first argument, whose progress bar is shown and whose ``interrupt`` is looked at.
        composition: a strategy, and the ensemble for the call.
        prompts: one a clip.
        generators: one for all clips or one each; they are advanced.
        latents: the first ones, as the argument of the pipeline that draws them; else of the ensemble ``(b c f h w)``.
        frames: of a clip, where no pipeline has this option.
        callback: after each step.
    """
    ensemble = composition.ensemble
    assert ensemble is not None
    b, owner, x = len(prompts), begins(ensemble), latents
    shape = ensemble.latents(frames) if owner is None else ensemble.shape
    sampler, plan, cond = composition.sampler(shape[1]), composition.plan(), composition.condition(prompts)
    if owner is not None and composition.strategy.initial is None:
        name, denoiser = owner
        own = for_expert(cond, name)
        if "prompt" in denoiser.call.parameters and "prompt" not in own:
            own = PipelinePrompts()(prompts)  # jvid's adapter has the prompts' embeddings
        steps = composition.strategy.steps
        x = denoiser.begin((b, *shape), steps, own, generators, latents)
        x = x * _ratio(sampler, plan, denoiser, steps)
    drawn = x is None or any(draws_noise(composition.solver, step) for step in plan.steps)
    seeds = _seeds(generators, b) if drawn else range(b)
    states = sampler.trace(shape, seeds=seeds, cond=cond, plan=plan, x=x)
    with pipe.progress_bar(total=len(plan.steps)) as bar:
        while (state := next(states, None)) is not None:
            x = state.x
            if callback is not None:
                x = _called(pipe, callback, state, owner and owner[1])
                states = sampler.trace(cond=cond, resume=attrs.evolve(state, x=x))
            bar.update()
            if pipe.interrupt:
                break
    assert x is not None  # a plan has a step
    return sampler.finish(x)


def _called(pipe: Any, callback: Callback, state: Any, owner: PipelineDenoiser | None) -> Tensor:
    """The latents behind a callback, its own or those of the step."""
    timestep: Any = state.step.start.t
    if owner is not None:
        timestep = owner.setting.levels.presented(timestep).timestep
    latents = state.x.clone()  # it may be edited in place, the state may not
    found = (callback(pipe, state.step.index, timestep, {"latents": latents}) or {}).get("latents", latents)
    if not isinstance(found, Tensor) or found.shape != state.x.shape:
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"callback_on_step_end gave latents {got}: expected shape {tuple(state.x.shape)}")
    return found.to(state.x)


def _ratio(sampler: Sampler, plan: Plan, denoiser: PipelineDenoiser, steps: int) -> float:
    """From the deviation of the pipeline's first level to that of the plan's."""
    first, own = plan.steps[0].start, level_at(denoiser.schedule, denoiser.grid(steps)[0])
    if sampler.schedule == denoiser.schedule and own.t == first.t:
        return 1.0
    return math.hypot(first.alpha, first.sigma) / math.hypot(own.alpha, own.sigma)


def _seeds(generators: Generators, b: int) -> list[int]:
    each = generators if isinstance(generators, list) else [generators] * b
    return [_seed(one) for one in each]


def _seed(generator: torch.Generator | None) -> int:
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**62, (), generator=generator, device=device))
