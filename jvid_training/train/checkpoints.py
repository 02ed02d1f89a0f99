"""Checkpoints of a run: one folder each, written whole or not at all, weights in safetensors.

checkpoint-00000500/model.safetensors   the network
                    ema.safetensors     its exponential moving average
                    optimizer.pt        AdamW's moments, read with weights_only=True
                    state.json          step, seconds, recipe, losses, loss on held-out actors

The last two stay, and the best on the held-out actors: of few clips a network sooner or later learns the clips.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jvid.errors import InputError, MissingDependencyError
from jvid_models.weights import read_weights, save_weights
from jvid_training.files import remove, write_json, write_whole
from jvid_training.recipe import structure_recipe, to_document

KEEP = 2
# What may differ between the recipe of a checkpoint and the one that resumes it: none of it changes the samples
# or the steps that were already made.
MAY_CHANGE = {
    "training": {"steps", "checkpoint_every", "log_every", "threads", "accumulate", "checkpointing", "final"},
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

    def write(folder: Path) -> None:
        folder.mkdir()
        save_weights(model, folder / "model.safetensors")
        save_weights(ema, folder / "ema.safetensors")
        torch.save(optimizer, folder / "optimizer.pt")
        write_json(folder / "state.json", state)

    write_whole(path, write)
    for old in set(checkpoints(out)[:-KEEP]) - {best(out)}:
        remove(old)
    return path


def checkpoints(out: Path) -> list[Path]:
    """All whole checkpoints of a run, oldest first."""
    return sorted(path for path in out.glob("checkpoint-*") if (path / "state.json").is_file())


def best(out: Path) -> Path | None:
    """The checkpoint of the lowest loss on held-out actors, the earliest of equal ones; None where none has such a loss."""
    losses = {path: _state(path).get("validation") for path in checkpoints(out)}
    known = {path: loss for path, loss in losses.items() if loss is not None}
    return min(known, key=lambda path: known[path]) if known else None


def averages(path: Path) -> dict[str, Tensor]:
    """The weights that a checkpoint would be exported with. Raises `InputError` when it is damaged."""
    try:
        return {**read_weights(path / "model.safetensors"), **read_weights(path / "ema.safetensors")}
    except (OSError, ValueError, MissingDependencyError) as error:
        raise InputError(
            f"checkpoint {path} is damaged ({type(error).__name__}: {error}): delete it and resume the run"
        ) from None


def _state(path: Path) -> dict[str, Any]:
    try:
        state: Any = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # who resumes from it is told
    return state if isinstance(state, dict) else {}


def load_checkpoint(
    path: Path, recipe: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """model, ema, optimizer, state. Raises `InputError` when it is damaged or of another recipe."""
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        model = read_weights(path / "model.safetensors")
        ema = read_weights(path / "ema.safetensors")
        optimizer = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    except (OSError, ValueError, MissingDependencyError, RuntimeError, EOFError) as error:
        raise InputError(
            f"checkpoint {path} is damaged ({type(error).__name__}: {error}): delete it to resume from the one before"
        ) from None
    # Structured first: a key that is newer than the checkpoint stands in it with its default.
    before = to_document(structure_recipe(state["recipe"], f"{path / 'state.json'}"))
    differing = sorted(_differences(*(json.loads(json.dumps(each)) for each in (before, recipe))))
    if differing:
        raise InputError(
            f"{path} was made by another recipe ({', '.join(differing)} differ): give `out` another folder, or restore those keys"
        )
    return model, ema, optimizer, state


def start_from(network: torch.nn.Module, weights: dict[str, Tensor]) -> int:
    """Copy weights into the parameters of the same name; returns how many tensors were taken.

    An image network starts a video network this way: a 1x1 convolution and a linear layer differ in shape only, so
    a tensor of equal size is reshaped. Raises `InputError` when nothing fits.
    """
    own = network.state_dict()
    taken = {
        name: tensor.reshape(own[name].shape)
        for name, tensor in weights.items()
        if name in own
        and own[name].numel() == tensor.numel()
        and own[name].squeeze().shape == tensor.squeeze().shape
    }
    if not taken:
        raise InputError(
            "training.init: no tensor of the file fits the network; expected weights of one with the same channels"
        )
    network.load_state_dict(taken, strict=False)
    return len(taken)


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    differing = []
    for name in old.keys() | new.keys():
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            differing += _differences(a, b, f"{prefix}{name}.")
        elif a != b and name not in MAY_CHANGE.get(prefix.rstrip("."), set()):
            differing.append(f"{prefix}{name}")
    return differing
