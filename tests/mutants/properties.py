"""Wrong components that only symmetries, orders and limits show: nothing about them is broken in form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.metrics import ClipSample, Resampling
from jvid.core.protocols import Condition, Expert, NoiseSchedule, Step
from jvid.core.sampler import Sampler
from jvid.core.state import State
from jvid.grids import Leading
from jvid.schedules import VarianceExploding
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid.testing.oracles import GaussianOracle
from tests.mutants import mutant
from tests.mutants.denoiser_bases import CONTEXT, Grey
from tests.mutants.features import Colours
from tests.mutants.grid import Evenly
from tests.mutants.metric import Distance
from tests.mutants.postprocessor import Smoothing
from tests.mutants.sampler import example
from tests.mutants.schedule import Turning
from tests.mutants.selector import Coin
from tests.mutants.solver_bases import TwoSteps
from tests.mutants.wrapper_bases import Passing, Windows
from tests.mutants.wrapper_bases import wrong as wrong_wrapper


@mutant("selector", "the_start_decides")
class by_the_middle_of_a_step(Coin):
    """The choice is of the middle of a step, which its latents have not reached."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        middle = 1.0 - 0.5 * (step.start.t + step.end.t)
        return {"video" if u < self.probability(middle) else "image": 1.0}


@mutant("selector", "levels_of_any_scale")
class by_sigma_alone(Coin):
    """The boundary is one of sigma, whatever alpha is."""

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video" if step.start.sigma > 0.7 else "image": 1.0}


@mutant("selector", "every_expert_is_chosen")
class boundary_in_timesteps(Coin):
    """The boundary is a timestep, and compared with a time of [0, 1]."""

    shares = None  # type: ignore[assignment]

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {"video" if step.start.t > 417.0 else "image": 1.0}


@attrs.frozen
class _Strided:
    """Steps of a table of 1000 entries."""

    steps: int = 20

    def __call__(self, schedule: NoiseSchedule) -> Sequence[float]:
        return [*(t / 1000 for t in range(1000, 0, -(1000 // self.steps))), 0.0]


@mutant("grid", "any_number_of_steps")
def strides_of_a_remainder() -> Any:
    """A stride of 1000 // steps has more steps where that leaves a remainder."""
    return _Strided()


@mutant("grid", "levels_of_any_scale")
class even_in_sigma(Evenly):
    """Even in sigma, which is none of a schedule's levels on another scale."""

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        t = torch.linspace(0.0, 1.0, 2001, dtype=torch.float64)
        _, sigma = schedule(t)
        top = float(sigma[-1])
        wanted = [top * (1.0 - i / self.steps) for i in range(1, self.steps)]
        inner = [float(t[int((sigma - each).abs().argmin())]) for each in wanted]
        return [1.0, *inner, 0.0]


@mutant("grid", "levels_are_levels", rising=True)
class restarts_of_no_length(Evenly):
    """A restart goes back by no step."""

    back = 0

    def __call__(self, schedule: NoiseSchedule) -> Sequence[Any]:
        times = list(super().__call__(schedule))
        return [*times[:4], *times[4 - self.back : 4], *times[4:]]


@mutant("schedule", "levels_in_double")
class cast_on_the_way_in(Turning):
    """Times are cast to float32, and levels to the dtype of the times."""

    def angle(self, t: Tensor) -> Tensor:
        return math.pi / 2 * t.float().double()


@mutant("denoiser", "moves_evenly_in_time", **CONTEXT)
class rounded_timestep(Grey):
    """The network's table of time embeddings is looked up at the nearest timestep."""

    def time(self, t: Tensor) -> Tensor:
        return (1000.0 * t).round() / 1000.0


@mutant("denoiser", "long_clips_as_short_ones", **CONTEXT)
class fades_after_a_second(Grey):
    """Positions run out after 24 frames, and the last one's weight is another."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        fade = torch.ones(x.shape[2], dtype=x.dtype)
        fade[24:] = 0.5
        return super().mean(x, cond) * fade.view(1, 1, -1, 1, 1)


@mutant("denoiser", "conditions_are_read_whole", **CONTEXT)
class last_token(Grey):
    """The last token of the text alone is read."""

    def mean(self, x: Tensor, cond: Condition) -> Tensor:
        super().mean(x, cond)
        return cond["text"][:, -1:].mean(dim=(1, 2)).view(-1, 1, 1, 1, 1).to(x.dtype)


@mutant("denoiser", "predictions_are_calibrated", **CONTEXT)
class squashed(Grey):
    """x_0 goes through a tanh, as of pixels."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond).tanh()


@wrong_wrapper("evaluates_at_the_level_of_its_latents", identity=False)
class one_level_below(Passing):
    """The time that it hands in is a little earlier than the latents' own."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return self.denoiser(x, 0.8 * t, cond)


@wrong_wrapper("evaluates_at_the_level_of_its_latents", identity=False)
class blurred_first(Passing):
    """Neighbouring pixels of the latents are averaged before the denoiser sees them."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return self.denoiser(math.sqrt(0.5) * (x + x.roll(1, -1)), t, cond)


@wrong_wrapper("what_is_predicted_is_used", window=4, frames=(1, 3, 4, 7, 9))
class first_window_wins(Windows):
    """Where windows overlap, a frame stays that of the first."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        out = torch.zeros_like(x)
        for start in reversed(self.starts(x.shape[2])):
            part = slice(start, start + self.size)
            out[:, :, part] = self.denoiser(x[:, :, part], t, self.cut(cond, part))
        return out


@mutant("solver", "a_step_is_as_good_as_its_order")
class steps_of_one_length(TwoSteps):
    """The slope's weight is that of even steps, 1 / 2, whatever their lengths."""

    def weight(self, h: float, h_past: float) -> float:
        return 0.5


class _Late(DDIM):
    """DDIM that predicts where a step ends."""

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        return super().step(
            x, step, lambda y, level: denoise(y, step.end if step.end.sigma else level), noise, memory
        )


@mutant("sampler", "experts_get_the_level_of_the_step")
def predicts_at_the_end() -> Any:
    """Experts are evaluated at the level that a step ends at."""
    return attrs.evolve(example(), solver=_Late())


class _Unit(Sampler):
    def trace(
        self, *arguments: Any, x: Any = None, seeds: Any = None, resume: Any = None, **options: Any
    ) -> Iterator[State]:
        if x is None and resume is None:
            first = self.plan(options.get("plan", 0)).steps[0].start
            shape = arguments[0] if arguments else options.pop("shape")
            noise = [
                torch.randn(*shape, generator=torch.Generator().manual_seed(seed % 2**40)) for seed in seeds
            ]
            x, arguments = torch.stack(noise) * first.alpha, ()
        return super().trace(*arguments, x=x, seeds=seeds, resume=resume, **options)


@mutant("sampler", "begins_with_noise_of_its_level", frames=(2, 3))
def noise_of_deviation_one() -> Any:
    """It begins with noise of deviation 1 on a schedule that explodes to 80."""
    return _Unit(
        {"a": Expert(GaussianOracle(VarianceExploding(), 0.3, 0.5))}, Always("a"), DDIM(), Leading(4)
    )


class _Pixels(Sampler):
    def finish(self, x: Tensor) -> Tensor:
        return super().finish(x).clamp(-4.0, 4.0)


@mutant("sampler", "a_call_is_its_trace")
def clipped_far_out() -> Any:
    """Finished latents are clipped, where no latents of data are."""
    return example(_Pixels)


@mutant("postprocessor", "time_has_no_direction")
class running_mean(Smoothing):
    """An exponential mean of the frames so far: pictures lag behind."""

    def __call__(self, x: Tensor) -> Tensor:
        frames = [x[:, :, 0]]
        for frame in x.unbind(2)[1:]:
            frames.append(frames[-1] + 0.5 * (frame - frames[-1]))
        return torch.stack(frames, 2)


@mutant("postprocessor", "colours_mean_nothing")
class threshold_in_latents(Smoothing):
    """A motion is small below .3 of latents, whatever their scale."""

    def __call__(self, x: Tensor) -> Tensor:
        smooth = super().__call__(x)
        return torch.where((x - smooth).abs() < 0.3, smooth, x)


@mutant("postprocessor", "colours_mean_nothing")
class relative_to_colour(Smoothing):
    """Motion is measured against the latent itself, whose zero means nothing."""

    def __call__(self, x: Tensor) -> Tensor:
        smooth = super().__call__(x)
        return torch.where((x - smooth).abs() < 0.3 * x.abs(), smooth, x)


@mutant("postprocessor", "beside_itself")
class summed_over_places(Smoothing):
    """Motion is summed over the picture, and compared with a number made for one size."""

    def __call__(self, x: Tensor) -> Tensor:
        smooth = super().__call__(x)
        moved = (x - smooth).square().sum((1, 3, 4), keepdim=True)
        return torch.where(
            moved < 12.0 * x.var((3, 4), keepdim=True, correction=0).mean((1, 2), keepdim=True), smooth, x
        )


@mutant("features", "every_frame_counts")
class without_the_end(Colours):
    """A range that ends one too early: the last frame is never read."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames[:, : max(1, frames.shape[1] - 1)])


@mutant("features", "every_frame_counts")
class of_all_frames(Colours):
    """Rows of frames have the mean of the clip in them."""

    kind = "frame"

    def __call__(self, frames: np.ndarray) -> Any:
        rows = frames.astype(np.float32).mean((2, 3))
        return rows + rows.mean(1, keepdims=True)


@mutant("features", "every_edge_counts", sides=(16, 20))
class crops_the_middle(Colours):
    """The middle seven eighths of a picture, as augmentation takes them."""

    def __call__(self, frames: np.ndarray) -> Any:
        cut = max(1, frames.shape[2] // 16)
        return super().__call__(frames[:, :, cut:-cut, cut:-cut])


@mutant("features", "every_edge_counts", sides=(16, 20))
class every_fourth_pixel(Colours):
    """Pictures are made small by leaving pixels out."""

    def __call__(self, frames: np.ndarray) -> Any:
        return super().__call__(frames[:, :, 1::4, 1::4])


@mutant("metric", "the_clips_count")
class of_the_reference(Distance):
    """How bright the reference is, where the clips are meant."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        return float(reference.features[0]["features"].astype(np.float64).mean())


@mutant("metric", "closer_is_better")
class better_is_higher(Distance):
    """A distance, of which more is declared better."""

    better = "higher"


@mutant("metric", "equal_clips_have_a_value")
class logarithm_of_nothing(Distance):
    """The logarithm of a distance, which is 0 for the reference itself."""

    def compute(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> Any:
        with np.errstate(all="ignore"):
            return float(np.log10(super().compute(clips, reference, resampling)))
