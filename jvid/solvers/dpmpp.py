"""DPM-Solver++ (2M) and its SDE form, in lambda = log(alpha / sigma), h = lambda_s - lambda_t, q = e^-h.

    x_s = (sigma_s / sigma_t) q^eta x_t + alpha_s (1 - q^(1 + eta)) D + sigma_s sqrt(1 - q^(2 eta)) z
    D = x_0 + (x_0 - x_0') h / (2 h'),   h' = lambda_t - lambda_t'       (midpoint; x_0' the prediction before)

eta = 0 is 2M, eta = 1 its SDE. Without a past, D = x_0: DDIM, or DDPM. q = (alpha_t sigma_s) / (alpha_s sigma_t) is finite
where lambda is not; a step from or to an infinite lambda is of first order. The "heun" form of D's second
term has weight 1 - (1 - q^(1 + eta)) / ((1 + eta) h) in place of (1 - q^(1 + eta)) / 2.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import attrs
from torch import Tensor

from jvid.core.levels import working_dtype
from jvid.core.protocols import Denoise, Level, Noise, Step
from jvid.errors import InputError
from jvid.solvers.history import EMPTY, Entry, History, Mode, check_mode, log_snr, within_reach
from jvid.solvers.kernel import coefficients

__all__ = ["DPMPP2M", "DPMPP2MSDE"]

Form = Literal["midpoint", "heun"]


def _check(who: str, form: str, history: str) -> None:
    if form not in get_args(Form):
        raise InputError(f"{who} got form={form!r}; expected midpoint or heun")
    check_mode(who, history)


@attrs.frozen
class DPMPP2M:
    """DPM-Solver++(2M), second order, deterministic (Lu et al. 2022, arXiv 2211.01095, algorithm 2).

    diffusers' ``DPMSolverMultistepScheduler``, k-diffusion's ``sample_dpmpp_2m``. ``history``: what happens to the
    last prediction where the experts change, see ``jvid.solvers.history``.
    """

    form: Form = "midpoint"
    history: Mode = "per-expert"

    def __attrs_post_init__(self) -> None:
        _check("DPMPP2M", self.form, self.history)

    @property
    def order(self) -> int:
        """2: halving the steps' length quarters the error."""
        return 2

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return _coefficients(step, 0.0)[2] != 0.0

    def init(self) -> History:
        """No prediction yet."""
        return EMPTY

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: History
    ) -> tuple[Tensor, History]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation."""
        return _step(x, step, denoise, noise, memory, 0.0, self.form, self.history)


@attrs.frozen
class DPMPP2MSDE:
    """The SDE form of DPM-Solver++(2M): diffusers' "sde-dpmsolver++", k-diffusion's ``sample_dpmpp_2m_sde``.

    ``eta`` scales the noise: 0 is ``DPMPP2M``. A step to more noise is the forward process.
    """

    eta: float = attrs.field(default=1.0, converter=float)
    form: Form = "midpoint"
    history: Mode = "per-expert"

    def __attrs_post_init__(self) -> None:
        _check("DPMPP2MSDE", self.form, self.history)
        if not 0.0 <= self.eta < math.inf:
            raise InputError(
                f"DPMPP2MSDE got eta={self.eta:g}; expected a finite number, 0 or more (1 is the SDE)"
            )

    @property
    def order(self) -> int:
        """2, in the weak sense if eta > 0: the error of the samples' mean and variance quarters."""
        return 2

    def draws_noise(self, step: Step) -> bool:
        """Whether the step adds noise."""
        return _coefficients(step, self.eta)[2] != 0.0

    def init(self) -> History:
        """No prediction yet."""
        return EMPTY

    def step(
        self, x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: History
    ) -> tuple[Tensor, History]:
        """x ``(b c f h w)`` at ``step.start`` -> x at ``step.end``; one evaluation, draws ``noise("z")`` if eta > 0."""
        return _step(x, step, denoise, noise, memory, self.eta, self.form, self.history)


def _step(
    x: Tensor, step: Step, denoise: Denoise, noise: Noise, memory: History, eta: float, form: Form, mode: Mode
) -> tuple[Tensor, History]:
    x_0 = denoise(x, step.start)
    dtype = working_dtype(x)
    past: tuple[Entry, ...] = ()
    c_x, c_0, c_z = _coefficients(step, eta)
    if not _is_forward(step, eta):
        past = within_reach(step, memory.recall(step, mode))
    slope = _slope(step, past[0].level, c_0, eta, form) if past else 0.0
    # Separate products and sums: a fused multiply-add may round by position in the batch.
    out = x_0.to(dtype) * (c_0 + slope)
    if slope:
        out -= past[0].value.to(dtype) * slope
    if c_x:
        out += x.to(dtype) * c_x
    if c_z:
        out += noise("z").to(x.device, dtype) * c_z
    return out.to(x.dtype), memory.add(step, mode, x_0, length=1)


def _is_forward(step: Step, eta: float) -> bool:
    """Whether a step is the forward process: from clean latents, or to more noise."""
    return step.start.sigma == 0.0 or (eta > 0.0 and step.end.angle > step.start.angle)


def _coefficients(step: Step, eta: float) -> tuple[float, float, float]:
    start, end = step.start, step.end
    if _is_forward(step, eta):
        return coefficients(start, end, 1.0)
    if eta in (0.0, 1.0) or start.angle == end.angle:
        return coefficients(start, end, eta)
    q = start.alpha * end.sigma / (end.alpha * start.sigma)
    c_x = end.sigma / start.sigma * q**eta
    return c_x, end.alpha * (1.0 - q ** (1.0 + eta)), end.sigma * math.sqrt(1.0 - q ** (2.0 * eta))


def _slope(step: Step, then: Level, c_0: float, eta: float, form: Form) -> float:
    """The weight of ``x_0 - x_0'``, from a prediction at the level ``then``."""
    now = log_snr(step.start)
    h, h_past = log_snr(step.end) - now, now - log_snr(then)
    if h == 0.0:
        return 0.0
    if form == "midpoint":
        return 0.5 * c_0 * h / h_past
    return (step.end.alpha - c_0 / ((1.0 + eta) * h)) * h / h_past
