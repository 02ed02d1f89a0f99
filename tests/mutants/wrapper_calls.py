"""Wrappers that ask wrongly, or break what every denoiser promises."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, map_condition
from jvid.core.protocols import Condition, Denoiser
from tests.mutants.wrapper_bases import Frames, Guide, Passing, Windows, wrong


@wrong("shape_and_dtype_kept")
class halves_stay_together(Guide):
    """Both halves come out."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return torch.cat(self.halves(x, t, cond))


@wrong("shape_and_dtype_kept")
class a_tensor_for_the_scale(Guide):
    """The scale is a tensor with axes in float64, and the result with it."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        return null + torch.tensor([self.scale], dtype=torch.float64) * (one - null)


@wrong("shape_and_dtype_kept")
class rounds_the_time(Passing):
    """t is cast to float32 on the way."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t.float(), cond)


@wrong("shape_and_dtype_kept")
class timesteps(Passing):
    """t is handed on as a timestep."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, 999.0 * t, cond)


@wrong("shape_and_dtype_kept")
class only_the_text(Passing):
    """Of the condition, the text alone is handed on."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, {"text": cond["text"]})


@wrong("shape_and_dtype_kept")
class one_row_of_text(Guide):
    """x is doubled for both halves, the condition is not."""

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        x_0 = self.denoiser(torch.cat([x, x]), torch.cat([t, t]) if t.ndim else t, cond)
        return x_0[: len(x)], x_0[len(x) :]


@wrong("shape_and_dtype_kept", frames=(3,))
class loses_the_tag(Passing):
    """Per-frame values are handed on as plain tensors."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x, t, map_condition(cond, lambda name, v: v, lambda name, v: v))


@wrong("shape_and_dtype_kept", frames=(7,))
class conditions_of_the_whole_clip(Windows):
    """Windows of latents, with per-frame conditions of the whole clip."""

    def cut(self, cond: Condition, part: slice) -> Condition:
        return cond


@wrong("inputs_untouched")
class takes_the_null_out(Guide):
    """The null condition is popped: the next step has none."""

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        halves = super().halves(x, t, cond)
        if isinstance(cond, dict):
            cond.pop("null")
        return halves


@wrong("inputs_untouched")
class scales_in_place(Passing):
    """x is scaled for the inner denoiser in place."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x.mul_(1.0 + 1e-9)
        return super().__call__(x, t, cond)


@wrong("predictions_untouched")
class guides_in_place(Guide):
    """The difference of the halves is taken in place."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        one -= null
        return null + self.scale * one


@wrong("predictions_untouched")
class never_asks(Passing):
    """x goes through as it is."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return x.clone()


@wrong("a_clip_is_alone")
class frames_before_clips(Frames):
    """Frames fold clip by clip and unfold as if time led."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        b, c, f, h, w = x.shape
        x_0 = super().__call__(x, t, cond).transpose(1, 2).reshape(f, b, c, h, w)
        return x_0.permute(1, 2, 0, 3, 4)


@wrong("a_clip_is_alone")
class times_in_turn(Frames):
    """Each clip's time is repeated in turn: the frames of one clip get the times of all."""

    def times(self, t: Tensor, f: int) -> Tensor:
        return t.repeat(f) if t.ndim else t


@wrong("a_clip_is_alone")
class texts_in_turn(Frames):
    """Each clip's text is repeated in turn."""

    def folded(self, cond: Condition, b: int, f: int) -> Condition:
        return {**super().folded(cond, b, f), "text": cond["text"].repeat(f, 1, 1)}


@wrong("a_clip_is_alone")
class rescaled_over_the_batch(Guide):
    """The guided prediction gets the deviation that the conditional has over the batch."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        one, null = self.halves(x, t, cond)
        guided = null + self.scale * (one - null)
        return guided * (one.std(correction=0) / guided.std(correction=0).clamp_min(1e-9))


@wrong("a_clip_is_alone")
class halves_by_turns(Guide):
    """Conditional and unconditional rows alternate, and are separated as if they did not."""

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        one, null = super().halves(x, t, cond)
        both = torch.stack([one, null], dim=1).flatten(0, 1)
        return both[: len(x)], both[len(x) :]


@wrong("one_time_for_all_rows")
class a_time_for_each_frame(Frames):
    """Several times are taken for those of frames, and a clip is denoised at the mean."""

    def times(self, t: Tensor, f: int) -> Tensor:
        return t if t.ndim == 0 else (0.9 * t).repeat_interleave(f)


@wrong("the_same_each_time")
class every_other_call(Passing):
    """Every other call gives the prediction before it, to save networks."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__(denoiser)
        self.calls, self.last = 0, torch.empty(0)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        self.calls += 1
        if self.calls % 2 == 0 and self.last.shape == x.shape:
            return self.last.to(x)
        self.last = super().__call__(x, t, cond)
        return self.last


@wrong("conditions_are_read_each_time")
class batched_once(Guide):
    """The batch of both conditions is made once for each size of batch."""

    def __init__(self, denoiser: Denoiser, scale: float = 2.0) -> None:
        super().__init__(denoiser, scale)
        self.kept: dict[Any, Condition] = {}

    def halves(self, x: Tensor, t: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        kept = self.kept.setdefault(
            (x.shape[0], x.shape[2]), map_condition(cond, _copy, lambda name, v: PerFrame(v))
        )
        return super().halves(x, t, kept)


def _copy(name: str, value: Tensor) -> Tensor:
    return value.clone()


@wrong("any_layout_in_memory")
class as_it_lies(Frames):
    """Frames are found by their place in memory."""

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return super().__call__(x.as_strided((x.numel(),), (1,)).reshape(x.shape), t, cond)


@wrong("bridged_there_and_back")
class a_schedule_by_turns(Passing):
    """Its schedule is the inner one's for who asks first, and another for who asks later."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__(denoiser)
        self.accesses = 0

    @property
    def schedule(self) -> Any:
        """One of two."""
        from jvid.schedules import FlowMatching

        self.accesses += 1
        return self.denoiser.schedule if self.accesses == 1 else FlowMatching()
