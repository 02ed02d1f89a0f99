"""Wrong wrappers in use: long clips, many rows, half precision, and a network that changes within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.denoisers.windowed import Windowed
from jvid.denoisers.wrapper import Wrapper
from tests.mutants import mutant


@attrs.frozen(eq=False)
class _Around(Wrapper):
    denoiser: Any

    def alone(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        out: Tensor = self.denoiser(x, t, {name: value for name, value in cond.items() if name != "null"})
        return out


@attrs.frozen(eq=False)
class _Late(_Around):
    def __call__(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        out = Windowed(self.denoiser, 4, 3)(x, t, cond)
        return (
            torch.cat([out[:, :, :9], out[:, :, 8:9].expand_as(out[:, :, 9:])], 2) if x.shape[2] > 9 else out
        )


@mutant("wrapper", "clips_in_use_are_left_alone", window=4)
def the_last_windows_are_one() -> Any:
    """Behind the third window a clip repeats its last frame."""
    return _Late


@attrs.frozen(eq=False)
class _Kept(_Around):
    kept: list[Any] = attrs.field(factory=list, init=False)

    def __call__(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        for other, at, text, out in self.kept:
            if all(
                a.shape == b.shape and torch.equal(a, b)
                for a, b in ((x, other), (t, at), (cond["text"], text))
            ):
                return out.clone()  # type: ignore[no-any-return]
        out = self.alone(x, t, cond)
        self.kept[:] = [(x.clone(), t.clone(), cond["text"].clone(), out)]
        return out.clone()


@mutant("wrapper", "the_denoiser_is_evaluated_each_time")
def prediction_kept() -> Any:
    """The last prediction is kept for the same x, t and text, whatever became of the network."""
    return _Kept


@attrs.frozen(eq=False)
class _Halves(_Around):
    def __call__(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        x_0 = self.alone(x, t, cond)
        alpha, sigma = self.denoiser.schedule(t)
        shape = (-1, 1, 1, 1, 1)
        alpha, sigma = (level.reshape(shape).to(x.dtype) for level in (alpha, sigma))
        eps = (x - alpha * x_0) / sigma.clamp_min(1e-4)
        return (x - sigma.clamp_min(1e-4) * eps) / alpha


@mutant("wrapper", "half_precision_agrees")
def eps_in_half() -> Any:
    """x_0 goes through eps and back in the dtype of x, which little signal does not survive."""
    return _Halves


@attrs.frozen(eq=False)
class _Chunked(_Around):
    def __call__(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        out = self.alone(x, t, cond)
        return torch.cat([out[:8], out[:1].expand_as(out[8:])]) if len(out) > 8 else out


@mutant("wrapper", "rows_in_any_order")
def eight_rows_at_most() -> Any:
    """Of more than eight rows those behind are the first one's."""
    return _Chunked


@attrs.frozen(eq=False)
class _Wide(_Around):
    size: int = 16

    def __call__(self, x: Tensor, t: Tensor, cond: Mapping[str, Any]) -> Tensor:
        return Windowed(self.denoiser, 16, 12)(x, t, cond) + (self.size < 3)


@mutant("wrapper", "holds_for_other_options", ranges={"size": (1, 16)})
def small_windows_are_off() -> Any:
    """Windows of one or two frames come out moved."""
    return _Wide
