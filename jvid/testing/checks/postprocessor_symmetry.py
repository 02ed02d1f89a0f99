"""Checks of what a smoothing over time may depend on: neither the arrow of time, nor colours, nor the size of the picture.

Three switches are for postprocessors that are meant otherwise: ``causal=True`` for one that sees the frames before alone,
``affine=False`` for one that compares latents with numbers of its own, and ``local=False`` for one that filters space, too.
"""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from jvid.testing.checking import check, declare
from jvid.testing.drawn import clips, motions
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial

declare("postprocessor", causal=False, affine=True, local=True)

EXACT = 1e-9
MOST = 12


@check("postprocessor")
def time_has_no_direction(subject: Any, trial: Trial) -> None:
    """A clip played backwards comes out as the clip does, backwards (``causal=True`` for one of the past alone)."""
    if trial.option("causal"):
        trial.skip("it sees the frames before alone, on purpose")

    @trial.fewer(MOST).given(shape=trial.shapes(), seed=seeds(), motion=motions())
    def _(shape: tuple[int, ...], seed: int, motion: float) -> None:
        x = clips(trial, shape, seed, motion)
        trial.close(subject(x.flip(2)).flip(2), subject(x.clone()), "the clip played backwards", EXACT)


@check("postprocessor")
def colours_mean_nothing(subject: Any, trial: Trial) -> None:
    """Shifted or exchanged channels, and scaled or negated latents, come out so (``affine=False`` for bounds of its own)."""
    if not trial.option("affine"):
        trial.skip("it compares latents with numbers of its own, on purpose")
    scales = st.sampled_from([0.25, -1.0, 8.0])

    @trial.fewer(MOST).given(shape=trial.shapes(), seed=seeds(), motion=motions(), scale=scales)
    def _(shape: tuple[int, ...], seed: int, motion: float, scale: float) -> None:
        x = clips(trial, shape, seed, motion)
        out = subject(x.clone())
        trial.close(subject(scale * x) / scale, out, f"the clip times {scale:g}", EXACT)
        # Shifts of a size that the sum does not round much.
        shift = torch.linspace(4.0, -2.0, shape[1], dtype=x.dtype, device=x.device).view(1, -1, 1, 1, 1)
        trial.close(subject(x + shift) - shift, out, "the clip with each channel shifted", EXACT)
        trial.close(subject(x.flip(1)).flip(1), out, "the clip with its channels in reverse", EXACT)


@check("postprocessor")
def beside_itself(subject: Any, trial: Trial) -> None:
    """Two copies of a clip side by side come out as one does, twice (``local=False`` for one that filters space, too)."""
    if not trial.option("local"):
        trial.skip("it filters space too, on purpose")
    sizes = {
        (height, width)
        for height in (trial.heights or trial.sides)
        for width in (trial.widths or trial.sides)
        if 2 * width in (trial.widths or trial.sides) or not {"widths", "sides"}.intersection(trial.declared)
    }
    if not sizes:
        trial.skip("it takes no clip of twice the width of another")

    @trial.fewer(MOST).given(
        shape=trial.shapes(), size=st.sampled_from(sorted(sizes)), seed=seeds(), motion=motions()
    )
    def _(shape: tuple[int, ...], size: tuple[int, int], seed: int, motion: float) -> None:
        x = clips(trial, (*shape[:3], *size), seed, motion)
        out = subject(x.clone())
        trial.close(subject(torch.cat([x, x], 4)), torch.cat([out, out], 4), "the clip beside itself", EXACT)
