"""Checks of postprocessors: latents ``(b c f h w)`` to latents, clip by clip, over time.

What is smoothed is time. A postprocessor that means to change still clips (one that sharpens) says so with
``expected_failures``.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.testing.checking import check
from jvid.testing.checks import postprocessor_reference, postprocessor_symmetry  # noqa: F401 - they register
from jvid.testing.checks.options import vary
from jvid.testing.drawn import clips, motions
from jvid.testing.rounding import FORMULA
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial

EXACT = 1e-9


@check("postprocessor")
def shape_and_dtype_kept(subject: Any, trial: Trial) -> None:
    """Shape, dtype and device of x, and finite values, for odd sizes and single frames."""

    @trial.given(shape=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        for dtype in trial.dtype:
            x = clips(trial, shape, seed, motion).to(dtype)
            out = subject(x)
            assert isinstance(out, Tensor), f"a {type(out).__name__}: expected latents"
            assert out.shape == x.shape, f"shape {tuple(out.shape)} for {tuple(x.shape)}"
            assert out.dtype == x.dtype, f"{out.dtype} for {x.dtype}"
            assert out.device == x.device, f"on {out.device} for {x.device}"
            assert out.isfinite().all(), "not finite"


@check("postprocessor")
def input_untouched(subject: Any, trial: Trial) -> None:
    """x is not changed in place."""

    @trial.given(shape=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion)
        kept = x.clone()
        subject(x)
        trial.untouched(x, kept, "x after the call")


@check("postprocessor")
def a_clip_is_alone(subject: Any, trial: Trial) -> None:
    """A row of a batch equals a batch of one, whatever the other rows hold."""

    @trial.given(shape=trial.shapes(batch=(2, 3)), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion)
        x[1:] *= 5.0
        whole = subject(x.clone())
        for b in range(shape[0]):
            trial.close(
                subject(x[b : b + 1].clone()), whole[b : b + 1], f"clip {b} alone and in a batch", EXACT
            )


@check("postprocessor")
def a_still_clip_stays(subject: Any, trial: Trial) -> None:
    """A clip whose frames are equal comes out as it went in; a flat one, too."""

    @trial.given(shape=trial.shapes(), seed=seeds(), flat=st.booleans())
    def _(shape: tuple[int, ...], seed: int, flat: bool) -> None:
        b, c, _, h, w = shape
        picture = trial.latents((b, c, 1, 1, 1) if flat else (b, c, 1, h, w), seed)
        x = picture.expand(shape).contiguous()
        trial.close(subject(x.clone()), x, "a flat clip" if flat else "a still clip", EXACT)


@check("postprocessor")
def one_frame_stays(subject: Any, trial: Trial) -> None:
    """A clip of one frame comes out as it went in."""

    @trial.given(shape=trial.shapes(frames=(1,)), seed=seeds())
    def _(shape: tuple[int, ...], seed: int) -> None:
        x = trial.latents(shape, seed)
        trial.close(subject(x.clone()), x, "a single frame", EXACT)


@check("postprocessor")
def flips_commute(subject: Any, trial: Trial) -> None:
    """Mirrored along height or width, or with the two exchanged, a clip comes out mirrored: space has no direction."""

    @trial.given(shape=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion)
        out = subject(x.clone())
        for axis, name in ((-1, "width"), (-2, "height")):
            mirrored = subject(x.flip(axis))
            trial.close(mirrored.flip(axis), out, f"the clip mirrored along its {name}", EXACT)
        turned = subject(x.transpose(-1, -2).contiguous()).transpose(-1, -2)
        trial.close(turned, out, "the clip with height and width exchanged", EXACT)


@check("postprocessor")
def the_same_each_time(subject: Any, trial: Trial) -> None:
    """It gives the same again, after other clips and by a copy; what it returns is not written on later."""

    @trial.given(shape=trial.shapes(), other=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], other: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion)
        first = subject(x.clone())
        kept = first.clone()
        subject(clips(trial, other, seed + 5, motion))
        subject(3.0 * x)
        trial.same(first, kept, "what was handed out, after other calls")
        trial.same(subject(x.clone()), kept, "evaluated again")
        trial.same(copy.deepcopy(subject)(x.clone()), kept, "of a copy")


@check("postprocessor")
def any_layout_in_memory(subject: Any, trial: Trial) -> None:
    """Latents whose axes lie in another order in memory, as an image model's are, come out equal."""

    @trial.given(shape=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion)
        folded = x.transpose(1, 2).contiguous().transpose(1, 2)
        trial.close(subject(folded), subject(x.clone()), "frames before channels in memory", EXACT)


@check("postprocessor")
def half_precision_agrees(subject: Any, trial: Trial) -> None:
    """Smoothing bfloat16 latents gives what the same latents give in double, but for what bfloat16 holds."""

    @trial.fewer(6).given(shape=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion).bfloat16()
        got, expected = subject(x.clone()).double(), subject(x.double()).double()
        apart = (got - expected).abs() > FORMULA * max(1.0, float(expected.abs().max()))
        # A threshold may fall between the two: of one element, not of a share.
        assert int(apart.sum()) <= 1 + 0.02 * apart.numel(), (
            f"{int(apart.sum())} of {apart.numel()} elements differ in bfloat16 and in double"
        )


@check("postprocessor")
def long_clips_too(subject: Any, trial: Trial) -> None:
    """Clips of more frames than it may have a window for: finite, and of the same shape."""
    for frames in (2, 3, 17, 64):
        x = keyed_normal([1], ("long",), (2, frames, 3, 2), trial.dtype[-1], trial.device)
        out = subject(x)
        assert out.shape == x.shape, f"shape {tuple(out.shape)} for {tuple(x.shape)}"
        assert out.isfinite().all(), f"not finite for {frames} frames"


vary("postprocessor")
