"""Files of a published network: whether all of their tensors are taken, and a mark by which adapters know them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from jvid.errors import InputError
from jvid.extras import extra
from jvid_models.saved import weight_files
from jvid_training.data.checks import some
from jvid_training.train.parameters import matching

with extra("models"):
    from diffusers import ModelMixin

__all__ = ["check_taken", "mark_of"]

_CHUNK, _APART = 1 << 12, 1 << 20
"""Bytes of a sample of a file, and from one to the next."""


def check_taken(network: nn.Module, folder: Path, unused: Sequence[str]) -> None:
    """Refuse files with tensors that the network does not have, unless patterns name them; missing ones are refused as it loads.

    Raises:
        InputError: it names the tensors; or there are no files.
    """
    own = set(network.state_dict())
    stored = [name for path in _weights(network, folder) for name in _names(path)]
    left = matching(stored, unused, "training.unused")
    if extra := [name for name in stored if name not in own | left]:
        raise InputError(
            f"network.pipeline: {len(extra)} of {len(stored)} tensors in {folder} are not of its {type(network).__name__} "
            f"({some(extra)}); correct its config.json, or name them in training.unused"
        )


def mark_of(network: nn.Module, folder: Path) -> Tensor:
    """A mark of a network's weights in a folder ``(32,)``, uint8, of 4 kB of each MB: adapters belong to these weights.

    Raises:
        InputError: there are none.
    """
    digest = hashlib.sha256()
    for path in _weights(network, folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for start in range(0, size, _APART):
                file.seek(start)
                digest.update(file.read(_CHUNK))
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).clone()


def _weights(network: nn.Module, folder: Path) -> list[Path]:
    """The files that are loaded; models of transformers have another name for them."""
    return weight_files(folder, "diffusion_pytorch_model" if isinstance(network, ModelMixin) else "model")


def _names(path: Path) -> Iterator[str]:
    with safe_open(path, "pt") as file:
        yield from file.keys()
