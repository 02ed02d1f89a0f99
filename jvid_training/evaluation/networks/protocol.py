"""Frames of feature networks: from arrays to tensors, resized, and the fingerprint of weights.

    frames uint8 (n f H W 3)  ->  {"features": (n d) or (n f d), ...}  float32

Beside "features", a network may have "logits" or "probabilities" of its classes (for the inception score) and "pooled" (for
the action classifier). Each network resizes frames itself and documents how: codes differ in that, and figures with them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from jvid.errors import InputError, MissingDependencyError

Kind = Literal["clip", "frame"]


def batched(frames: np.ndarray) -> Tensor:
    """Frames ``(n f H W 3)`` uint8 -> ``(n f 3 H W)`` float32 in 0..255; InputError for another shape."""
    if frames.ndim != 5 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise InputError(f"frames {frames.dtype} {frames.shape}: expected uint8 (n, f, H, W, 3)")
    # A copy: a memory map cannot be written to, which torch warns of.
    return torch.from_numpy(np.array(frames)).permute(0, 1, 4, 2, 3).float()


def resized(frames: Tensor, size: int) -> Tensor:
    """``(n 3 H W)`` -> ``(n 3 size size)``: bilinear, corners not aligned, no antialiasing, aspect not kept."""
    if frames.shape[-2:] == (size, size):
        return frames
    return F.interpolate(frames, size=(size, size), mode="bilinear", align_corners=False)


def fingerprint_of(file: Path, preprocessing: str) -> str:
    """Of a file of weights and how frames are prepared for them."""
    digest = hashlib.sha256(preprocessing.encode())
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        raise MissingDependencyError(f"no weights file {file}: put it there or give its path") from None
    except OSError as error:
        raise InputError(
            f"cannot read weights {file}: {error.strerror or error}; give another path"
        ) from None
    return digest.hexdigest()
