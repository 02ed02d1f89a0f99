"""I3D (Inception-v1 inflated in time) trained on Kinetics-400: the network of FVD.

Carreira and Zisserman 2017 (https://arxiv.org/abs/1705.07750); FVD, Unterthiner et al. 2018 (https://arxiv.org/abs/1812.01717),
takes its 400 values before the softmax. Frames are scaled to [-1, 1] and resized to 224x224 straight, bilinear with
corners not aligned, as in StyleGAN-V's protocol; other codes crop, and their figures differ by some 10 %.

    unit       convolution with TensorFlow's "SAME" padding, batch norm (eps 1e-3, no scale), relu
    block      four branches side by side: 1 | 1-3 | 1-3 | pool-1
    top        mean over (2, 7, 7), 1x1 convolution, mean over what is left of time

Batch norm is folded into the convolutions. The still network is what I3D makes of a frame that never changes:
every kernel summed over time, pools and strides in time left out. That is the endless still clip exactly, away
from its ends, for a fraction of the work, and "FID[i3d-frame]" uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jvid.errors import InputError, one_line
from jvid_models.paths import shared_file
from jvid_models.weights import read_weights
from jvid_training.evaluation.networks.protocol import Kind, batched, fingerprint_of, resized

__all__ = ["I3D", "I3DNetwork", "still_network"]

_SIZE, _EPS = 224, 1e-3
_FILE = "weights/i3d_kinetics400.safetensors"
_BLOCKS = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
_CLASSES, _WIDTH = 400, 1024


class I3D(nn.Module):
    """``tensors`` under the names of the file (see `I3DNetwork`); ``still`` sums kernels over time.

    ``(n 3 f H W)`` in [-1, 1] -> pooled features ``(n 1024)`` and logits ``(n 400)``.
    """

    def __init__(self, tensors: Mapping[str, Tensor], still: bool = False) -> None:
        super().__init__()
        self.still = still
        self.units = nn.ModuleDict()
        names = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
        for block in _BLOCKS:
            inner = (
                "0/Conv3d_0a_1x1",
                "1/Conv3d_0a_1x1",
                "1/Conv3d_0b_3x3",
                "2/Conv3d_0a_1x1",
                "2/Conv3d_0b_3x3",
            )
            names += [f"Mixed_{block}/Branch_{place}" for place in (*inner, "3/Conv3d_0b_1x1")]
        for name in names:
            stride = 2 if name == "Conv3d_1a_7x7" else 1
            self.units[name] = _Unit3D(*_folded(tensors, name), stride, still)
        top = "params/Logits/Conv3d_0c_1x1/Conv_0"
        self.top = nn.utils.skip_init(nn.Linear, _WIDTH, _CLASSES)  # draws nothing
        self.top.load_state_dict(
            {"weight": tensors[f"{top}/kernel"].reshape(_WIDTH, _CLASSES).T, "bias": tensors[f"{top}/bias"]}
        )
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Clips ``(n 3 f 224 224)`` to pooled features ``(n 1024)`` and logits ``(n 400)``."""
        x = self.maps(x)
        if x.shape[-2:] != (7, 7):
            raise InputError(f"I3D got frames that end as {tuple(x.shape[-2:])}: expected 224x224 pixels")
        x = x.mean((-2, -1))  # n c t
        if x.shape[2] > 1:
            x = F.avg_pool1d(x, 2, 1)
        # The mean over time and the linear top commute.
        pooled = x.mean(2)
        return pooled, self.top(pooled)

    def maps(self, x: Tensor) -> Tensor:
        """The last block's output ``(n 1024 f/8 H/32 W/32)``."""
        x = self._pool(self._unit("Conv3d_1a_7x7", x), (1, 3, 3), (1, 2, 2))
        x = self._unit("Conv3d_2c_3x3", self._unit("Conv3d_2b_1x1", x))
        x = self._pool(x, (1, 3, 3), (1, 2, 2))
        for block in _BLOCKS:
            if block == "4b":
                x = self._pool(x, (3, 3, 3), (2, 2, 2))
            elif block == "5b":
                x = self._pool(x, (2, 2, 2), (2, 2, 2))
            x = self._mixed(f"Mixed_{block}", x)
        return x

    def _mixed(self, block: str, x: Tensor) -> Tensor:
        def unit(name: str, y: Tensor) -> Tensor:
            return self._unit(f"{block}/Branch_{name}", y)

        branches = [
            unit("0/Conv3d_0a_1x1", x),
            unit("1/Conv3d_0b_3x3", unit("1/Conv3d_0a_1x1", x)),
            unit("2/Conv3d_0b_3x3", unit("2/Conv3d_0a_1x1", x)),
            unit("3/Conv3d_0b_1x1", self._pool(x, (3, 3, 3), (1, 1, 1))),
        ]
        return torch.cat(branches, 1)

    def _unit(self, name: str, x: Tensor) -> Tensor:
        made: Tensor = self.units[name](x)
        return made

    def _pool(self, x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
        if self.still:
            kernel, stride = (1, *kernel[1:]), (1, *stride[1:])
        # Behind a relu zeros never win, so that padding with them is as good as with minus infinity. One axis
        # after the other, in elementwise maxima: the same result as max_pool3d, in a fifth of its time.
        x = _same(x, kernel, stride)
        for axis, size, step in zip((2, 3, 4), kernel, stride, strict=True):
            if size > 1:
                count = (x.shape[axis] - size) // step + 1
                x = _highest(x, axis, size, step, count)
        return x


class _Unit3D(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor, stride: int, still: bool) -> None:
        super().__init__()
        if still:
            weight = weight.sum(2, keepdim=True)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.kernel = tuple(weight.shape[2:])
        self.stride = (1 if still else stride, stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == (1, 1, 1):
            padding = tuple(size // 2 for size in self.kernel)
            return F.conv3d(x, self.weight, self.bias, padding=padding).relu_()
        return F.conv3d(_same(x, self.kernel, self.stride), self.weight, self.bias, self.stride).relu_()


def _same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zeros as TensorFlow's "SAME" adds them: the odd one behind."""
    widths: list[int] = []
    for length, size, step in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        missing = max((-(-length // step) - 1) * step + size - length, 0)
        widths += [missing // 2, missing - missing // 2]
    return F.pad(x, widths) if any(widths) else x


def _highest(x: Tensor, axis: int, size: int, step: int, count: int) -> Tensor:
    place: list[slice] = [slice(None)] * 5
    parts = []
    for first in range(size):
        place[axis] = slice(first, first + (count - 1) * step + 1, step)
        parts.append(x[tuple(place)])
    highest = torch.maximum(parts[0], parts[1])
    for part in parts[2:]:
        torch.maximum(highest, part, out=highest)
    return highest


def _folded(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    kernel = tensors[f"params/{name}/Conv_0/kernel"].float()  # t h w in out
    scale = (tensors[f"batch_stats/{name}/BatchNorm_0/var"].float() + _EPS).rsqrt()
    shift = (
        tensors[f"params/{name}/BatchNorm_0/bias"] - tensors[f"batch_stats/{name}/BatchNorm_0/mean"] * scale
    )
    return (kernel * scale).permute(4, 3, 0, 1, 2).contiguous(), shift.float()


class I3DNetwork:
    """I3D as a feature network: "features" are the 400 logits, "pooled" the 1024 values below them.

    ``path``: a safetensors file of the names ``params/<unit>/Conv_0/kernel`` (t h w in out), ``params/<unit>/BatchNorm_0/bias``
    and ``batch_stats/<unit>/BatchNorm_0/{mean,var}``; default: ``weights/i3d_kinetics400.safetensors`` of the shared
    folder. ``still``: frame by frame, as still clips ("i3d-frame"). Raises MissingDependencyError without the file; at the first
    call InputError for a file of something else.
    """

    def __init__(self, path: str | Path | None = None, still: bool = False) -> None:
        self.file = shared_file(_FILE) if path is None else Path(path)
        self.still = still
        self.name = "i3d-frame" if still else "i3d"
        self.kind: Kind = "frame" if still else "clip"
        self.fingerprint = fingerprint_of(self.file, f"{self.name} 224 bilinear 1")

    @cached_property
    def network(self) -> I3D:
        """The network; its weights are loaded at the first use."""
        try:
            return I3D(read_weights(self.file), self.still)
        except (KeyError, RuntimeError) as error:
            reason = one_line(error)[:120]
            raise InputError(
                f"weights {self.file} are not I3D's: {reason}; give i3d_kinetics400.safetensors"
            ) from None

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """One clip (or one frame) at a time: more at once are no faster on a processor."""
        pooled, logits = [], []
        for clip in batched(frames):
            x = resized(clip / 127.5 - 1, _SIZE)
            parts = x[:, :, None] if self.still else x.transpose(0, 1)[None]
            for part in parts.split(8 if self.still else 1):
                low, high = self.network(part)
                pooled.append(low)
                logits.append(high)
        shape = (*frames.shape[:2], -1) if self.still else (len(frames), -1)
        low, high = (torch.cat(rows).reshape(shape).numpy() for rows in (pooled, logits))
        return {"features": high, "pooled": low} if not self.still else {"features": high}


def still_network(path: str | Path | None = None) -> I3DNetwork:
    """I3D of single frames, each as an endless still clip: "i3d-frame"."""
    return I3DNetwork(path, still=True)
