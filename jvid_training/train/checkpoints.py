"""Checkpoints of a run: one folder each, written whole or not at all, tensors in safetensors.

checkpoint-00000500/model.safetensors      the network
                    ema.safetensors        its exponential moving average
                    optimizer.safetensors  AdamW's moments, by the parameters' names
                    state.json             step, seconds, recipe, losses, loss on held-out actors
                    manifest.json          the SHA-256 of each of these, compared when it is loaded

A sharded run writes its tensors in parts (`jvid_training.train.shards`).

The last two stay (``training.keep``), and the best on the held-out actors: of few clips a network sooner or later learns the
clips. Of a damaged one the run goes back to the one before.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from jvid.errors import InputError, JvidError, JvidWarning, MissingDependencyError
from jvid.files import read_json, remove, whole_folder, write_json
from jvid.refusals import refusal, unreadable
from jvid_models.weights import read_weights, save_weights
from jvid_training.train.shards import averages_of, is_sharded

MARKER = "state.json"
MANIFEST = "manifest.json"
OWNED = (MANIFEST, "*.safetensors", "optimizer.pt")
T = TypeVar("T")


class DamageError(InputError):
    """A checkpoint is not what was written; another one may be."""


def save_checkpoint(
    out: Path,
    step: int,
    model: Mapping[str, Tensor],
    ema: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    state: dict[str, Any],
    keep: int = 2,
) -> Path:
    """Write ``checkpoint-<step>`` and delete all but the last ``keep`` and the `best`."""
    with open_checkpoint(out, step, state, keep) as folder:
        for name, tensors in (("model", model), ("ema", ema), ("optimizer", moments)):
            save_weights(tensors, folder / f"{name}.safetensors")
    return out / f"checkpoint-{step:08d}"


@contextmanager
def open_checkpoint(out: Path, step: int, state: dict[str, Any], keep: int = 2) -> Iterator[Path]:
    """A hidden folder to put the tensors in, which becomes ``checkpoint-<step>`` at the end of the block."""
    with whole_folder(out / f"checkpoint-{step:08d}", MARKER, OWNED) as folder:
        yield folder
        write_json(folder / MARKER, state)
        write_digests(folder)
    prune(out, keep)


def prune(out: Path, keep: int) -> None:
    """Delete all checkpoints but the last ``keep``, the `best` and those whose state cannot be read: one may be the best."""
    kept = best(out)
    for old in checkpoints(out)[:-keep]:
        if old != kept and _loss(old) is not _UNKNOWN:
            remove(old)


def write_digests(folder: Path) -> None:
    """Add ``manifest.json``: the SHA-256 of each file that is there."""
    digests = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    write_json(folder / MANIFEST, {"format": 1, "sha256": digests})


def verify(folder: Path, what: str, remedy: str) -> None:
    """Compare the files with their digests; a folder older than `write_digests` passes.

    Raises:
        InputError: a file is not what was written, or cannot be read.
    """
    if not (folder / MANIFEST).exists():
        return
    digests = _json(
        folder / MANIFEST, "the digests of its files", remedy, lambda found: dict(found["sha256"])
    )
    for name, expected in digests.items():
        try:
            found = _digest(folder / name)
        except OSError as error:
            gone = f"{what} {folder} is damaged ({name} is gone): {remedy}"
            raise _unreadable(folder / name, error, gone) from error
        if found != expected:
            raise DamageError(
                f"{what} {folder} is damaged ({name}: not the bytes that were written): {remedy}"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checkpoints(out: Path) -> list[Path]:
    """All whole checkpoints of a run, oldest first."""
    return sorted(path for path in out.glob("checkpoint-*") if (path / MARKER).is_file())


def best(out: Path) -> Path | None:
    """The checkpoint of the lowest loss on held-out actors, the earliest of equal ones; None where none has such a loss."""
    losses = {path: _loss(path) for path in checkpoints(out)}
    known = {
        path: loss for path, loss in losses.items() if isinstance(loss, int | float) and math.isfinite(loss)
    }
    return min(known, key=lambda path: known[path]) if known else None


_UNKNOWN = object()


def _loss(path: Path) -> Any:
    """The loss on held-out actors; `_UNKNOWN` where the state cannot be read: such a checkpoint is not deleted."""
    try:
        return read_json(
            path / MARKER, "the state of a run", "resume it", lambda state: state.get("validation")
        )
    except InputError:  # the one that resumes from it gets the error
        return _UNKNOWN


def averages(path: Path) -> dict[str, Tensor]:
    """The weights that a checkpoint would be exported with. Raises `InputError` when it is damaged."""
    remedy = "delete it and resume the run"
    verify(path, "checkpoint", remedy)
    with readable(path, remedy):
        if is_sharded(path):
            return averages_of(path)
        return {**read_weights(path / "model.safetensors"), **read_weights(path / "ema.safetensors")}


def last_whole(out: Path, read: Callable[[Path, dict[str, Any]], T]) -> tuple[Path, dict[str, Any], T] | None:
    """The last checkpoint that is not damaged, its state and what ``read(path, state)`` makes of it; None without checkpoints.

    A damaged one is named in a warning; it is replaced when the run makes its step again.

    Raises:
        InputError: every checkpoint is damaged, or the system refuses to read one.
    """
    remedy = "delete it"
    damaged: list[DamageError] = []
    for path in reversed(checkpoints(out)):
        try:
            verify(path, "checkpoint", remedy)
            state: dict[str, Any] = _json(path / MARKER, "the state of a run", remedy)
            found = read(path, state)
        except DamageError as error:
            damaged.append(error)
            continue
        if damaged:
            warnings.warn(
                f"{'; '.join(map(str, damaged))}; the run goes on from {path.name}", JvidWarning, stacklevel=2
            )
        return path, state, found
    if damaged:
        raise DamageError(
            f"no checkpoint is left to go on from: {'; '.join(map(str, damaged))}, to begin again"
        )
    return None


def read_tensors(path: Path) -> dict[str, dict[str, Tensor]]:
    """``model``, ``ema`` and ``moments`` of a checkpoint; moments that an earlier version wrote go by numbers.

    Raises:
        DamageError: a file is not whole.
        InputError: the system refuses to read one.
    """
    with readable(path, "delete it"):
        return _tensors(path)


def _tensors(path: Path) -> dict[str, dict[str, Tensor]]:
    older = path / "optimizer.pt"
    if older.exists():
        saved = torch.load(older, map_location="cpu", weights_only=True)
        moments = {
            f"{number}.{key}": value
            for number, values in saved.get("state", {}).items()
            for key, value in values.items()
        }
    else:
        moments = read_weights(path / "optimizer.safetensors")
    return {
        "model": read_weights(path / "model.safetensors"),
        "ema": read_weights(path / "ema.safetensors"),
        "moments": moments,
    }


@contextmanager
def readable(path: Path, remedy: str) -> Iterator[None]:
    """Errors of reading as one line: the system's refusals, and damage in a checkpoint without digests."""
    try:
        yield
    except Exception as error:
        # torch's own error of a file that it refuses comes from a module that nothing here imports.
        known = (MissingDependencyError, OSError, ValueError, RuntimeError, EOFError, MemoryError)
        if not isinstance(error, known) and type(error).__name__ != "UnpicklingError":
            raise
        # `read_weights` has its own message for a refusal; for damage it advises to fetch the file again.
        origin = (error.__context__ if isinstance(error, JvidError) else error) or error
        if isinstance(error, InputError) and refusal(path, origin):
            raise
        damaged = f"checkpoint {path} is damaged ({type(error).__name__}: {error}): {remedy}"
        raise _unreadable(path, origin, " ".join(damaged.split())) from None


def _unreadable(path: Path, error: BaseException, damaged: str) -> InputError:
    """The system's refusal, or damage."""
    return refusal(path, error) or DamageError(str(unreadable(path, error, damaged)))


def _json(path: Path, what: str, remedy: str, of: Callable[[dict[str, Any]], Any] = dict) -> Any:
    """A JSON file of a checkpoint; other content than JSON of that shape is damage."""
    try:
        return read_json(path, what, remedy, of)
    except InputError as error:
        if isinstance(error.__cause__, OSError | MemoryError):  # the system's refusal
            raise
        raise DamageError(str(error)) from error
