"""Files that a model takes beside its prompt: pictures, clips and tensors. The ending selects what a file holds.

.png .jpg .jpeg .bmp .webp               a picture of Pillow, RGB
.mp4 .mov .avi .mkv .webm .gif ...       a list of pictures, a frame each (`jvid.media.clips`)
.safetensors .npy                        a tensor; nothing is unpickled
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.extras import extra
from jvid.media.arrays import mapped_array
from jvid.media.clips import CLIPS, IMAGES, whole_clip
from jvid.media.stills import still
from jvid.refusals import refusal

__all__ = ["check_ending", "read_given"]


def check_ending(path: str | Path) -> Path:
    """The path, if a file of its ending can be read.

    Raises:
        InputError: no such file, or another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{str(path)!r} ends in {path.suffix!r}: expected {', '.join(_READERS)}")
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: expected a picture, a clip or a tensor")
    return path


def read_given(path: str | Path) -> Any:
    """What a file holds: a picture, a list of pictures, or a tensor.

    Raises:
        InputError: no such file, another ending, or a damaged file.
        MissingDependencyError: the library that reads it is not installed.
    """
    path = check_ending(path)
    try:
        return _READERS[path.suffix.lower()](path)
    except (InputError, MissingDependencyError):
        raise
    except Exception as error:  # each library has its own errors for a damaged file
        if found := refusal(path, error):
            raise found from error
        raise InputError(f"cannot read {str(path)!r}: {one_line(error, typed=True)}; is it whole?") from error


def _clip(path: Path) -> list[Any]:
    with extra("media"):
        from PIL import Image

    return [Image.fromarray(frame) for frame in whole_clip(path).frames]


def _tensor(path: Path) -> Any:
    from safetensors.torch import load_file

    tensors = load_file(path)
    if len(tensors) != 1:
        raise InputError(f"{str(path)!r} holds {len(tensors)} tensors: expected one")
    return next(iter(tensors.values()))


def _array(path: Path) -> Any:
    import numpy as np
    import torch

    return torch.from_numpy(np.array(mapped_array(path)))


_READERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys(sorted(IMAGES), still),
    **dict.fromkeys(sorted(CLIPS), _clip),
    ".safetensors": _tensor,
    ".npy": _array,
}
