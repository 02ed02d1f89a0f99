"""Checks of what a wrapper hands to the denoiser inside, latents of the level that it is evaluated at, and of what it gets back.

Of x_0 = 0 the latents are noise alone: independent elements of deviation sigma. A wrapper may scale them, cut them, fold them and
evaluate at another time; what it hands in then has the deviation sigma of that time, on the inner denoiser's schedule, and its
elements are independent, too. Latents that are smoothed, mixed or moved to another level without their time are not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Condition
from jvid.testing.checking import check, declare
from jvid.testing.denoising import conditioned, levels, noisy, predicted, time
from jvid.testing.inner import Inner
from jvid.testing.trial import Trial

declare("wrapper", noisy=True, context=False)

SIGMAS = 6.0
"""Deviations of the measurement that are allowed."""
PARTS = (0.3, 0.8)


class _Given(Inner):
    """It keeps what it is handed, and predicts 0."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        self.handed.append((x.double().cpu(), t.double().cpu()))
        return torch.zeros_like(x)


@check("wrapper")
def evaluates_at_the_level_of_its_latents(subject: Any, trial: Trial) -> None:
    """Of pure noise it hands in white noise of the inner level's sigma (``noisy=False`` for one that hands in others)."""
    if not trial.option("noisy"):
        trial.skip("it evaluates on other latents than noisy ones, on purpose")
    shape = trial.fitting([(2, 4, 6, 12, 12)])[0]
    low, high = trial.times
    for part in PARTS:
        t = low + part * (high - low)
        inner = _Given()
        wrapped = subject(inner)
        _, sigma = (level.cpu() for level in levels(wrapped, time(t).to(trial.device)))
        x = sigma * keyed_normal(range(shape[0]), ("white", round(1e6 * t)), shape[1:], torch.float64)
        predicted(
            wrapped, x.to(trial.device, trial.dtype[-1]), time(t), conditioned(trial, shape[0], shape[2])
        )
        for handed, at in inner.handed:
            _require_white(handed, inner.schedule(at.reshape(-1))[1], f"at t {t:.3g}")


def _require_white(x: Tensor, sigma: Tensor, where: str) -> None:
    z = x / sigma.view(-1, 1, 1, 1, 1).clamp_min(1e-12)
    deviation = SIGMAS * (2.0 / z.numel()) ** 0.5
    spread = float(z.square().mean())
    assert abs(spread - 1.0) <= deviation, (
        f"{where} the denoiser inside is given noise of variance {spread:.3g} sigma^2, expected 1: latents of another level than "
        "the time it is given"
    )
    for axis, what in ((2, "frames"), (3, "rows"), (4, "columns")):
        size = z.shape[axis]
        if size < 2:
            continue
        products = z.narrow(axis, 0, size - 1) * z.narrow(axis, 1, size - 1)
        allowed = SIGMAS / products.numel() ** 0.5
        found = float(products.mean())
        assert abs(found) <= allowed, (
            f"{where} noise of neighbouring {what} correlates by {found:.3g} in the latents that the denoiser inside is given, "
            "expected 0: they are smoothed or mixed"
        )


class _Nudged(Inner):
    """It predicts what ``Inner`` does, and 1 more in a frame of one of its calls."""

    def __init__(self, call: int = -1, frame: int = -1) -> None:
        super().__init__(mixing=0.3)
        self.call, self.frame = call, frame

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x_0 = super().__call__(x, t, cond)
        if len(self.shapes) - 1 == self.call:
            x_0 = x_0.clone()
            x_0[:, :, self.frame] += 1.0
        return x_0


@check("wrapper")
def what_is_predicted_is_used(subject: Any, trial: Trial) -> None:
    """Each frame of each prediction of the denoiser inside moves x_0 (``context=True`` for one that drops some on purpose)."""
    if trial.option("context"):
        trial.skip("it predicts more than it keeps, on purpose")
    window = trial.option("window")
    shape = trial.fitting([(1, 1, 2 * window + 1 if window else 3, 2, 2)])[0]
    cond, t = conditioned(trial, shape[0], shape[2]), sum(trial.times) / 2.0
    plain = _Nudged()
    wrapped = subject(plain)
    x = noisy(wrapped, trial, shape, t, 6)
    expected = predicted(wrapped, x, time(t), cond)
    calls = [shape[2] for shape in plain.shapes]
    for call in range(len(calls)):
        for frame in range(calls[call]):
            got = predicted(subject(_Nudged(call, frame)), x, time(t), cond)
            assert not torch.equal(got, expected), (
                f"of {len(calls)} predictions for a clip of {shape[2]} frames, frame {frame} of number {call} changes nothing"
            )
