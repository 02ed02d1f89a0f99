"""Wrong wrappers: what is not forwarded, folded in the wrong order, guided by the other convention, kept for too long."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.protocols import Condition, Denoiser
from jvid.schedules import FlowMatching, TabulatedSchedule
from tests.mutants import wrapper_calls, wrapper_use  # noqa: F401 - they register
from tests.mutants.wrapper_bases import Frames, Guide, Passing, Windows, wrong

WINDOWS: dict[str, Any] = {"window": 4, "frames": (1, 3, 4, 7, 9)}


@wrong("forwards_the_schedule")
class the_papers_schedule(Passing):
    """It has the schedule that its author trains on."""

    schedule: Any = TabulatedSchedule.scaled_linear()


@wrong("forwards_the_schedule")
class no_schedule(Passing):
    """The schedule is forgotten."""

    schedule: Any = property()


@wrong("forwards_the_space")
class no_space(Passing):
    """The latent space is forgotten, without an error."""

    space: Any = property()


@wrong("forwards_the_space")
class space_is_asked_for(Passing):
    """The inner denoiser's space, which it need not have, under the name of something else."""

    @property
    def space(self) -> Any:
        """The class of the inner one is used where it declares none."""
        return self.denoiser.space or type(self.denoiser)  # type: ignore[attr-defined]


@wrong("leaves_alone_what_agrees")
class guided_twice(Guide):
    """eps_cond + g (eps_cond - eps_null) with the halves added: the scale is off by the conditional."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        return null + self.scale * one


@wrong("leaves_alone_what_agrees", guidance=False)
class guides_x_t(Guide):
    """The noisy latents stand in for the unconditional prediction."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, _ = self.halves(x, t, cond)
        return x + self.scale * (one - x)


@wrong("leaves_alone_what_agrees", **WINDOWS)
class windows_are_added(Windows):
    """Frames that windows share are added, not averaged."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        total = torch.zeros_like(x)
        for start in self.starts(x.shape[2]):
            part = slice(start, start + self.size)
            total[:, :, part] += self.denoiser(x[:, :, part], t, self.cut(cond, part))
        return total


@wrong("leaves_alone_what_agrees", **WINDOWS)
class the_first_windows_frames(Windows):
    """Every window is given the per-frame conditions of the first."""

    def cut(self, cond: Condition, part: slice) -> Condition:
        return super().cut(cond, slice(0, part.stop - part.start))


@wrong("leaves_alone_what_agrees")
class clamped(Passing):
    """x_0 is clamped to the range of pixels."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond).clamp(-1.0, 1.0)


@wrong("leaves_alone_what_agrees")
class at_the_next_time(Passing):
    """The inner denoiser is evaluated at a time that is a little earlier."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, (t - 0.02).clamp_min(0.0), cond)


@wrong("leaves_alone_what_agrees", schedule=FlowMatching(), times=(0.0, 0.95))
class relabelled(Passing):
    """It says another schedule and converts nothing."""

    schedule: Any = FlowMatching()


@wrong("leaves_alone_what_agrees", schedule=FlowMatching(), times=(0.0, 0.95))
class bridged_by_time(Passing):
    """Bridged with x rescaled to the same t in place of the same angle."""

    schedule: Any = FlowMatching()

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        levels = [torch.stack(s(t.reshape(-1))) for s in (self.schedule, self.denoiser.schedule)]
        scale = levels[1].square().sum(0).sqrt() / levels[0].square().sum(0).sqrt()
        return super().__call__(x * scale.view(-1, 1, 1, 1, 1).to(x), t, cond)


SCALE = "scale_is_that_of_guidance"


@wrong(SCALE)
class the_other_convention(Guide):
    """The scale counts from the conditional: eps_cond + g (eps_cond - eps_null)."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        return one + self.scale * (one - null)


@wrong(SCALE)
class halves_exchanged(Guide):
    """The unconditional half is taken for the conditional."""

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        one, null = super().halves(x, t, cond)
        return null, one


@wrong(SCALE)
class null_is_zeros(Guide):
    """Zeros stand for the empty sentence's embedding."""

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        zeros = {"text": torch.zeros_like(cond["null"]["text"])}
        return super().halves(x, t, {**cond, "null": zeros})


@wrong(SCALE)
class never_below_one(Guide):
    """Scales below 1 are taken for 1."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        return null + max(self.scale, 1.0) * (one - null)


ALONE = "frames_are_alone"


@wrong(ALONE, framewise=True)
class whole_clips(Passing):
    """The image model is evaluated on whole clips."""


@wrong(ALONE, framewise=True)
class a_running_mean(Frames):
    """Frames are blended with the frame before."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x_0 = super().__call__(x, t, cond)
        return torch.cat([x_0[:, :, :1], 0.5 * (x_0[:, :, 1:] + x_0[:, :, :-1])], dim=2)


@wrong(ALONE, framewise=True)
class the_first_frames_condition(Frames):
    """Every frame gets the first one's per-frame condition."""

    def folded(self, cond: Condition, b: int, f: int) -> Condition:
        still = map_condition(cond, lambda name, v: v, lambda name, v: PerFrame(v[:, :1].expand_as(v)))
        return super().folded(still, b, f)


COST = "long_clips_cost_in_proportion"


@wrong(COST, **WINDOWS)
class all_frames_at_once(Passing):
    """No windows at all."""


@wrong(COST, **WINDOWS)
class every_pair_of_windows(Windows):
    """Windows are evaluated again for each window before them."""

    def starts(self, f: int) -> list[int]:
        starts = super().starts(f)
        return [start for n, _ in enumerate(starts) for start in starts[: n + 1]]


@wrong(COST, **WINDOWS)
class one_frame_more(Windows):
    """Windows hold one frame more than the denoiser was trained on."""

    size = 5


@wrong(COST, **WINDOWS)
class short_clips_fade_too(Windows):
    """A clip within the window is weighted as well, and comes out in other bits."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, cond) * 0.1 / 0.3 * 3.0


@wrong("wrapped_denoisers_share_nothing")
class kept_by_the_class(Passing):
    """Predictions are kept for equal calls, by the class: for all denoisers that it wraps."""

    kept: ClassVar[dict[Any, Tensor]] = {}

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        key = tuple(x.flatten().tolist()), tuple(t.flatten().tolist())
        return self.kept.setdefault(key, super().__call__(x, t, cond))


@wrong("errors_pass")
class goes_on_without(Passing):
    """Where the denoiser fails, x goes on as it is."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        try:
            return super().__call__(x, t, cond)
        except Exception:
            return x


@wrong("errors_pass")
class another_error(Passing):
    """The error is replaced, and with it what went wrong."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        try:
            return super().__call__(x, t, cond)
        except Exception as error:
            raise ArithmeticError("the denoiser failed") from error


@wrong("globals_untouched")
class draws_which_half(Passing):
    """It tosses torch's coin."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__(denoiser)
        self.first = bool(torch.rand(()) > 0.5)
