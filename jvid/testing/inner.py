"""The denoiser that wrappers are checked around: exact, conditioned, and strict about its arguments.

Each element of frame f of clip b is near m - a or m + a, where m = text[b] + move[b, f]: two modes, so that it is not linear
in x. It asserts what every denoiser is promised of a call, remembers the calls, and hands out what may not be written on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jvid.core.conditions import PerFrame, require
from jvid.core.keyed import keyed_normal
from jvid.core.levels import level_floats
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.schedules import TabulatedSchedule
from jvid.testing.oracles import TwoModeOracle

__all__ = ["Inner", "conditions", "direct"]

F64 = torch.float64
_TABLE = TabulatedSchedule.scaled_linear()


def conditions(b: int, f: int, same: bool = False) -> Condition:
    """Text of a row for each clip with its null text, a ``PerFrame`` and a plain value; ``same``: both texts are equal."""
    text = keyed_normal(range(b), ("text",), (3, 2), F64)
    null = text.clone() if same else keyed_normal([7], ("null",), (3, 2), F64)
    move = PerFrame(0.3 * keyed_normal(range(b), ("move",), (f,), F64))
    return {"text": text, "move": move, "style": "plain", "null": {"text": null}}


def direct(inner: Inner, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
    """The prediction of ``inner`` without a wrapper and without a null condition."""
    return inner(x, t.to(x.device), {name: value for name, value in cond.items() if name != "null"})


class Inner:
    """The denoiser; ``shapes`` holds the shape of x of each call, ``given`` what it returned, with a copy.

    With ``mixing`` it adds that share of a clip's mean, so that each element depends on which frames it is handed together.
    """

    def __init__(
        self,
        schedule: NoiseSchedule | None = None,
        space: LatentSpace | None = None,
        shift: float = 0.0,
        mixing: float = 0.0,
    ) -> None:
        self.schedule = _TABLE if schedule is None else schedule
        self.space = space
        self.shift, self.mixing = shift, mixing
        self.shapes: list[tuple[int, ...]] = []
        self.given: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        """x ``(b c f h w)``, t ``()`` or ``(b,)`` -> x_0; AssertionError for anything else."""
        self._check(x, t, cond)
        self.shapes.append(tuple(x.shape))
        rows = [x.new_empty(0)] * len(x)
        for b in range(len(x)):
            rows[b] = self._row(x[b : b + 1], t[b] if t.ndim else t, self._mean(cond, b, len(x), x.shape[2]))
        x_0 = torch.cat(rows)
        if self.mixing:
            x_0 = x_0 + self.mixing * x.mean(dim=(2, 3, 4), keepdim=True)
        self.given.append((x_0, x_0.clone()))
        return x_0

    def _row(self, x: Tensor, t: Tensor, mean: Tensor) -> Tensor:
        oracle = TwoModeOracle(self.schedule, 0.8, 0.4)
        alpha, _ = level_floats(self.schedule, t)
        mean = mean.view(1, 1, -1, 1, 1)
        return (oracle(x.double() - alpha * mean, t, {}) + mean).to(x.dtype)

    def _mean(self, cond: Condition, b: int, rows: int, f: int) -> Tensor:
        text: Tensor = require(cond, "text", "the denoiser inside")
        move = require(cond, "move", "the denoiser inside")
        values = move.tensor if isinstance(move, PerFrame) else move.view(-1, 1)
        row = values[b if len(values) == rows else 0]
        return text[b if len(text) == rows else 0].double().mean() + row.double().expand(f) + self.shift

    def _check(self, x: Tensor, t: Tensor, cond: Condition) -> None:
        shape = tuple(x.shape)
        assert len(shape) == 5, f"the denoiser inside got latents of shape {shape}: expected (b, c, f, h, w)"
        assert isinstance(t, Tensor), (
            f"the denoiser inside is given t as a {type(t).__name__}: expected a tensor"
        )
        assert t.shape in ((), (shape[0],)), (
            f"the denoiser inside is given t of shape {tuple(t.shape)} for {shape[0]} rows: expected () or ({shape[0]},)"
        )
        assert t.dtype == F64, (
            f"the denoiser inside is given t in {t.dtype}: expected torch.float64, as it came"
        )
        assert bool(((t >= 0) & (t <= 1)).all()), (
            f"the denoiser inside is given t {t.tolist()}: expected 0 to 1"
        )
        assert isinstance(cond, Mapping), f"the denoiser inside is given a {type(cond).__name__} as condition"
        assert cond.get("style") == "plain", (
            "a value of the condition that is no tensor does not reach the denoiser"
        )
        for name in ("text", "move"):
            value: Any = cond.get(name)
            assert value is not None, f"the condition {name!r} does not reach the denoiser inside"
            tensor = value.tensor if isinstance(value, PerFrame) else value
            assert tensor.shape[0] in (1, shape[0]), (
                f"the condition {name!r} has {tensor.shape[0]} rows for {shape[0]} of latents"
            )
            if isinstance(value, PerFrame):
                assert tensor.shape[1] == shape[2], (
                    f"the per-frame condition {name!r} has {tensor.shape[1]} frames for {shape[2]} of latents"
                )
        if not isinstance(cond["move"], PerFrame):
            assert shape[2] == 1, (
                "a per-frame condition has lost its tag on the way to clips of several frames"
            )
