"""What an encoding leaves behind: ``manifest.json`` and ``index.safetensors``, read and compared.

`jvid_training.data.latents` writes them. The manifest holds what the latents depend on, their statistics, the clips that were
skipped and the digests of the shards and of the index, which holds the sequences (`jvid_training.data.sequences`). So the
SHA-256 of the manifest is that of the encoding: two processes with the same digest train on the same rows.

A manifest of format 1 lists its sequences itself, beside ``.npy`` shards without digests.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load

from jvid.errors import InputError
from jvid.files import read_json, write_json
from jvid.refusals import unreadable
from jvid_models.weights import save_weights
from jvid_training.data.sequences import Sequence, Sequences
from jvid_training.jobs.agreement import digest
from jvid_training.recipe import CodecChoice, Data
from jvid_training.recipe_buckets import Bucket

__all__ = [
    "FORMAT",
    "Manifest",
    "Sequence",
    "is_set",
    "key_of",
    "load_manifest",
    "save_manifest",
    "sequence_of",
]

FORMAT = 2
_INDEX = "index.safetensors"
_NEWER = (
    "captions",
    "holdout_by",
    "label",
    "statistics",
    "normalise",
    "source",
    "lists",
    "buckets",
    "aspects",
)
"""Keys of `Data` that are newer than some manifests: stated only where they are not the default."""
T = TypeVar("T")


@attrs.frozen
class _Head:
    """The keys of ``manifest.json``."""

    key: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: dict[str, str]
    fps: float
    frames: int
    holdout: tuple[str, ...]
    shards: dict[str, str]
    """Digest of each file of rows, by its name without the ending; none in format 1."""
    buckets: tuple[Bucket, ...] = attrs.field(default=(), kw_only=True)
    """That the sequences are of, their frames those of latents; none where the recipe states none."""
    encoder: str = attrs.field(default="", kw_only=True)
    """Digest of the weights that encoded (`jvid_training.data.encoder_weights`); "" where it is not known."""


@attrs.frozen
class Manifest(_Head):
    """What `encode` leaves behind; see the module's head."""

    sequences: Sequences
    digest: str = attrs.field(default="", eq=False)
    """Of the whole encoding."""

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the classes, sorted."""
        return tuple(sorted(set(self.sequences.names["action"])))

    def windows(self) -> np.ndarray:
        """How many windows each sequence has ``(n,)``."""
        lengths = np.asarray([bucket.frames for bucket in self.buckets] or [self.frames], np.int64)
        own, bucket = (self.sequences.of_each(name) for name in ("length", "bucket"))
        counts: np.ndarray = np.maximum(own.astype(np.int64) - lengths[bucket] + 1, 0)
        return counts


def key_of(data: Data, codec: CodecChoice) -> dict[str, Any]:
    """What the latents depend on, as JSON gives it back: two recipes with the same key share one encoding."""
    plain: dict[str, Any] = cattrs.unstructure(data)
    for name in ("latents", "phrases", "prefixes", *(name for name in _NEWER if not is_set(data, name))):
        del plain[name]
    found: dict[str, Any] = json.loads(json.dumps({"data": plain, "codec": cattrs.unstructure(codec)}))
    return found


def is_set(data: Data, name: str) -> bool:
    """Whether a recipe's data states another value of a key than the default."""
    field = getattr(attrs.fields(Data), name)
    default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
    return bool(getattr(data, name) != default)


def save_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write index and manifest, the manifest last; returns what is read back."""
    index = folder / _INDEX
    arrays = manifest.sequences.arrays()  # some are read-only, which torch does not take
    save_weights({name: torch.from_numpy(each.copy()) for name, each in arrays.items()}, index)
    head = {field.name: getattr(manifest, field.name) for field in attrs.fields(_Head)}
    if stated := head.pop("buckets"):
        head["buckets"] = [attrs.asdict(bucket) for bucket in stated]
    write_json(folder / "manifest.json", {"format": FORMAT, "index": digest(index), **head})
    return load_manifest(folder)


def load_manifest(folder: Path) -> Manifest:
    """Read the manifest of an encoding. Raises `InputError` when the folder was never encoded to its end."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise InputError(f"no latents in {folder}: run `jvid encode RECIPE` first")
    manifest: Manifest = read_json(
        path,
        "what `jvid encode` wrote",
        "delete this one file, and `jvid encode` makes it again from the shards",
        lambda document: _manifest(document, folder),
    )
    return attrs.evolve(manifest, digest=digest(path))


def _manifest(document: dict[str, Any], folder: Path) -> Manifest:
    form = document["format"]
    if form not in (1, FORMAT):
        raise InputError(
            f"format {form}, expected at most {FORMAT}; update jvid, or give data.latents another folder"
        )
    if form == 1:
        sequences = Sequences.of(sequence_of(row) for row in document["sequences"])
    else:
        sequences = _index(folder / _INDEX, document["index"])
    head = _structured({"shards": {}, **document}, _Head)
    _check_numbers(head)
    if int(sequences.of_each("bucket").max(initial=0)) > max(len(head.buckets) - 1, 0):
        raise ValueError("sequences of a bucket that there is not")
    return Manifest(**attrs.asdict(head, recurse=False), sequences=sequences)


def _check_numbers(head: _Head) -> None:
    channels = len(head.mean)
    finite = all(math.isfinite(each) for each in (*head.mean, *head.std))
    if not channels or len(head.std) != channels or not finite:
        raise ValueError("mean and std are no numbers of the same channels")
    if min(head.std) <= 0:
        raise InputError(
            f"std {min(head.std):g} of a channel: expected above 0; the codec has a channel that is constant"
        )
    if not (head.frames >= 1 and 0 < head.fps < math.inf):
        raise ValueError(f"frames {head.frames}, fps {head.fps}")


def _index(path: Path, expected: str) -> Sequences:
    try:
        content = path.read_bytes()
        if digest(content) != expected:
            raise ValueError("it is not the bytes that were written")
        return Sequences.of_arrays(load(content))
    except (OSError, ValueError, KeyError, SafetensorError, MemoryError) as error:
        remedy = "delete manifest.json beside it, and `jvid encode` makes both again from the shards"
        raise unreadable(path, error, f"{path} is damaged ({error}): {remedy}") from None


_KINDS = {
    "clip": str,
    "action": str,
    "actor": str,
    "phase": int,
    "flip": bool,
    "offset": int,
    "length": int,
    "shard": str,
}


def sequence_of(row: dict[str, Any]) -> Sequence:
    """A sequence of a manifest of format 1, or of a shard; by hand, as there may be hundreds of thousands."""
    for name, kind in _KINDS.items():
        if type(row[name]) is not kind:
            raise ValueError(f"{name}: got {row[name]!r}, expected {kind.__name__}")
    captions = row.get("captions", ())
    if not all(isinstance(caption, str) for caption in captions):
        raise ValueError(f"captions: got {captions!r}, expected texts")
    plain: dict[str, Any] = {name: row[name] for name in _KINDS}
    plain["bucket"] = int(row.get("bucket", 0))
    return Sequence(**plain, captions=tuple(captions), attributes=dict(row.get("attributes", {})))


def _structured(document: Any, kind: type[T]) -> T:
    """A value of ``kind``; ValueError in one line where the document is of another shape."""
    try:
        return cattrs.structure(document, kind)
    except cattrs.BaseValidationError as error:
        raise ValueError("; ".join(cattrs.transform_error(error)[:2])) from None
