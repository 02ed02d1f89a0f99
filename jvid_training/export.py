"""Finished runs, and parts of earlier exports, to one ensemble that `jvid.load("ensemble", folder)` reads.

What an expert denoises follows from the kind of its recipe: an image run's frames, a video run's clips. All parts share one
latent space and one noise schedule; experts share a table of prompts, or each has the encoder of known words of its run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np

from jvid import paper
from jvid.ensemble import Composition, Ensemble
from jvid.errors import InputError, JvidError
from jvid.files import check_folder, read_json
from jvid.strategy import EVERY, Strategy
from jvid_models.adapters.pipelines.folders import is_pipeline_folder
from jvid_models.diffusion_pipeline.folder import DOCUMENT
from jvid_models.ensembles.folder import EnsembleFolder, is_ensemble_folder
from jvid_models.networks.autoencoder import Autoencoder, is_autoencoder_folder
from jvid_models.text import EmbeddingTable
from jvid_models.weights import read_weights
from jvid_models.words import Words
from jvid_training.data.encoder_weights import digest_in
from jvid_training.data.manifest import Manifest, load_manifest
from jvid_training.data.prompts import load_text
from jvid_training.export_checks import check_encoded_by, check_run_encoder, check_shared
from jvid_training.published.export import TrainedModel, export_pipelines, trained_model
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.recipe_buckets import buckets_of
from jvid_training.train.checkpoints import MARKER, averages, checkpoints, verify
from jvid_training.train.joint import manifests_of
from jvid_training.train.networks import build_network, conditioned, unet_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jvid_models.ensembles.export import ExportedExpert, Layout

__all__ = ["FinishedRun", "Part", "export_runs", "read_published", "read_run"]

_DENOISES: Mapping[str, Literal["clips", "frames"]] = {"image": "frames", "video": "clips"}
"""What a network of a kind of recipe denoises."""
_WRAPPERS = (f"guided:scale={paper.GUIDANCE}",)
"""The default stack of an expert that was trained here: prompts were dropped, so that guidance has a null condition."""


@attrs.frozen
class Part:
    """Where a part of an export comes from.

    Attributes:
        folder: the ``out`` folder of a recipe, or that of an ensemble.
        expert: which expert of an ensemble; "" is the one of the same name, else its only one or its only one of clips.
        kinds: of a run; which recipes can have made it.
    """

    folder: Path
    expert: str = ""
    kinds: tuple[str, ...] = ("image", "video")

    @classmethod
    def parse(cls, text: str) -> Part:
        """``FOLDER`` or ``FOLDER#EXPERT``."""
        folder, _, expert = text.partition("#")
        return cls(Path(folder), expert)

    @property
    def is_published(self) -> bool:
        """Whether it is a diffusers pipeline, or a run that started from one."""
        if is_pipeline_folder(self.folder):
            return True
        if self.is_ensemble:
            return False
        return read_json(
            _described(self.folder, self.kinds),
            "what `jvid train` wrote",
            "train again",
            lambda found: structure_recipe(found["recipe"], "recipe").published is not None,
        )

    @property
    def is_ensemble(self) -> bool:
        """Whether it is a part of an earlier export."""
        return is_ensemble_folder(self.folder)


@attrs.frozen(eq=False)
class FinishedRun:
    """A run's recipe, its averaged network, and its text encoder where that takes any prompt of known words."""

    recipe: Recipe
    network: nn.Module
    words: Words | None = None
    encoder: str = ""
    """Digest of the weights that encoded its latents; "" where it is not known."""


def read_run(folder: Path, *kinds: str) -> FinishedRun:
    """A run's ``final/``, or its last checkpoint while it still trains.

    Raises:
        InputError: there is no run, it is damaged, or its recipe is of none of the ``kinds``.
    """
    recipe, vocabulary, encoder, weights = _read_weights(folder, kinds)
    if recipe.published is not None:
        raise InputError(f"{folder} is a run of a published model: it is exported with --expert or --lora")
    words = None if vocabulary is None else Words.of_config(vocabulary)
    network = conditioned(build_network(recipe), words)
    network.load_state_dict({**network.state_dict(), **weights})
    return FinishedRun(recipe, unet_of(network.eval()), words, encoder)


def read_published(folder: Path, *kinds: str) -> TrainedModel:
    """A run of a published model, as `read_run` reads it.

    Raises:
        InputError: there is no such run, or its model is not what it started from.
    """
    recipe, _, _, weights = _read_weights(folder, kinds)
    if recipe.published is None:
        raise InputError(
            f"{folder} is a run of a network of its own: expected one of a recipe with network.pipeline"
        )
    return trained_model(recipe, weights)


def _read_weights(folder: Path, kinds: tuple[str, ...]) -> tuple[Recipe, Any, str, dict[str, Tensor]]:
    """Recipe, vocabulary, digest of the encoder and averaged weights of ``final/``, or of the last checkpoint."""
    described = _described(folder, kinds)
    if described.name == MARKER:
        weights = averages(described.parent)
    else:
        verify(
            described.parent, "run", "delete it, and `jvid train` writes it again from the last checkpoint"
        )
        weights = read_weights(described.parent / "model.safetensors")
    recipe, vocabulary, encoder = read_json(
        described,
        "what `jvid train` wrote",
        "train again",
        lambda found: (
            structure_recipe(found["recipe"], "recipe"),
            found.get("text"),
            digest_in(found),
        ),
    )
    if recipe.kind not in kinds:
        raise InputError(f"{folder} is a run of kind {recipe.kind}: expected {' or '.join(kinds)}")
    return recipe, vocabulary, encoder, weights


def _described(folder: Path, kinds: tuple[str, ...]) -> Path:
    """The file that describes a run: of ``final/``, or of its last checkpoint."""
    final = folder / "final" / "run.json"
    if final.is_file():
        return final
    if found := checkpoints(folder):
        return found[-1] / MARKER
    raise InputError(
        f"no run in {folder}: expected the `out` folder of its {' or '.join(kinds)} recipe, after `jvid train`"
    )


def export_runs(
    experts: Mapping[str, Part],
    decoder: Part | None,
    out: Path,
    strategy: Path | None = None,
    layout: Layout = "files",
) -> Ensemble:
    """Write the ensemble's folder, whole or not at all.

    Args:
        experts: by name, in the ensemble's order.
        decoder: a run of a decoder recipe, or an ensemble, whose decoder it is; or the diffusers folder of the autoencoder that
            encoded the latents, or of one with the same encoder, which is stored whole. None for published models, which have
            their own.
        out: the folder.
        strategy: file of the recommended strategy; None is that of the first ensemble of which a part is kept under its name,
            else the paper's; none where its experts are not there.
        layout: as of `jvid_models.ensembles.export.export_ensemble`; published models always are pipelines of diffusers.

    Raises:
        InputError: parts that do not belong together, no run among them, an expert of what is no ensemble, or a folder that
            holds anything but an export.
    """
    from jvid_models.ensembles.export import ExportedExpert, check_target, export_ensemble

    for name, part in {**experts, **({} if decoder is None else {"decoder": decoder})}.items():
        if part.expert and not part.is_ensemble:
            raise InputError(f"{name}: {part.folder} is no ensemble: leave #{part.expert} out")
    if any(part.is_published for part in experts.values()):
        return _export_published(experts, decoder, out, strategy)
    if decoder is None:
        raise InputError("no decoder: expected --decoder RUN, of a decoder recipe or an ensemble")
    check_target(out)  # before anything is loaded
    autoencoder = Autoencoder.load(decoder.folder) if is_autoencoder_folder(decoder.folder) else None
    every = {**experts, "decoder": attrs.evolve(decoder, kinds=("decoder",))}
    if autoencoder is not None:
        del every["decoder"]
    if "decoder" in experts:
        raise InputError("expert 'decoder': expected another name, the decoder's file has it")
    ensembles = {name: EnsembleFolder(part.folder) for name, part in every.items() if part.is_ensemble}
    runs = {name: read_run(part.folder, *part.kinds) for name, part in every.items() if name not in ensembles}
    if not runs:
        raise InputError("ensembles and no run: expected at least one `out` folder of a recipe")
    main = next((name for name, run in runs.items() if run.recipe.kind == "video"), next(iter(runs)))
    recipe = runs[main].recipe
    manifest = load_manifest(Path(recipe.data.latents))
    for name, run in runs.items():
        tables = run.words is None and runs[main].words is None
        check_shared(name, run.recipe, main, recipe, manifest, tables)
        check_run_encoder(name, run.encoder, run.recipe)
    exported: dict[str, ExportedExpert] = {}
    for name, part in experts.items():
        if name in ensembles:
            exported[name] = _of_ensemble(ensembles[name], name, part)
        else:
            own = runs[name]
            exported[name] = ExportedExpert(own.network, _DENOISES[own.recipe.kind], _WRAPPERS, own.words)
    made: Any
    if autoencoder is not None:
        check_encoded_by(autoencoder, decoder.folder, recipe, manifest)
        made = autoencoder
    else:
        made = runs["decoder"].network if "decoder" in runs else ensembles["decoder"].module("decoder")
    first = buckets_of(recipe.data)[0]
    rows, columns = (side // int(made.factor) for side in first.size)
    known = next((each for name, each in ensembles.items() if _keeps(every[name], name, each)), None)
    meta: dict[str, Any] = {
        "name": known.meta["name"] if known else _name(recipe, main),
        "schedule": _scheduler_config(recipe),
        "latents": {
            "shape": [len(manifest.mean), first.frames, rows, columns],
            "mean": list(manifest.mean),
            "std": list(manifest.std),
        },
        "fps": recipe.data.fps,
        "strategy": _recommended(strategy, known, exported, recipe),
    }
    for name, folder in ensembles.items():
        values = folder.meta
        if different := [key for key in ("schedule", "latents", "fps") if not _alike(values[key], meta[key])]:
            raise InputError(
                f"the {name} model of the ensemble in {folder.folder} and the {main} run differ in {', '.join(different)}: "
                "export parts of one encoding and schedule"
            )
    table = _table(exported, ensembles, manifest, recipe)
    return export_ensemble(out, exported, made, table, meta, layout)


def _export_published(
    experts: Mapping[str, Part], decoder: Part | None, out: Path, strategy: Path | None
) -> Ensemble:
    """Experts that are diffusers pipelines, as a folder of one pipeline each."""
    if decoder is not None:
        raise InputError("a decoder beside a published model, whose own autoencoder decodes: leave it out")
    if own := [name for name, part in experts.items() if not part.is_published]:
        raise InputError(
            f"expert {own[0]!r} is no published model, and others are: export them apart, and join the two folders: "
            f"--expert {own[0]}=FOLDER#{own[0]}"
        )
    check_folder(out, DOCUMENT, ())  # before anything is loaded
    return export_pipelines(
        {
            name: part.folder if is_pipeline_folder(part.folder) else read_published(part.folder, *part.kinds)
            for name, part in experts.items()
        },
        out,
        strategy,
    )


def _table(
    exported: Mapping[str, ExportedExpert],
    ensembles: Mapping[str, EnsembleFolder],
    manifest: Manifest,
    recipe: Recipe,
) -> EmbeddingTable | None:
    """The prompts of the main run, or else of an earlier export; None where no expert needs them."""
    if all(expert.words is not None for expert in exported.values()):
        return None
    found = load_text(manifests_of(recipe, manifest), recipe.data, recipe.text)
    if isinstance(found, EmbeddingTable):
        return found
    return next(iter(ensembles.values())).text_encoder()


def _keeps(part: Part, name: str, folder: EnsembleFolder) -> bool:
    """Whether a part of an ensemble keeps its name, so that the export goes on with that ensemble."""
    return name == "decoder" or (part.expert in ("", name) and name in folder.experts)


def _of_ensemble(folder: EnsembleFolder, name: str, part: Part) -> ExportedExpert:
    """The expert of an earlier export that a part names."""
    from jvid_models.ensembles.export import ExportedExpert

    described = folder.meta["experts"]
    clips = [each for each in described if described[each]["denoises"] == "clips"]
    usual = [each for each in ([name] if name in described else list(described), clips) if len(each) == 1]
    which = part.expert or (usual[0][0] if usual else "")
    if which not in described:
        raise InputError(
            f"expert {name!r}: the ensemble in {folder.folder} has {', '.join(described)}; expected "
            f"{folder.folder}#EXPERT of one of them"
        )
    own = described[which]
    if own["denoises"] not in {_DENOISES[kind] for kind in part.kinds}:
        raise InputError(
            f"expert {name!r}: {which} of the ensemble in {folder.folder} denoises {own['denoises']}, expected "
            f"{' or '.join(_DENOISES[kind] for kind in part.kinds)}"
        )
    words = folder.words(own["text"]) if own.get("text") else None
    return ExportedExpert(folder.module(which), own["denoises"], own.get("wrappers", ()), words)


def _name(recipe: Recipe, main: str) -> str:
    return recipe.name.removesuffix(f"-{main}").removesuffix(f"-{recipe.kind}")


def _alike(one: Any, other: Any) -> bool:
    """Equal; the latents' statistics to a thousandth, since another machine encodes the same frames to slightly others."""
    if not isinstance(one, Mapping) or "mean" not in one:
        return bool(one == other)
    near = (np.allclose(one[key], other[key], rtol=1e-3, atol=1e-3) for key in ("mean", "std"))
    return bool(one["shape"] == other["shape"]) and all(near)


def _recommended(
    path: Path | None, known: EnsembleFolder | None, experts: Mapping[str, Any], recipe: Recipe
) -> dict[str, Any] | None:
    """JSON of the recommended strategy; one that is inherited or the paper's has to fit the experts."""
    if path is not None:
        return Strategy.load(path).to_dict()
    # The paper tuned three resolutions; another size takes the nearest.
    tuned = min(paper.TABLE_6, key=lambda size: abs(size - recipe.data.size))
    inherited = known.strategy if known is not None else None
    for strategy in (inherited, paper.strategy(tuned)):
        if strategy is not None and _named(strategy) <= set(experts):
            return strategy.to_dict()
    return None


def _named(strategy: Strategy) -> set[str]:
    """The experts that a strategy names; none where it cannot be composed here."""
    stated = {name for name in strategy.experts if name != EVERY}
    try:
        return stated | set(Composition(strategy).experts)
    except JvidError:
        return stated


def _scheduler_config(recipe: Recipe) -> dict[str, Any]:
    from jvid_models.networks.table1 import SCHEDULER

    if recipe.schedule.name != "scaled-linear" or recipe.schedule.options:
        raise InputError(
            f"schedule {recipe.schedule.name}: an ensemble is exported on the paper's scaled-linear schedule only"
        )
    return dict(SCHEDULER)
