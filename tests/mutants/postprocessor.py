"""Wrong postprocessors: the wrong axis smoothed, clips that see each other, edits in place."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.mutants import mutant


class Smoothing:
    """Right: each frame is averaged with those beside it; the end frames count twice."""

    def __call__(self, x: Tensor) -> Tensor:
        """x ``(b c f h w)`` smoothed over f."""
        return smooth(x, 2)


def smooth(x: Tensor, axis: int) -> Tensor:
    """The mean of three neighbours along an axis."""
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)], dim=axis)
    after = torch.cat([x.narrow(axis, 1, x.shape[axis] - 1), x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
    return (before + x + after) / 3.0


@mutant("postprocessor", "shape_and_dtype_kept")
class drops_the_ends(Smoothing):
    """Without padding there are two frames less."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x)[:, :, 1:-1]


@mutant("postprocessor", "shape_and_dtype_kept")
class leaves_float32(Smoothing):
    """Whatever comes in, float32 comes out."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x.float())


@mutant("postprocessor", "shape_and_dtype_kept")
class divides_by_motion(Smoothing):
    """Motion is divided by its deviation, which is 0 where nothing moves."""

    def __call__(self, x: Tensor) -> Tensor:
        out = super().__call__(x)
        still = (x - out).abs().mean(dim=2, keepdim=True)
        return out + 0.0 * (x - out) / still


@mutant("postprocessor", "input_untouched")
class in_place(Smoothing):
    """The result is written into x."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.copy_(super().__call__(x))


@mutant("postprocessor", "input_untouched")
class centres_in_place(Smoothing):
    """The mean is taken off in place, and put back on what is handed out alone."""

    def __call__(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=2, keepdim=True)
        x -= mean
        return super().__call__(x) + mean


@mutant("postprocessor", "a_clip_is_alone")
class over_the_batch(Smoothing):
    """Smoothed over the first axis, as in code for (f c h w)."""

    def __call__(self, x: Tensor) -> Tensor:
        return smooth(x, 0)


@mutant("postprocessor", "a_clip_is_alone")
class threshold_of_the_batch(Smoothing):
    """What moves little is measured against the whole batch."""

    def __call__(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=2, keepdim=True)
        return torch.where((x - mean).abs() < x.std(correction=0), mean, x)


@mutant("postprocessor", "a_clip_is_alone")
class folded_wrongly(Smoothing):
    """Frames are folded into the batch and unfolded the other way round."""

    def __call__(self, x: Tensor) -> Tensor:
        b, c, f, h, w = super().__call__(x).shape
        frames = super().__call__(x).transpose(1, 2).reshape(b * f, c, h, w)
        return frames.reshape(f, b, c, h, w).permute(1, 2, 0, 3, 4)


@mutant("postprocessor", "a_still_clip_stays")
class over_the_width(Smoothing):
    """Smoothed over the last axis."""

    def __call__(self, x: Tensor) -> Tensor:
        return smooth(x, 4)


@mutant("postprocessor", "a_still_clip_stays")
class over_the_channels(Smoothing):
    """Smoothed over the axis of a clip without a batch: channels."""

    def __call__(self, x: Tensor) -> Tensor:
        return smooth(x, 1)


@mutant("postprocessor", "a_still_clip_stays")
class padded_with_zeros(Smoothing):
    """Beyond the first and last frame there is black."""

    def __call__(self, x: Tensor) -> Tensor:
        zero = torch.zeros_like(x[:, :, :1])
        return (torch.cat([zero, x[:, :, :-1]], 2) + x + torch.cat([x[:, :, 1:], zero], 2)) / 3.0


@mutant("postprocessor", "a_still_clip_stays")
class flat_is_not_a_number(Smoothing):
    """A deviation over space of 0, of a flat clip, is divided by."""

    def __call__(self, x: Tensor) -> Tensor:
        deviation = x.mean(dim=2, keepdim=True).std(dim=(-1, -2), keepdim=True, correction=0)
        return super().__call__(x) + 0.0 / deviation


@mutant("postprocessor", "one_frame_stays")
class against_nothing(Smoothing):
    """A frame is blended with the one before, and the first with nothing."""

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * x + 0.5 * x.cumsum(dim=2) / (1.0 + torch.arange(1, x.shape[2] + 1).view(-1, 1, 1))


@mutant("postprocessor", "flips_commute")
class a_shifted_window(Smoothing):
    """The filter moves the picture to a side where it moves."""

    def __call__(self, x: Tensor) -> Tensor:
        motion = super().__call__(x) - x
        return x + motion.roll(1, dims=-1)


@mutant("postprocessor", "flips_commute")
class rows_by_deviation_of_width(Smoothing):
    """The deviation is taken over the width alone: height and width are not alike."""

    def __call__(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=2, keepdim=True)
        spread = mean.std(dim=-1, keepdim=True, correction=0)
        return torch.where((x - mean).abs() < spread, mean, x)


@mutant("postprocessor", "the_same_each_time")
class remembers_the_last(Smoothing):
    """Goes on from the last clip's strength."""

    def __init__(self) -> None:
        self.strength = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        self.strength *= 0.9
        return x + self.strength * (super().__call__(x) - x)


@mutant("postprocessor", "the_same_each_time")
class a_buffer(Smoothing):
    """One buffer for each shape is written on and handed out at each call."""

    def __init__(self) -> None:
        self.buffers: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        out = super().__call__(x)
        return self.buffers.setdefault(x.shape, torch.empty_like(out)).copy_(out)


@mutant("postprocessor", "any_layout_in_memory")
class as_it_lies(Smoothing):
    """Frames are found by their place in memory."""

    def __call__(self, x: Tensor) -> Tensor:
        flat = x.as_strided((x.numel(),), (1,))
        return super().__call__(flat.reshape(x.shape))


@mutant("postprocessor", "long_clips_too")
class of_sixteen_frames(Smoothing):
    """Longer clips are cut to the length that was trained on."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x)[:, :, :16]


@mutant("postprocessor", "globals_untouched")
class dithers(Smoothing):
    """A little noise of torch's generator is drawn against banding."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) + 0.0 * torch.randn_like(x)
