"""References of selectors: ``(step) -> shares`` where chance chooses, else ``(step, u) -> weights``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jvid.core.protocols import Step

__all__ = ["always", "blend", "boundary", "cycle", "piecewise_affine", "random", "table"]

Weights = Mapping[str, float]


def _list(value: Any) -> list[Any]:
    """A sequence, or text joined by +."""
    return (
        value.split("+")
        if isinstance(value, str)
        else list(value)
        if isinstance(value, Sequence)
        else [value]
    )


def piecewise_affine(
    step: Step, *, t_v: float, t_e: float, p_e: float, p_f: float, video: str = "video", image: str = "image"
) -> Weights:
    """Figure 3 of the paper, over progress u = 1 - t: 1 up to t_v, p_e at t_e, p_f at the end, straight between."""
    ends = ([0.0, t_v, t_e, 1.0], [1.0, 1.0, p_e, p_f])
    share = float(np.interp(1.0 - step.start.t, *ends))
    return {video: share, image: 1.0 - share}


def always(step: Step, u: float, *, name: str) -> Weights:
    """The one expert."""
    return {name: 1.0}


def random(step: Step, *, experts: Any, probabilities: Any = None) -> Weights:
    """Fixed probabilities, equal ones by default."""
    names = _list(experts)
    shares = [1.0 / len(names)] * len(names) if probabilities is None else map(float, _list(probabilities))
    return dict(zip(names, shares, strict=True))


def boundary(
    step: Step, u: float, *, experts: Any, at: Any, by: str = "progress", T: int = 1000
) -> Weights | None:
    """Wan 2.2's pipeline: the expert of the noisiest range that the step's start lies in, by a coordinate that falls with it."""
    t, alpha, sigma = step.start.t, step.start.alpha, step.start.sigma
    here = {
        "progress": t - 1.0, "noise": sigma / (alpha + sigma), "angle": math.atan2(sigma, alpha), "timestep": t * T - 1.0
    }[by]  # fmt: skip
    sign = -1.0 if by == "progress" else 1.0
    bounds = [sign * float(each) for each in _list(at)]
    if any(0.0 < abs(here - bound) < 1e-6 for bound in bounds):
        return None  # rounding decides
    later = [here < bound or (here == bound and by != "noise") for bound in bounds]
    return {_list(experts)[sum(later)]: 1.0}


def cycle(step: Step, u: float, *, experts: Any, lengths: Any = None) -> Weights:
    """In turn, each as many steps as its length."""
    names = _list(experts)
    counts = [1] * len(names) if lengths is None else [int(float(n)) for n in _list(lengths)]
    turn = np.repeat(names, counts)
    return {str(turn[step.index % len(turn)]): 1.0}


def table(step: Step, u: float, *, rows: Any) -> Weights:
    """A row for each step: a name, or weights."""
    wanted: list[Any] = []
    for row in _list(rows):
        name, _, count = row.partition("*") if isinstance(row, str) else (row, "", "")
        wanted += [name] * int(count or 1)
    row = wanted[step.index]
    return {row: 1.0} if isinstance(row, str) else dict(row)


def blend(step: Step, u: float, *, experts: Any, knots: Any) -> Weights:
    """Each expert's weight, straight between knots and constant beyond them."""
    parts = [tuple(map(float, part.split(":"))) for part in knots.split("+")] if isinstance(knots, str) else [
        (float(place), *map(float, weights)) for place, weights in knots
    ]  # fmt: skip
    places = [part[0] for part in parts]
    return {
        name: float(np.interp(1.0 - step.start.t, places, [part[1 + k] for part in parts]))
        for k, name in enumerate(_list(experts))
    }
