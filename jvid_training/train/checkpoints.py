"""Checkpoints of a run: one folder each, written whole or not at all, weights in safetensors.

checkpoint-00000500/model.safetensors   the network
                    ema.safetensors     its exponential moving average
                    optimizer.pt        AdamW's moments, read with weights_only=True
                    state.json          step, seconds, recipe, losses, loss on held-out actors
                    manifest.json       the SHA-256 of each of these, compared when it is loaded

The last two stay, and the best on the held-out actors: of few clips a network sooner or later learns the clips.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jvid.documents import check_same
from jvid.errors import InputError, JvidError, MissingDependencyError
from jvid.files import read_json, remove, whole_folder, write_json
from jvid.refusals import refusal, unreadable
from jvid_models.weights import read_weights, save_weights
from jvid_training.recipe import structure_recipe, to_document

KEEP = 2
MARKER = "state.json"
MANIFEST = "manifest.json"
OWNED = (MANIFEST, "model.safetensors", "ema.safetensors", "optimizer.pt")
# What may differ between the recipe of a checkpoint and the one that resumes it: none of it changes the samples
# or the steps that were already made.
MAY_CHANGE = {
    "training": {
        "steps",
        "checkpoint_every",
        "log_every",
        "threads",
        "workers",
        "accumulate",
        "checkpointing",
        "final",
        "trackers",
        "samples_every",
    },
    "samples": {"prompts", "seed", "steps", "ensemble", "expert", "strategy"},
    "optimiser": {"decay"},
}


def save_checkpoint(
    out: Path,
    step: int,
    model: dict[str, Tensor],
    ema: dict[str, Tensor],
    optimizer: dict[str, Any],
    state: dict[str, Any],
) -> Path:
    """Write ``checkpoint-<step>`` and delete all but the last two and the `best`."""
    path = out / f"checkpoint-{step:08d}"
    with whole_folder(path, MARKER, OWNED) as folder:
        save_weights(model, folder / "model.safetensors")
        save_weights(ema, folder / "ema.safetensors")
        with (folder / "optimizer.pt").open("wb") as file:  # a file object: its errors are the system's
            torch.save(optimizer, file)
        write_json(folder / MARKER, state)
        write_digests(folder)
    kept = best(out)
    for old in checkpoints(out)[:-KEEP]:
        if old != kept and _loss(old) is not _UNKNOWN:
            remove(old)
    return path


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
    digests = read_json(
        folder / MANIFEST, "the digests of its files", remedy, lambda found: dict(found["sha256"])
    )
    for name, expected in digests.items():
        try:
            found = _digest(folder / name)
        except OSError as error:
            gone = f"{what} {folder} is damaged ({name} is gone): {remedy}"
            raise unreadable(folder / name, error, gone) from error
        if found != expected:
            raise InputError(
                f"{what} {folder} is damaged ({name}: not the bytes that were written): {remedy}"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checkpoints(out: Path) -> list[Path]:
    """All whole checkpoints of a run, oldest first."""
    return sorted(path for path in out.glob("checkpoint-*") if (path / "state.json").is_file())


def best(out: Path) -> Path | None:
    """The checkpoint of the lowest loss on held-out actors, the earliest of equal ones; None where none has such a loss."""
    losses = {path: _loss(path) for path in checkpoints(out)}
    known = {path: loss for path, loss in losses.items() if isinstance(loss, (int, float))}
    return min(known, key=lambda path: known[path]) if known else None


def averages(path: Path) -> dict[str, Tensor]:
    """The weights that a checkpoint would be exported with. Raises `InputError` when it is damaged."""
    remedy = "delete it and resume the run"
    verify(path, "checkpoint", remedy)
    with _readable(path, remedy):
        return {**read_weights(path / "model.safetensors"), **read_weights(path / "ema.safetensors")}


@contextmanager
def _readable(path: Path, remedy: str) -> Iterator[None]:
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
        raise unreadable(path, origin, " ".join(damaged.split())) from None


_UNKNOWN = object()


def _loss(path: Path) -> Any:
    """The loss on held-out actors; `_UNKNOWN` where the state cannot be read: such a checkpoint is not deleted."""
    try:
        return read_json(
            path / MARKER, "the state of a run", "resume it", lambda state: state.get("validation")
        )
    except InputError:  # the one that resumes from it gets the error
        return _UNKNOWN


def load_checkpoint(
    path: Path, recipe: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """model, ema, optimizer, state. Raises `InputError` when it is damaged or of another recipe."""
    remedy = "delete it to resume from the one before"
    verify(path, "checkpoint", remedy)
    state: dict[str, Any] = read_json(path / MARKER, "the state of a run", remedy)
    with _readable(path, remedy):
        model = read_weights(path / "model.safetensors")
        ema = read_weights(path / "ema.safetensors")
        optimizer = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    # Structured first: a key that is newer than the checkpoint gets its default.
    before = to_document(structure_recipe(state["recipe"], f"{path / 'state.json'}"))
    then, now = (_lasting(json.loads(json.dumps(each))) for each in (before, recipe))
    check_same(
        then, now, f"{path} was made by another recipe", "give `out` another folder, or restore those keys"
    )
    return model, ema, optimizer, state


def _lasting(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without what may change."""
    return {
        section: {name: value for name, value in values.items() if name not in MAY_CHANGE.get(section, ())}
        if isinstance(values, dict)
        else values
        for section, values in recipe.items()
    }
