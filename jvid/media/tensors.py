"""Latents as safetensors: one tensor "latents"; the metadata is "jvid" in the header."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["load", "read", "write"]


def write(part: Path, latents: Tensor, text: str) -> None:
    """Write latents ``(b c f h w)``."""
    from safetensors.torch import save

    part.write_bytes(save({"latents": latents.detach().cpu().contiguous()}, {"jvid": text}))


def read(path: Path) -> str:
    """The header's "jvid"."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return str((file.metadata() or {}).get("jvid", ""))


def load(path: Path) -> Tensor:
    """The latents."""
    from safetensors.torch import load_file

    return load_file(path)["latents"]
