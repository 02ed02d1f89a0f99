"""Classifier-free guidance, equation (4) of the paper, uses the empty prompt; autoguidance uses a weaker model.

    eps = eps_null + g (eps_cond - eps_null)        classifier-free
    eps = eps_weak + g (eps_cond - eps_weak)        autoguidance: both conditional

x_0 is affine in eps at a given x_t, so the same line holds for x_0.
g = 1 is the conditional model, g = 0 the other one; each then costs one evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.core.conditions import LAYOUT, Layout, concat, expand_rows, require
from jvid.core.evaluations import evaluations_of
from jvid.core.levels import check_interval, require_latents, require_prediction, working_dtype
from jvid.core.protocols import Condition, Denoiser, Evaluation
from jvid.core.spaces import same_space
from jvid.denoisers.memo import Memo
from jvid.denoisers.wrapper import Wrapper, check_inner
from jvid.errors import InputError

__all__ = ["Guided", "guided", "needs_null"]


@attrs.frozen(eq=False)
class Guided(Wrapper):
    """``denoiser`` guided with scale g (Ho and Salimans 2022, arXiv 2207.12598).

    The null condition is ``null``, or else ``cond["null"]``; it replaces the values that it names, and
    the others hold for both halves. Both are evaluated as one batch, conditional rows first.

    ``interval``: (low, high) of the denoiser's own t within which guidance acts, ends included; elsewhere the conditional
    is used alone, at half the cost (Kynkäänniemi et al. 2024, arXiv 2404.07724). ``rescale``: phi of Lin et al. (2023, arXiv
    2305.08891, equation 16): how far the deviation of the guided x_0, clip by clip, is drawn back to the conditional's.

    ``against``: a denoiser of the same schedule and latent space in place of the null condition, evaluated with the same
    condition (autoguidance: Karras et al. 2024, arXiv 2406.02507). A weaker model's errors are the stronger one's, only
    larger: what leads away from them leads to better samples, and not to more alike ones. No null condition is needed then.
    """

    denoiser: Denoiser
    scale: float = attrs.field(default=2.0, converter=float)
    null: Condition | None = None
    interval: tuple[float, float] | None = None
    rescale: float = attrs.field(default=0.0, converter=float)
    against: Denoiser | None = None
    _kept: Memo[dict[str, Any]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_inner(self.denoiser, "Guided")
        object.__setattr__(self, "_kept", Memo())
        check_interval("Guided", self.interval)
        own = float(getattr(self.denoiser, "own_guidance", 1.0))
        if own != 1.0:
            raise InputError(
                f"Guided got a denoiser that is guided already, with scale {own:g}: set that one (an expert's "
                "guidance_scale=...), or turn it off with 1"
            )
        if not 0.0 <= self.rescale <= 1.0:
            raise InputError(f"Guided got rescale={self.rescale:g}; expected a number from 0 (none) to 1")
        if not math.isfinite(self.scale):
            raise InputError(
                f"Guided got scale={self.scale:g}; expected a finite number: 1 is unguided, the paper uses 2"
            )
        if self.against is not None:
            if self.null is not None:
                raise InputError("Guided got null and against; expected one of them: what to lead away from")
            same_space({"denoiser": self.denoiser, "against": self.against})
            if self.against.schedule != self.denoiser.schedule:
                raise InputError(
                    "Guided got against= a denoiser on another schedule: bridge it first, Bridged(against, denoiser.schedule)"
                )

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> guided x_0 of x's shape and dtype."""
        require_latents(x, "Guided")
        b = x.shape[0]
        if self.scale == 1.0 or self._outside(t).all():
            return self._alone(self.denoiser, x, t, cond)
        if self.against is not None:
            other = self._alone(self.against, x, t, cond)
            if self.scale == 0.0:
                return other
            return self._combined(x, t, self._alone(self.denoiser, x, t, cond), other)
        plain = _without_null(cond)
        null = self.null if self.null is not None else require(cond, "null", "Guided")
        if self.scale == 0.0:
            alone = self._kept(
                {"empty": plain, "null": null, "rows": b}, lambda: expand_rows({**plain, **null}, b)
            )
            return self.denoiser(x, t, alone)
        missing = [name for name in null if name not in plain]
        if missing:
            raise InputError(
                f"Guided needs the condition {missing[0]!r} beside its null value; got {', '.join(map(repr, plain)) or 'none'}: "
                "pass it in cond, or use scale=0 for an unconditional clip"
            )
        # The same tensors at each step of a run: what is kept for them further inside is found again.
        both = self._kept({"both": plain, "null": null, "rows": b}, lambda: _halves(plain, null, b))
        times = torch.cat([t, t]) if t.ndim else t
        twice = torch.cat([x, x])
        x_0 = require_prediction(self.denoiser(twice, times, both), twice, "Guided")
        return self._combined(x, t, x_0[:b], x_0[b:])

    def evaluations(self, t: float, frames: int) -> Sequence[Evaluation]:
        """Two rows for each of the denoiser's within the interval; both denoisers where there is another one."""
        own = evaluations_of(self.denoiser, t, frames)
        outside = self.interval is not None and not self.interval[0] <= t <= self.interval[1]
        if self.scale == 1.0 or outside:
            return own
        if self.against is not None:
            other = evaluations_of(self.against, t, frames)
            return other if self.scale == 0.0 else (*own, *other)
        if self.scale == 0.0:
            return own
        return [attrs.evolve(each, rows=2 * each.rows) for each in own]

    @property
    def _leads_from_null(self) -> bool:
        return self.against is None and self.null is None and self.scale != 1.0

    def _alone(self, denoiser: Denoiser, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """The denoiser's own prediction; the null condition is passed on to guidance further inside alone."""
        given = cond if needs_null(denoiser) else _without_null(cond)
        b = x.shape[0]
        kept = self._kept({"alone": given, "rows": b}, lambda: expand_rows(given, b))
        return require_prediction(denoiser(x, t, kept), x, "Guided")

    def _combined(self, x: Tensor, t: Tensor, conditional: Tensor, other: Tensor) -> Tensor:
        """Equation (4), rescaled, where guidance acts; the conditional elsewhere."""
        dtype = working_dtype(x)
        conditional, other = conditional.to(dtype), other.to(dtype)
        guided = other + self.scale * (conditional - other)
        if self.rescale:
            axes = tuple(range(1, x.ndim))
            wanted, had = (part.std(axes, keepdim=True, correction=0) for part in (conditional, guided))
            ratio = torch.where(had > 0, wanted / had, torch.ones_like(had))
            guided = guided * (self.rescale * ratio + (1.0 - self.rescale))
        if t.ndim and self._outside(t).any():
            guided = torch.where(self._outside(t).to(x.device).view(-1, 1, 1, 1, 1), conditional, guided)
        return guided.to(x.dtype)

    def _outside(self, t: Tensor) -> Tensor:
        """Whether t lies where guidance does not act, of t's shape."""
        if self.interval is None:
            return torch.zeros_like(t, dtype=torch.bool)
        return (t < self.interval[0]) | (t > self.interval[1])


def _without_null(cond: Condition) -> dict[str, Any]:
    return {name: value for name, value in cond.items() if name != "null"}


def needs_null(denoiser: object) -> bool:
    """Whether a denoiser, or one that it wraps, is guided away from the condition's own null value."""
    while denoiser is not None:
        if isinstance(denoiser, Guided) and (needs_null(denoiser.against) or denoiser._leads_from_null):
            return True
        denoiser = getattr(denoiser, "denoiser", None)
    return False


def _halves(plain: Condition, null: Condition, b: int) -> dict[str, Any]:
    """The condition of 2 b rows, the conditional half on top, and the hint that both have the same x."""
    both = concat(expand_rows(plain, b), expand_rows({**plain, **null}, b))
    return {**both, LAYOUT: Layout.within(plain).but(halves=2)}


def guided(
    denoiser: Denoiser,
    scale: float = 2.0,
    low: float = 0.0,
    high: float = 1.0,
    rescale: float = 0.0,
    against: Denoiser | None = None,
) -> Guided:
    """``denoiser`` guided with ``scale`` where its own t is from ``low`` to ``high``, ends included; see ``Guided``.

    Classifier-free guidance uses the empty prompt; autoguidance uses a weaker model, ``against``: in a strategy the name of
    another expert of the ensemble.

    Raises:
        InputError: a scale that is not finite, an interval that is none, or a denoiser on another schedule.
    """
    interval = None if (low, high) == (0.0, 1.0) else (low, high)
    return Guided(denoiser, scale, interval=interval, rescale=rescale, against=against)
