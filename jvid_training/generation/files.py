"""A batch's file: ``batch-00000012.safetensors``, the unit that is whole or not at all.

    frames    uint8    (n f H W 3)
    latents   float32  (n c f h w)
    "jvid"    {"clips": [{"prompt", "seed", "digest"}], "calls": {...}, "seconds": {...}, "decoding": ...}

A digest is of one clip's frames: what is read back is what was written, and a set is known by its digests.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from jvid.errors import InputError
from jvid.files import whole_file
from jvid.refusals import openable, parse_json, unreadable
from jvid_training.generation.spec import Spec

__all__ = ["batch_path", "digest", "finished", "read_record", "read_tensor", "write_batch"]

_NAME = re.compile(r"batch-(\d{8})\.safetensors")


def batch_path(folder: Path, batch: int) -> Path:
    """Where a batch's file is."""
    return folder / f"batch-{batch:08d}.safetensors"


def finished(folder: Path) -> list[int]:
    """The batches that have a file, in order."""
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(name[1]) for name in names if name)


def digest(frames: np.ndarray) -> str:
    """Of one clip ``(f H W 3)``."""
    return hashlib.blake2b(np.ascontiguousarray(frames).data, digest_size=16).hexdigest()


def write_batch(
    folder: Path, batch: int, frames: np.ndarray, latents: np.ndarray, record: dict[str, Any]
) -> None:
    """Write a batch's file and see it safe on the disk.

    Raises:
        InputError: the system refuses, as with a full disk.
    """
    from safetensors.numpy import save

    # safetensors takes an array's memory as it lies, whatever its strides.
    tensors = {"frames": np.ascontiguousarray(frames), "latents": np.ascontiguousarray(latents)}
    data = save(tensors, {"jvid": json.dumps(record)})

    with whole_file(batch_path(folder, batch)) as part:
        part.write_bytes(data)


def read_record(folder: Path, batch: int, spec: Spec) -> dict[str, Any]:
    """The record of a batch, read from the header of its file; the clips must be those of the spec.

    Raises:
        InputError: a damaged file, or one of another set.
    """
    from safetensors import SafetensorError, safe_open

    path = batch_path(folder, batch)
    try:
        openable(path)
        with safe_open(path, "np") as file:
            kinds = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
            found = {name: (kind.get_dtype(), kind.get_shape()) for name, kind in kinds.items()}
            record: dict[str, Any] = parse_json((file.metadata() or {})["jvid"])
        latents, (height, width), n = spec.latents, spec.size, spec.batch
        expected = {"frames": ("U8", [n, spec.frames, height, width, 3]), "latents": ("F32", [n, *latents])}
        if found != expected:
            raise ValueError(f"it holds {found}")
        if [(clip["prompt"], clip["seed"]) for clip in record["clips"]] != [
            (clip.prompt, clip.seed) for clip in spec.clips(batch)
        ]:
            raise ValueError("it holds other clips")
        _check_record(record)
    except (SafetensorError, OSError, MemoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, error, str(_damaged(path, str(error)))) from error
    return record


def _check_record(record: dict[str, Any]) -> None:
    """Raises ValueError, KeyError or TypeError where a record lacks something, or holds something else than numbers."""
    if not all(isinstance(clip["digest"], str) for clip in record["clips"]):
        raise ValueError("a digest is no text")
    for value in (*record["calls"].values(), *record["seconds"].values(), record["decoding"]):
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
            raise ValueError(f"{value!r} among its calls and seconds")


def read_tensor(folder: Path, batch: int, name: str, record: dict[str, Any]) -> np.ndarray:
    """The frames or the latents of a batch, by name; frames are compared with their digests.

    Raises:
        InputError: a file that is damaged or gone.
    """
    from safetensors import SafetensorError, safe_open

    path = batch_path(folder, batch)
    try:
        openable(path)
        with safe_open(path, "np") as file:
            values: np.ndarray = file.get_tensor(name)
    except (SafetensorError, OSError, MemoryError) as error:
        raise unreadable(path, error, str(_damaged(path, str(error)))) from error
    if name == "frames":
        for row, clip in enumerate(record["clips"]):
            if digest(values[row]) != clip["digest"]:
                raise _damaged(path, f"the frames of its clip {row} are not those that were written")
    return values


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}): delete it, and the same jvid generate makes it again")
