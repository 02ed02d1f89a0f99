"""What an encoding leaves behind: ``manifest.json``, read and compared; `jvid_training.data.latents` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs
import numpy as np

from jvid.errors import InputError
from jvid.files import read_json
from jvid.refusals import unreadable
from jvid_training.recipe import CodecChoice, Data

FORMAT = 1
_NEWER = ("captions", "holdout_by", "label", "statistics")
"""Keys of `Data` that are newer than some manifests: stated only where they are not the default."""
T = TypeVar("T")


@attrs.frozen
class Sequence:
    """Consecutive frames of one clip in a shard."""

    clip: str
    action: str
    actor: str
    phase: int
    flip: bool
    offset: int
    length: int
    shard: str = ""
    captions: tuple[str, ...] = ()
    attributes: dict[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Manifest:
    """What `encode` leaves behind; see the module's head."""

    key: dict[str, Any]
    sequences: tuple[Sequence, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: dict[str, str]
    fps: float
    frames: int
    holdout: tuple[str, ...]
    format: int = FORMAT

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the classes, sorted."""
        return tuple(sorted({sequence.action for sequence in self.sequences}))


def key_of(data: Data, codec: CodecChoice) -> dict[str, Any]:
    """What the latents depend on, as JSON gives it back: two recipes with the same key share one encoding."""
    plain: dict[str, Any] = cattrs.unstructure(data)
    for name in ("latents", "phrases", "prefixes", *(name for name in _NEWER if not is_set(data, name))):
        del plain[name]
    found: dict[str, Any] = json.loads(json.dumps({"data": plain, "codec": cattrs.unstructure(codec)}))
    return found


def is_set(data: Data, name: str) -> bool:
    """Whether a recipe's data states another value of a key than the default."""
    return bool(getattr(data, name) != getattr(attrs.fields(Data), name).default)


def load_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json``. Raises `InputError` when the folder was never encoded to its end."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise InputError(f"no latents in {folder}: run `jvid encode RECIPE` first")
    manifest: Manifest = read_json(
        path,
        "what `jvid encode` wrote",
        "delete this one file, and `jvid encode` makes it again from the shards",
        _manifest,
    )
    return manifest


def _manifest(document: dict[str, Any]) -> Manifest:
    if document["format"] != FORMAT:
        raise InputError(f"format {document['format']}, expected {FORMAT}; give data.latents another folder")
    return structured(document, Manifest)


def structured(document: Any, kind: type[T]) -> T:
    """A value of ``kind``; ValueError in one line where the document is of another shape."""
    try:
        return cattrs.structure(document, kind)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error)[:2])) from None


def mapped(path: Path) -> np.ndarray:
    """A shard's array as a memory map. Raises `InputError` where it cannot be opened, or is damaged."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError, MemoryError) as error:
        shard = f"{path.name.partition('.')[0]}.json"
        damaged = f"{path} is damaged ({error}): delete {shard} and manifest.json beside it, and encode again"
        raise unreadable(path, error, damaged) from None
    return array
