"""Which recipes may go on from a checkpoint: those that differ in what changes neither the samples nor the steps made before.

What does differ is recorded in the run, with the step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from jvid.documents import check_same, differences
from jvid_training.data.encoder_weights import check_same_encoder, digest_in
from jvid_training.recipe import Optimiser, Samples, structure_recipe, to_document

__all__ = ["MAY_CHANGE", "changes_of"]

MAY_CHANGE = {
    "training": {
        "steps", "checkpoint_every", "log_every", "threads", "workers", "trackers", "accumulate", "checkpointing", "final",
        "precision", "keep", "non_finite", "max_skips", "divergence", "sharding", "compile", "samples_every",
    },
    "samples": {field.name for field in attrs.fields(Samples)},
    "optimiser": {field.name for field in attrs.fields(Optimiser)},
}  # fmt: skip


def changes_of(
    path: Path, state: dict[str, Any], recipe: dict[str, Any], words: dict[str, Any] | None, encoder: str = ""
) -> list[Any]:
    """The changes of a run's recipe on the way to ``recipe``, the last ones from the checkpoint's.

    Args:
        path: of the checkpoint, for errors.
        state: of the checkpoint.
        recipe: as plain data.
        words: the vocabulary of the run, if it has one.
        encoder: digest of the weights that encoded its latents; "" where it is not known.

    Raises:
        InputError: the checkpoint is of another recipe, of other words, or of latents of other weights.
    """
    # Structured first: a key that is newer than the checkpoint gets its default.
    before = to_document(structure_recipe(state["recipe"], f"{path / 'state.json'}"))
    then, now = (json.loads(json.dumps(each)) for each in (before, recipe))
    if "text_width" not in then["network"]:  # it was the encoder's then, too, and not recorded
        now["network"].pop("text_width", None)
    check_same(
        _lasting(then),
        _lasting(now),
        f"{path} was made by another recipe",
        "give `out` another folder, or restore those keys",
    )
    remedy = "give `out` another folder, or restore its vocabulary"
    check_same(state.get("text"), words, f"{path} was trained on other words", remedy)
    check_same_encoder(
        digest_in(state),
        encoder,
        f"{path} was trained on latents of other weights of the autoencoder",
        "give `out` another folder, or delete it",
    )
    earlier = list(state.get("changes", []))
    changed = differences(*({**each, "out": None} for each in (then, now)))
    return [*earlier, {"step": state["step"], "keys": changed}] if changed else earlier


def _lasting(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without what may change; a run's folder may be moved."""
    return {
        section: {name: value for name, value in values.items() if name not in MAY_CHANGE.get(section, ())}
        if isinstance(values, dict)
        else values
        for section, values in recipe.items()
        if section != "out"
    }
