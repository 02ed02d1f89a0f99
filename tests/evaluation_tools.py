"""Sources of clips and feature networks small enough to evaluate within a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from jvid_training.evaluation.networks.i3d import _BLOCKS


class Clips:
    """Clips in memory, a `ClipSource`."""

    def __init__(
        self, clips: np.ndarray, name: str = "clips", labels: Sequence[str] = (), fps: float = 12.5
    ) -> None:
        self.clips, self.name, self.fps = clips, name, fps
        self.frames = clips.shape[1]
        self.size = (clips.shape[2], clips.shape[3])
        self.labels = tuple(labels) or ("",) * len(clips)
        self.shown = 0

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.clips.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.clips)

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        for start in range(0, len(self), size):
            self.shown += 1
            yield self.clips[start : start + size]


class Means:
    """A feature network: the mean of each colour, by frame or by clip."""

    standard = False

    def __init__(self, kind: str = "frame", name: str = "means", fingerprint: str = "means-1") -> None:
        self.kind, self.name, self.fingerprint = kind, name, fingerprint
        self.calls = 0

    def __call__(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        self.calls += 1
        rows = frames.astype(np.float64).mean((2, 3))
        if self.kind == "clip":
            return {"features": rows.reshape(len(rows), -1), "pooled": rows.mean(1)}
        return {"features": rows, "logits": rows / 10}


def noise(
    count: int, seed: int = 0, frames: int = 4, side: int = 8, low: int = 0, high: int = 256
) -> np.ndarray:
    """Clips of noise, uint8."""
    return np.random.default_rng(seed).integers(low, high, (count, frames, side, side, 3), dtype=np.uint8)


def random_i3d(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of I3D's names and shapes, drawn at random; He's deviation keeps activations of one size."""
    widths = {
        "3b": (192, 64, 96, 128, 16, 32, 32),
        "3c": (256, 128, 128, 192, 32, 96, 64),
        "4b": (480, 192, 96, 208, 16, 48, 64),
        "4c": (512, 160, 112, 224, 24, 64, 64),
        "4d": (512, 128, 128, 256, 24, 64, 64),
        "4e": (512, 112, 144, 288, 32, 64, 64),
        "4f": (528, 256, 160, 320, 32, 128, 128),
        "5b": (832, 256, 160, 320, 32, 128, 128),
        "5c": (832, 384, 192, 384, 48, 128, 128),
    }
    units = [("Conv3d_1a_7x7", 7, 3, 64), ("Conv3d_2b_1x1", 1, 64, 64), ("Conv3d_2c_3x3", 3, 64, 192)]
    for block in _BLOCKS:
        entry, one, low2, high2, low3, high3, pool = widths[block]
        units += [
            (f"Mixed_{block}/Branch_0/Conv3d_0a_1x1", 1, entry, one),
            (f"Mixed_{block}/Branch_1/Conv3d_0a_1x1", 1, entry, low2),
            (f"Mixed_{block}/Branch_1/Conv3d_0b_3x3", 3, low2, high2),
            (f"Mixed_{block}/Branch_2/Conv3d_0a_1x1", 1, entry, low3),
            (f"Mixed_{block}/Branch_2/Conv3d_0b_3x3", 3, low3, high3),
            (f"Mixed_{block}/Branch_3/Conv3d_0b_1x1", 1, entry, pool),
        ]
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, size, before, after in units:
        deviation = (2 / (before * size**3)) ** 0.5
        kernel = torch.randn(size, size, size, before, after, generator=random) * deviation
        tensors[f"params/{name}/Conv_0/kernel"] = kernel
        tensors[f"params/{name}/BatchNorm_0/bias"] = 0.1 * torch.randn(after, generator=random)
        tensors[f"batch_stats/{name}/BatchNorm_0/mean"] = 0.1 * torch.randn(after, generator=random)
        tensors[f"batch_stats/{name}/BatchNorm_0/var"] = 0.5 + torch.rand(after, generator=random)
    tensors["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"] = (
        torch.randn(1, 1, 1, 1024, 400, generator=random) / 32
    )
    tensors["params/Logits/Conv3d_0c_1x1/Conv_0/bias"] = torch.randn(400, generator=random)
    return tensors
