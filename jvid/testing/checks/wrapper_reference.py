"""The check of a wrapper by its reference ``(denoiser, x, t, cond) -> x_0``."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from jvid.testing.checking import check
from jvid.testing.denoising import conditioned, noisy, predicted, time
from jvid.testing.inner import Inner
from jvid.testing.referenced import ReferenceComparison, stated
from jvid.testing.strategies import seeds
from jvid.testing.trial import Trial


@check("wrapper")
def as_referenced(subject: Any, trial: Trial) -> None:
    """x_0 is the reference's around a denoiser that sees its condition, and the whole clip or not; also for other options."""
    trial.equation()
    compared = ReferenceComparison(trial)
    window = trial.option("window") or 4
    longer = trial.shapes() | trial.shapes(batch=trial.batch[:1], frames=trial.longer(window))

    def agrees(
        shape: tuple[int, ...], t: float, seed: int, options: dict[str, Any], same: bool, mixing: float
    ) -> None:
        t = round(t, 6)  # an equation may square it
        made, equation = trial.version(subject, options, Inner()), trial.equation(options)
        wrapped, cond = made(Inner(mixing=mixing)), conditioned(trial, shape[0], shape[2], same)
        x = noisy(wrapped, trial, shape, t, seed)
        expected = stated(equation, Inner(mixing=mixing), x, time(t).to(x.device), cond)
        compared.agree(predicted(wrapped, x, time(t), cond), expected, f"x_0 at t {t:g}")

    trial.given(
        shape=longer,
        t=trial.moments(),
        seed=seeds(),
        options=trial.versions(),
        same=st.booleans(),
        mixing=st.sampled_from([0.3, 0.0]),
    )(agrees)
    shape = trial.fitting([(1, 1, 2, 2, 2)])[0]
    fixed = {"shape": shape, "seed": 3, "options": {}, "same": False, "mixing": 0.3}
    trial.each([{**fixed, "t": t} for t in trial.even_moments()], agrees)
    compared.finish()
