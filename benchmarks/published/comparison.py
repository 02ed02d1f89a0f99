"""A pipeline as jvid's denoiser beside diffusers' own run: the same first latents, the pipeline's grid, first-order steps.

The run is the pipeline's own, from its prompt to what its decoder gets. jvid's run begins with the latents that it prepared, and
its result goes through the pipeline's own end to the decoder. Errors are relative to the largest value there. Where a run begins
with noise z on a clip, jvid's begins with alpha clean + sigma z of its own clean latents and level, and the pipeline's draw of z.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import diffusers
import torch
from attrs import frozen
from torch import Tensor

from benchmarks.published.calm import CALM, LearnedVariance
from benchmarks.published.tiny import build
from jvid.core.levels import level_at
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid_models.adapters.pipelines import PipelineDenoiser, PipelinePrompts, from_pipeline
from jvid_models.adapters.pipelines.entry import leaving_at_the_decoder
from jvid_models.adapters.pipelines.loops import loop_of, preparing
from jvid_models.adapters.pipelines.probe import Departure, model_output
from jvid_models.adapters.pipelines.replaced import replaced

__all__ = ["ClassComparison", "Run", "compare", "prepared_run", "run_of", "with_first_order"]

STEPS = 4
RESERVED = ("prompt", "num_inference_steps", "sigmas")


@frozen
class Run:
    """One pipeline, ready to be run both ways."""

    denoiser: PipelineDenoiser
    prompt: str
    first: Tensor
    """``(b c f h w)``, of the stock run."""
    stock: Tensor
    """What the decoder gets in diffusers' own run."""
    grid: tuple[float, ...]
    turns: tuple[tuple[Tensor, Tensor], ...]
    """The model's output and the latents at each turn of the stock run, in the scheduler's form."""

    def sampled(self, grid: tuple[float, ...] | None = None, prompt: str | None = None) -> Tensor:
        """What the decoder gets of jvid's run."""
        sampler = Sampler({"it": Expert(self.denoiser)}, Always("it"), DDIM(), grid or self.grid)
        cond = PipelinePrompts()([self.prompt if prompt is None else prompt])
        latents = sampler(cond=cond, seeds=[0], plan=0, x=self.first)
        with leaving_at_the_decoder(self.denoiser.pipe):
            return decoder_input(lambda: self.denoiser.frames(latents, "pt"))

    def evaluation_error(self) -> float | None:
        """The largest difference of x_0 in a turn of the stock run, at its own latents, relative to the largest value.

        None of a run that waits in a thread.
        """
        if not self.turns:
            return None
        setting, cond = self.denoiser.setting, PipelinePrompts()([self.prompt])
        worst = 0.0
        for t, (output, sample) in zip(self.grid, self.turns, strict=False):
            x, box = torch.zeros(setting.layout.shape), setting.layout.box
            x[box] = setting.layout.extract(sample).float() / setting.levels.scale(t)
            scheduler = loop_of(self.denoiser.pipe).scheduler
            wanted = setting.levels.x_0(scheduler, x[box], setting.layout.extract(output).float(), t)
            got = self.denoiser(x, torch.tensor(t, dtype=torch.float64), cond)[box]
            worst = max(worst, float((got - wanted).abs().max() / wanted.abs().max()))
        return worst

    def error(self, got: Tensor) -> float:
        """The largest difference from the stock run, relative to its largest value."""
        return float((got - self.stock).abs().max() / self.stock.abs().max())


@frozen
class ClassComparison:
    """What one comparison found.

    Attributes:
        error: of jvid's run against diffusers'.
        evaluation: of the worst evaluation at the latents of diffusers' own run.
        shifted: the same with times 3 % off; a control.
        prompt: the same with another prompt; a control. None for a pipeline without prompts.
        streams: whether the pipeline's run waits in a thread.
        stated: whether the number of steps is an argument.
        seconds: of one evaluation without its networks, on the CPU.
    """

    error: float
    evaluation: float | None
    shifted: float
    prompt: float | None
    streams: bool
    stated: bool
    seconds: float


class _Plain(diffusers.DDIMScheduler):
    """DDIM in the place of a latent consistency model's sampler, which skips steps by itself where a picture is changed."""

    def set_timesteps(
        self,
        num_inference_steps: int,
        device: Any = None,
        original_inference_steps: Any = None,
        strength: float = 1.0,
    ) -> None:
        super().set_timesteps(num_inference_steps, device)
        self.timesteps = self.timesteps[num_inference_steps - int(num_inference_steps * strength) :]

    def step(self, model_output: Tensor, timestep: int, sample: Tensor, return_dict: bool = True) -> Any:
        return super().step(model_output, timestep, sample, return_dict=return_dict)


def with_first_order(pipe: Any) -> None:
    """Give a pipeline a scheduler whose step is that of DDIM, on the same levels, where its own has memory or noise."""
    name, config = type(pipe.scheduler).__name__, dict(pipe.scheduler.config)
    if name == "UniPCMultistepScheduler" or config.get("scheduler_type") == "unipc":
        pipe.scheduler = type(pipe.scheduler).from_config(
            config, solver_order=1, disable_corrector=list(range(99))
        )
    elif name.startswith("DPMSolver"):
        pipe.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(config, solver_order=1)
    elif name == "CogVideoXDPMScheduler":
        pipe.scheduler = diffusers.CogVideoXDDIMScheduler.from_config(config, clip_sample=False)
    elif config.get("variance_type") in ("learned", "learned_range"):
        pipe.scheduler = LearnedVariance.from_config(config)
    elif name in ("PNDMScheduler", "DDPMScheduler", "EulerAncestralDiscreteScheduler"):
        pipe.scheduler = diffusers.DDIMScheduler.from_config(config, clip_sample=False)
    elif name in CALM:
        pipe.scheduler = CALM[name].from_config(config)
    elif name == "LCMScheduler":
        pipe.scheduler = _Plain.from_config(config, clip_sample=False)
        pipe.scheduler.register_to_config(original_inference_steps=config["original_inference_steps"])
    config = dict(pipe.scheduler.config)
    if "DDIM" in type(pipe.scheduler).__name__ and config.get("timestep_spacing") == "linspace":
        # diffusers' DDIM steps by whole strides there, to levels that it does not visit.
        pipe.scheduler = type(pipe.scheduler).from_config(
            config, timestep_spacing="trailing", clip_sample=False
        )


def prepared_run(name: str, steps: int = STEPS, stated: bool = False) -> Run:
    """The tiny pipeline of a class or variant, its stock run, and its denoiser, whose options state its steps if ``stated``."""
    tiny = build(name)
    if hasattr(loop_of(tiny.pipe), "scheduler"):
        with_first_order(loop_of(tiny.pipe))
    return run_of(tiny.pipe, tiny.arguments, steps, stated)


def run_of(pipe: Any, arguments: Mapping[str, Any], steps: int = STEPS, stated: bool = False) -> Run:
    """The stock run and the denoiser of a pipeline whose scheduler steps as DDIM."""
    options = {key: value for key, value in arguments.items() if key not in RESERVED}
    if stated:
        options["num_inference_steps"] = steps
    denoiser = from_pipeline(pipe, untested=True, **options)
    grid = denoiser.grid(steps)
    prompt = arguments.get("prompt", "")
    given = {**_own(arguments), "num_inference_steps": steps}
    given = {key: value for key, value in given.items() if key in denoiser.call.parameters}
    prepared, stock, turns = _stock(denoiser, {**options, **given})
    setting, clean = denoiser.setting, denoiser.clean()
    first = torch.zeros(setting.layout.shape)
    if clean is None:
        first[setting.layout.box] = setting.layout.prepared.gather(prepared) / setting.levels.scale(grid[0])
    else:
        level = level_at(setting.levels.schedule, grid[0])
        z = setting.layout.prepared.gather(_noise(denoiser, {**options, **given}))
        first[setting.layout.box] = level.alpha * clean[setting.layout.box] + level.sigma * z
    return Run(denoiser, prompt, first, stock, grid, turns)


def compare(run: Run) -> ClassComparison:
    """Compare a prepared run, with its controls."""
    error = run.error(run.sampled())
    clock = run.denoiser.setting.levels.clock
    off = tuple(min(1.0, 0.97 * t) for t in run.grid)
    if clock.of_a_table:  # some pipelines take entries of their table alone
        off = tuple(round(t * clock.T) / clock.T for t in off)
    takes = "prompt" in run.denoiser.call.parameters
    return ClassComparison(
        error,
        run.evaluation_error(),
        run.error(run.sampled(grid=off)),
        run.error(run.sampled(prompt="a blue 'dog' swimming backwards")) if takes else None,
        run.denoiser.setting.streams,
        run.denoiser.call.steps is not None,
        _seconds(run),
    )


def _own(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt of a call, where it has one."""
    return {"prompt": arguments["prompt"]} if "prompt" in arguments else {}


def _drawing(denoiser: PipelineDenoiser, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call that begins its draws, where it takes a generator."""
    if "generator" not in denoiser.call.parameters:
        return arguments
    return {**arguments, "generator": torch.Generator().manual_seed(denoiser.seed)}


def _noise(denoiser: PipelineDenoiser, arguments: dict[str, Any]) -> Tensor:
    """The noise that the pipeline draws for the clip that it is given, as it prepares its latents: it adds it to nothing."""
    pipe, loop = denoiser.pipe, loop_of(denoiser.pipe)
    scheduler, prepares = loop.scheduler, preparing(denoiser.pipe)
    names = [name for name in ("add_noise", "scale_noise") if hasattr(scheduler, name)]

    def alone(own: Any) -> Any:
        signature = inspect.signature(own)
        return lambda *args, **kwargs: signature.bind(*args, **kwargs).arguments["noise"]

    def leave(prepared: Any) -> Any:
        raise Departure(prepared)

    own = getattr(loop, prepares or "")
    with (
        replaced(scheduler, **{name: alone(getattr(scheduler, name)) for name in names}),
        replaced(loop, **{prepares or "": lambda *args, **kwargs: leave(own(*args, **kwargs))}),
    ):
        torch.default_generator.manual_seed(denoiser.seed)
        return decoder_input(lambda: pipe(**_drawing(denoiser, arguments)))


def _seconds(run: Run) -> float:
    """The least of some evaluations, the networks replayed."""
    cond, times = (
        PipelinePrompts()([run.prompt]),
        [torch.tensor(t, dtype=torch.float64) for t in run.grid[:-1]],
    )
    found = []
    with run.denoiser.setting.networks.replayed():
        for t in times:
            started = time.process_time()
            run.denoiser(run.first, t, cond)
            found.append(time.process_time() - started)
    return min(found[1:])


def decoder_input(call: Any) -> Tensor:
    """What a call leaves with at the decoder, or gives back without one."""
    try:
        found = call()
    except Departure as departure:
        found = departure.value
    return found if isinstance(found, Tensor) else found[0]


def _stock(denoiser: PipelineDenoiser, arguments: dict[str, Any]) -> tuple[Tensor, Tensor, Any]:
    """The latents that the pipeline prepares in its own run, what its decoder gets, and its turns."""
    pipe, loop, found, turns = denoiser.pipe, loop_of(denoiser.pipe), [], []
    name, scheduler = preparing(denoiser.pipe), loop.scheduler
    own, own_step = getattr(loop, name or "", None), scheduler.step

    @functools.wraps(own_step)
    def step(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(own_step).bind(*args, **kwargs).arguments
        output = model_output(scheduler, given["model_output"], given["sample"])
        turns.append((output.clone(), given["sample"].clone()))
        return own_step(*args, **kwargs)

    def prepare_latents(*args: Any, **kwargs: Any) -> Any:
        prepared = own(*args, **kwargs)
        found.append((prepared if isinstance(prepared, Tensor) else prepared[0]).clone())
        return prepared

    streams = denoiser.setting.streams
    arguments = _drawing(denoiser, arguments)
    with (
        nullcontext() if own is None else replaced(loop, **{name: prepare_latents}),
        # A scheduler that is copied, for sound or frames, would carry the attribute along.
        nullcontext() if streams or denoiser.setting.manner.parts else replaced(scheduler, step=step),
        leaving_at_the_decoder(pipe),
    ):
        torch.default_generator.manual_seed(denoiser.seed)
        stock = decoder_input(lambda: pipe(**{**arguments, "output_type": "pt"}))
    return (turns[0][1] if own is None else found[-1]), stock, tuple(turns)
