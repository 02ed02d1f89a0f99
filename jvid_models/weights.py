"""Tensors in safetensors files: nothing in such a file is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from jvid.errors import MissingDependencyError, one_line
from jvid.files import whole_file
from jvid.refusals import openable, unreadable

__all__ = ["read_weights", "save_weights"]


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; InputError in one line where it cannot be read, is corrupt or truncated."""
    try:
        openable(path)  # safetensors reports every file that it cannot open as "no such file"
        return load_file(str(path))
    except FileNotFoundError:
        raise MissingDependencyError(f"no weights file {path}: put it there or give its path") from None
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        reason = one_line(error, first=True)
        raise unreadable(
            path,
            error,
            f"cannot read weights {path}: {reason}; expected a whole safetensors file, fetch it again",
        ) from None


def save_weights(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write ``tensors`` on the CPU to a file that every user may read (safetensors' own is its owner's alone).

    Whole or not at all; raises InputError where the system refuses, as with a full disk.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as part:
        save_file(plain, str(part), metadata=None if metadata is None else dict(metadata))
        part.chmod(0o644)
