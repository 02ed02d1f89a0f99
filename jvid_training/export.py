"""Finished runs, and parts of earlier pairs -> one pair that `jvid.load("pair", folder)` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jvid.errors import InputError
from jvid.files import check_folder, read_json
from jvid.paper import TABLE_6
from jvid.strategy.strategy import Strategy
from jvid_models.ensembles.folder import Pair
from jvid_models.weights import read_weights
from jvid_training.data.latents import key_of, load_manifest
from jvid_training.data.prompts import build_table
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.checkpoints import checkpoints, verify
from jvid_training.train.networks import build_network

if TYPE_CHECKING:
    from torch import nn


def read_run(folder: Path, kind: str) -> tuple[Recipe, nn.Module]:
    """Recipe and averaged network of a run's ``final/``, or of its last checkpoint while it still trains."""
    final = folder / "final"
    if (final / "run.json").is_file():
        verify(final, "run", "delete it, and `jvid train` writes it again from the last checkpoint")
        described, weights = final / "run.json", final / "model.safetensors"
    elif found := checkpoints(folder):
        verify(found[-1], "checkpoint", "delete it and resume the run")
        described, weights = found[-1] / "state.json", found[-1] / "ema.safetensors"
    else:
        raise InputError(
            f"no run in {folder}: expected the `out` folder of its {kind} recipe, after `jvid train`"
        )
    recipe = read_json(
        described,
        "what `jvid train` wrote",
        "train again",
        lambda found: structure_recipe(found["recipe"], "recipe"),
    )
    if recipe.kind != kind:
        raise InputError(
            f"{folder} is a run of kind {recipe.kind}: expected {kind}; the order is IMAGE VIDEO DECODER"
        )
    network = build_network(recipe)
    state = network.state_dict()
    state.update(read_weights(weights))
    network.load_state_dict(state)
    return recipe, network.eval()


def export_runs(
    image: Path,
    video: Path,
    decoder: Path,
    out: Path,
    strategy: Path | None = None,
    guides: Mapping[str, Path] | None = None,
) -> Pair:
    """Write the pair's folder whole or not at all; a part that is not trained anew is named by its pair's folder.

    ``guides``: name -> a run of a video recipe, or a pair, whose video model (or guide of that name) it is.

    Raises `InputError` when the parts do not belong together.
    """
    from jvid_models.ensembles.export import MARKER, OWNED, export_pair

    check_folder(out, MARKER, OWNED)  # before anything is loaded
    folders = {"image": image, "video": video, "decoder": decoder}
    pairs = {kind: Pair(folder) for kind, folder in folders.items() if (folder / "pair.json").is_file()}
    runs = {kind: read_run(folder, kind) for kind, folder in folders.items() if kind not in pairs}
    if not runs:
        raise InputError("three pairs and no run: expected at least one `out` folder of a recipe")
    main = "video" if "video" in runs else next(iter(runs))
    recipe = runs[main][0]
    for kind, (other, _) in runs.items():
        if key_of(other.data, other.codec) != key_of(recipe.data, recipe.codec):
            raise InputError(
                f"the {kind} run was trained on other latents than the {main} run: export runs of one encoding"
            )
        if kind != "decoder" and (other.schedule != recipe.schedule or other.text != recipe.text):
            raise InputError(
                f"the {kind} and the {main} run differ in schedule or text: export runs that share both"
            )
    extra = {name: _guide(name, folder, recipe) for name, folder in (guides or {}).items()}
    modules: dict[str, Any] = {kind: network for kind, (_, network) in runs.items()}
    modules |= {kind: pair.module(kind) for kind, pair in pairs.items()}
    manifest = load_manifest(Path(recipe.data.latents))
    side = recipe.data.size // int(modules["decoder"].factor)
    known = next(iter(pairs.values()), None)
    meta: dict[str, Any] = {
        "name": known.name if known else recipe.name.removesuffix(f"-{main}"),
        "schedule": _scheduler_config(recipe),
        "latents": {
            "shape": [len(manifest.mean), recipe.data.frames, side, side],
            "mean": list(manifest.mean),
            "std": list(manifest.std),
        },
        "fps": recipe.data.fps,
        "strategy": known.strategy.to_dict() if known and strategy is None else _strategy(recipe, strategy),
    }
    for kind, pair in pairs.items():
        if different := [
            key for key in ("schedule", "latents", "fps") if not _alike(pair.meta[key], meta[key])
        ]:
            raise InputError(
                f"the {kind} model of the pair in {folders[kind]} and the {main} run differ in {', '.join(different)}: "
                "export parts of one encoding and schedule"
            )
    table = build_table(manifest.actions, recipe.data, recipe.text)
    return export_pair(out, modules["image"], modules["video"], modules["decoder"], table, meta, extra)


def _alike(one: Any, other: Any) -> bool:
    """Equal; the latents' statistics to a thousandth, since another machine encodes the same frames to slightly others."""
    if not isinstance(one, Mapping) or "mean" not in one:
        return bool(one == other)
    near = (np.allclose(one[key], other[key], rtol=1e-3, atol=1e-3) for key in ("mean", "std"))
    return bool(one["shape"] == other["shape"]) and all(near)


def _guide(name: str, folder: Path, recipe: Recipe) -> nn.Module:
    if not (folder / "pair.json").is_file():
        own, network = read_run(folder, "video")
        if (key_of(own.data, own.codec), own.schedule) != (
            key_of(recipe.data, recipe.codec),
            recipe.schedule,
        ):
            raise InputError(
                f"guide {name!r} was trained on other latents or another schedule: expected a run like the others"
            )
        return network
    pair = Pair(folder)
    return pair.module(name if name in pair.guides else "video")


def _strategy(recipe: Recipe, path: Path | None) -> dict[str, Any]:
    if path is not None:
        return Strategy.load(path).to_dict()
    # The paper tuned three resolutions; another size takes the nearest.
    return Strategy.paper(min(TABLE_6, key=lambda size: abs(size - recipe.data.size))).to_dict()


def _scheduler_config(recipe: Recipe) -> dict[str, Any]:
    from jvid_models.networks.table1 import SCHEDULER

    if recipe.schedule.name != "scaled-linear" or recipe.schedule.options:
        raise InputError(
            f"schedule {recipe.schedule.name}: a pair is exported on the paper's scaled-linear schedule only"
        )
    return dict(SCHEDULER)
