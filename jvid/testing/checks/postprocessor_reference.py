"""The check of a postprocessor by its reference ``(x) -> x``."""

from __future__ import annotations

from typing import Any

from jvid.testing.checking import check
from jvid.testing.drawn import clips, motions
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial


@check("postprocessor")
def as_referenced(subject: Any, trial: Trial) -> None:
    """Latents come out as the reference's, long clips too; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)
    shapes = trial.shapes() | trial.shapes(batch=trial.batch[:1], frames=trial.longer(17))

    @trial.given(shape=shapes, seed=seeds(), motion=motions(), options=trial.versions())
    def _(shape: tuple[int, ...], seed: int, motion: float, options: dict[str, Any]) -> None:
        postprocessor, equation = trial.version(subject, options), trial.equation(options)
        x = clips(trial, shape, seed, motion)
        expected = stated(equation, x.cpu().double())
        compared.agree(postprocessor(x.clone()), expected, f"a clip of shape {tuple(shape)}")

    compared.finish()
