"""A network's prediction, turned into x_0, with x = alpha x_0 + sigma eps.

    eps:   x_0 = (x - sigma eps) / alpha
    x0:    x_0 = the prediction
    v:     v = alpha eps - sigma x_0,  x_0 = (alpha x - sigma v) / (alpha^2 + sigma^2)
    flow:  v = eps - x_0,              x_0 = (x - sigma v) / (alpha + sigma)

The last two hold on any schedule, not only where alpha^2 + sigma^2 = 1 or alpha + sigma = 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import attrs
from torch import Tensor

from jvid.core.levels import level_floats, levels_for, require_latents, working_dtype
from jvid.core.modules import Parts, modules_of
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.errors import InputError

__all__ = ["Network", "Parameterized", "Prediction", "no_signal", "output_of", "x_0_of"]

Network = Callable[[Tensor, Tensor, Condition], Tensor]
"""``(x (b c f h w), t () or (b,), cond) -> prediction (b c f h w)``, in any floating dtype."""

Prediction = Literal["eps", "x0", "v", "flow"]


def x_0_of(
    prediction: Prediction, x: Tensor, out: Tensor, alpha: Tensor | float, sigma: Tensor | float
) -> Tensor:
    """x_0 of latents x and a network's output of their shape and dtype; alpha and sigma broadcast, and alpha > 0 for "eps"."""
    if prediction == "eps":
        x_0 = x - sigma * out
        x_0 /= alpha
        return x_0
    if prediction == "v":
        return (alpha * x - sigma * out) / (alpha * alpha + sigma * sigma)
    if prediction == "flow":
        # In one new tensor, in few passes: of large latents the memory costs more than the arithmetic.
        found, total = (-sigma * out).add_(x), alpha + sigma
        return found if isinstance(total, float) and total == 1.0 else found.div_(total)
    return out


def output_of(
    prediction: Prediction, x_0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float
) -> Tensor:
    """What a network predicts of x = alpha x_0 + sigma eps: the inverse of `x_0_of`, and what it is trained on."""
    if prediction == "eps":
        return eps
    if prediction == "v":
        return alpha * eps - sigma * x_0
    return eps - x_0 if prediction == "flow" else x_0


def no_signal(where: str = "") -> InputError:
    """The refusal of an "eps" prediction at alpha = 0; ``where``: further words, such as " at t = 1"."""
    return InputError(
        f"an eps prediction was requested{where}, where alpha = 0 and x holds no signal; "
        "expected alpha > 0: start the grid lower, or use a network that predicts v, flow or x0"
    )


@attrs.frozen(eq=False)
class Parameterized:
    """The denoiser of a ``network`` that was trained on ``schedule`` to predict ``prediction``.

    The arithmetic is at least float32 whatever the network runs in; the result has x's dtype.
    An "eps" network does not determine x_0 where alpha = 0: a call there raises ``InputError``.
    """

    network: Network
    schedule: NoiseSchedule
    prediction: Prediction = attrs.field(default="eps")
    space: LatentSpace | None = None

    def __attrs_post_init__(self) -> None:
        if self.prediction not in get_args(Prediction):
            raise InputError(
                f"Parameterized got prediction={self.prediction!r}; expected one of {', '.join(get_args(Prediction))}"
            )

    @property
    def denoises(self) -> str:
        """What the network declares to see, "clips" or "frames"; clips where it does not."""
        return str(getattr(self.network, "denoises", "clips"))

    @property
    def own_guidance(self) -> float:
        """The scale of guidance that is in the network's prediction already; 1 is none."""
        return float(getattr(self.network, "own_guidance", 1.0))

    def modules(self) -> Parts:
        """Those of the network."""
        return modules_of(self.network)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0 of x's shape and dtype."""
        require_latents(x, "a denoiser")
        dtype = working_dtype(x)
        alpha: Tensor | float
        sigma: Tensor | float
        if self.prediction == "eps" and t.ndim == 0 and x.device.type == t.device.type == "cpu":
            # A number rounds like a tensor of the dtype where it only scales one, and costs a tenth.
            alpha, sigma = level_floats(self.schedule, t)
            silent = alpha == 0.0
        else:
            alpha64, sigma64 = levels_for(self.schedule, t, x)
            silent = self.prediction == "eps" and bool((alpha64 == 0).any())
            alpha, sigma = alpha64.to(x.device, dtype), sigma64.to(x.device, dtype)
        if silent:
            raise no_signal(f" at t = {t.max().item():g}")
        predicted = self.network(x, t, cond)
        if predicted.shape != x.shape:
            raise InputError(
                f"the network returned shape {tuple(predicted.shape)} for latents of shape {tuple(x.shape)}; "
                "expected the same shape"
            )
        # A conversion to the dtype that is there already costs half as much as a product of small latents.
        x_t = x if x.dtype == dtype else x.to(dtype)
        out = predicted if predicted.dtype == dtype else predicted.to(dtype)
        x_0 = x_0_of(self.prediction, x_t, out, alpha, sigma)
        return x_0 if x_0.dtype == x.dtype else x_0.to(x.dtype)
