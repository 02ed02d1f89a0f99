"""The covariance of a noise sampler, exactly: it is linear in its draws, so unit draws read off all its weights.

z = J d,  d ~ N(0, I)   =>   Cov(z) = J J^T
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from jvid.testing.trial import Trial

__all__ = ["MOST", "covariance", "shapes_of_few"]

F64 = torch.float64
MOST = 512
"""Elements of noise whose covariance is read off: it holds the square of their number, and takes a call for each draw."""


def shapes_of_few(trial: Trial, shapes: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    """Shapes ``(b c f h w)`` of the sizes that the sampler takes, at most ``MOST`` elements each.

    Raises:
        Skip: the sizes that are declared make all of them larger.
    """
    fitting = trial.fitting(shapes)
    few = [shape for shape in fitting if math.prod(shape) <= MOST]
    if not few:
        least = min(map(math.prod, fitting))
        trial.skip(
            f"noise of the sizes declared has {least} elements at least: covariances are of {MOST} at most"
        )
    return few


def covariance(sampler: Any, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Of all elements of noise of a shape ``(b c f h w)``, ``(n n)`` in their order in memory.

    Raises:
        AssertionError: the sampler is not linear in its draws.
    """
    sizes: dict[str, tuple[int, ...]] = {}

    def zeros(name: str, size: Sequence[int]) -> Tensor:
        sizes[name] = tuple(size)
        return torch.zeros(tuple(size), dtype=F64, device=device)

    base = sampler(shape, zeros).cpu().double().flatten()
    columns: list[Tensor] = []
    for name, size in sizes.items():
        for k in range(torch.Size(size).numel()):

            def unit(other: str, wanted: Sequence[int], name: str = name, k: int = k) -> Tensor:
                out = torch.zeros(tuple(wanted), dtype=F64, device=device)
                if other == name:
                    out.view(-1)[k] = 1.0
                return out

            columns.append(sampler(shape, unit).cpu().double().flatten() - base)
    if not columns:
        return torch.zeros(len(base), len(base), dtype=F64)
    weights = torch.stack(columns, 1)
    _require_linear(sampler, shape, sizes, weights, base, device)
    return weights @ weights.T


def _require_linear(
    sampler: Any,
    shape: Sequence[int],
    sizes: dict[str, tuple[int, ...]],
    weights: Tensor,
    base: Tensor,
    device: torch.device | str,
) -> None:
    parts = {}
    for index, (name, size) in enumerate(sizes.items()):
        count = torch.Size(size).numel()
        parts[name] = torch.cos(torch.arange(count, dtype=F64) * (1.7 + index)).reshape(size)
    z = sampler(shape, lambda name, size: parts[name].clone().to(device)).cpu().double().flatten()
    expected = base + weights @ torch.cat([part.flatten() for part in parts.values()])
    apart = float((z - expected).abs().max())
    assert apart <= 1e-9, (
        f"of several draws together it is {apart:.3g} from the sum of what it makes of each: not linear"
    )
