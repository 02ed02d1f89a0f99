"""The check of a denoiser by its reference ``(x, t, cond) -> x_0``."""

from __future__ import annotations

from typing import Any

from jvid.testing.checking import check
from jvid.testing.denoising import condition_of, noisy, predicted, time
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial


@check("denoiser")
def as_referenced(subject: Any, trial: Trial) -> None:
    """x_0 is the reference's, for any latents, long clips too, time and condition; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)

    shapes = trial.shapes() | trial.shapes(batch=trial.batch[:1], frames=trial.longer(17))

    def agrees(shape: tuple[int, ...], t: float, seed: int, options: dict[str, Any]) -> None:
        t = round(t, 6)  # an equation may square it
        denoiser, equation = trial.version(subject, options), trial.equation(options)
        x, cond = noisy(denoiser, trial, shape, t, seed), condition_of(trial, shape[0], shape[2])
        expected = stated(equation, x.double(), time(t).to(x.device), cond)
        got = predicted(denoiser, x, time(t), cond)
        compared.agree(got, expected, f"x_0 at t {t:g}", trial.tolerance)

    trial.given(shape=shapes, t=trial.moments(), seed=seeds(), options=trial.versions())(agrees)
    fixed = {"shape": trial.fitting([(1, 1, 2, 2, 2)])[0], "seed": 3, "options": {}}
    trial.each([{**fixed, "t": t} for t in trial.even_moments()], agrees)
    compared.finish()
