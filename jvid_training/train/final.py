"""What a run leaves at its end: ``final/`` with ``model.safetensors``, ``network.json`` and ``run.json``, written whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from jvid.files import check_folder, whole_folder, write_json
from jvid_models.weights import save_weights
from jvid_training.recipe import Recipe
from jvid_training.train.checkpoints import MANIFEST, write_digests

__all__ = ["check_final", "write_final"]

MARKER = "run.json"
OWNED = ("model.safetensors", "network.json", MANIFEST)
"""What ``final/`` holds beside `MARKER`."""


def check_final(out: Path) -> Path:
    """The folder ``final``. Raises `InputError` where it cannot be written, before the run."""
    return check_folder(out / "final", MARKER, OWNED)


def write_final(recipe: Recipe, weights: Mapping[str, Tensor], summary: Mapping[str, Any]) -> Path:
    """Write the final weights, and what is known of the run; returns the folder."""
    final = Path(recipe.out) / "final"
    with whole_folder(final, MARKER, OWNED) as folder:
        save_weights(weights, folder / "model.safetensors")
        write_json(folder / "network.json", {"kind": recipe.kind, "options": recipe.network})
        write_json(folder / MARKER, dict(summary))
        write_digests(folder)
    return final
