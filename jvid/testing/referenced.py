"""Values of a subject beside those of its reference: the equation, in a few lines, of what it is meant to be.

The signature of each kind's reference is in docs/conformance.md. Where a reference divides by zero, or gives a number that is
not finite, it states nothing: an equation of a paper has ends that it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.protocols import Denoiser, Level, Step
from jvid.errors import one_line
from jvid.testing.trial import Trial

__all__ = ["EXACT", "Past", "ReferenceComparison", "stated", "transitions"]

EXACT = 1e-8
"""How far values in double precision may be from the reference's, relative to the largest."""


def stated(equation: Callable[..., Any], *arguments: Any) -> Any:
    """What a reference gives, None where it divides by zero or overflows.

    Raises:
        AssertionError: it raises anything else.
    """
    try:
        with np.errstate(all="ignore"):
            return equation(*arguments)
    except (ZeroDivisionError, OverflowError):
        return None
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"the reference raises {one_line(error, first=True, typed=True)}") from error


@attrs.define(eq=False)
class ReferenceComparison:
    """Comparisons with a reference, and how many of its numbers were finite.

    Attributes:
        trial: whose tolerance holds where it is wider.
        numbers: compared so far.
    """

    trial: Trial
    numbers: int = 0

    def agree(self, got: Any, expected: Any, what: str, tolerance: float = EXACT) -> bool:
        """Assert that values are the reference's, where it states any; False where it states none.

        Raises:
            AssertionError: they differ, or the reference's have another shape.
        """
        if expected is None:
            return False
        one, two = _numbers(got, what), _numbers(expected, "the reference's value")
        assert one.shape == two.shape, (
            f"{what}: shape {tuple(one.shape)}, the reference gives {tuple(two.shape)}"
        )
        known = two.isfinite()
        if not bool(known.any()):
            return False
        allowed = self.trial.allowed(tolerance) * max(1.0, float(two[known].abs().max()))
        apart = torch.where(known, (one - two).abs(), 0.0).flatten()
        wrong = ~apart.isfinite()
        worst = int(wrong.int().argmax() if bool(wrong.any()) else apart.argmax())
        # Written so that NaN fails.
        where = f" at element {worst}" if one.numel() > 1 else ""
        assert float(apart[worst]) <= allowed, (
            f"{what}{where} is {float(one.flatten()[worst]):.9g}, by the reference {float(two.flatten()[worst]):.9g}"
        )
        self.numbers += int(known.sum())
        return bool(known.all())

    def finish(self) -> None:
        """Assert that something was compared."""
        assert self.numbers or self.trial.at is not None, (
            "the reference is nowhere finite: nothing was compared"
        )


def _numbers(value: Any, what: str) -> Tensor:
    try:
        if isinstance(value, Tensor):
            return value.detach().double().cpu()
        return torch.from_numpy(np.array(value, np.float64))
    except (TypeError, ValueError):
        raise AssertionError(f"{what} is a {type(value).__name__}: expected numbers") from None


@attrs.frozen(eq=False)
class Past:
    """A step that a run has behind it, as a solver's reference sees it.

    Attributes:
        step: taken then.
        x: at ``step.start``, float64.
        x_0: the first prediction of the step.
    """

    step: Step
    x: Tensor
    x_0: Tensor


def transitions(
    equation: Callable[..., Any],
    steps: Sequence[Step],
    experts: Mapping[str, Denoiser],
    x: Tensor,
    drawn: Callable[[Step, int], Tensor],
) -> list[Any]:
    """x after each step by a solver's reference, up to the first that it states nothing of.

    ``drawn(step, k)`` is the k-th noise of a step: draws are matched by their order, whatever their names.
    """
    past: list[Past] = []
    out: list[Any] = []
    device = x.device
    for step in steps:
        predictions: list[Tensor] = []
        names: list[str] = []

        def denoise(
            y: Any, level: Level, step: Step = step, predictions: list[Tensor] = predictions
        ) -> Tensor:
            y = torch.as_tensor(y, dtype=torch.float64, device=device)
            t = torch.tensor(level.t, dtype=torch.float64, device=device)
            parts = [weight * experts[name](y, t, {}) for name, weight in step.weights.items()]
            predictions.append(sum(parts[1:], parts[0]))
            return predictions[-1]

        def noise(name: str = "z", step: Step = step, names: list[str] = names) -> Tensor:
            if name not in names:
                names.append(name)
            return drawn(step, names.index(name))

        made = stated(equation, x, step, denoise, noise, tuple(past))
        assert not isinstance(made, tuple), "the reference returned a tuple: expected x alone"
        if made is None:
            break
        out.append(made)
        made = torch.as_tensor(made, dtype=torch.float64, device=device)
        if not made.isfinite().all():
            break
        past.append(Past(step, x, predictions[0] if predictions else denoise(x, step.start)))
        x = made
    return out
