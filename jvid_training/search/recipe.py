"""A study's recipe: what is compared, on which clips, by which networks. One TOML file for both commands.

    [study]       ensemble, reference clips, prompts, seeds, networks          both commands
    [ablation]    rows of Table 2 and one-parameter grids of section 4.2   `jvid ablation`
    [sweep]       objectives, trials, pruning, space                       `jvid sweep`

Two files whose ``study.out`` is one folder share sets, figures and prices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from jvid.ensemble.source import Source
from jvid.errors import InputError, JvidError
from jvid_training.recipe import read_toml, structured
from jvid_training.recipe_values import not_negative, positive
from jvid_training.search.objectives import SHORT

__all__ = [
    "KINDS", "Ablation", "Networks", "Pruning", "Study", "StudyRecipe", "Sweep", "check_seeds", "check_study",
    "load_study", "structure_study",
]  # fmt: skip

_BUNDLED = Source("actions-64")
KINDS = tuple(SHORT)
"""The short names of what a sweep may aim at; see `jvid_training.search.objectives`."""


@attrs.frozen
class Networks:
    """The feature networks of the figures, by name or path, as ``jvid evaluate`` takes them; "" leaves a figure out."""

    frame: str = "efficientnet-lite0"
    """Of the frame figure, a Frechet distance of frames (FID)."""
    clip: str = "i3d"
    """Of the clip figure, a Frechet distance of clips (FVD), and of the classifier of actions."""


@attrs.frozen
class Study:
    """What both commands depend on."""

    name: str
    out: str
    """Folder of sets, features, figures and tables; relative to the working directory."""
    reference: str
    """Folder of encoded latents, whose shards hold the real frames; or the recipe that it was encoded from."""
    windows: int = attrs.field(default=1, validator=positive)
    """Of each real sequence in the reference."""
    actors: Literal["all", "training", "held-out"] = "all"
    """Whose clips the reference has: those held out of training show what was not learnt by heart."""
    ensemble: Source = _BUNDLED
    """A name or a folder; or a table of experts, codec, text, shape and fps, as ``jvid sample`` takes them."""
    sampled_by: Source | None = None
    """An ensemble that differs in its decoder alone: its clips in ``out`` are decoded anew, not sampled again."""
    strategy: str = ""
    """File of the strategy that the rows lead to; the ensemble's recommended one when absent."""
    prompts: tuple[str, ...] = ()
    """The ensemble's that begin with "A person" when absent (all of its if none does); of an ensemble that takes any
    sentence, the first captions of the reference's clips."""
    prompt_file: str = ""
    """File of prompts, one a line, in place of ``prompts``; relative to the working directory."""
    num: int = attrs.field(default=64, validator=positive)
    """Clips of a row or a trial; clip i is of prompt i mod their number, and of seed ``seed`` + i."""
    seed: int = attrs.field(default=0, validator=not_negative)
    """Of the search: every row and every trial starts from the same noise."""
    report_seed: int = attrs.field(default=1_000_000, validator=not_negative)
    """Of what is reported: no search has seen these."""
    batch: int = attrs.field(default=4, validator=positive)
    micro_batch: int = attrs.field(default=4, validator=positive)
    processes: int = attrs.field(default=1, validator=positive)
    threads: int = attrs.field(default=1, validator=positive)
    """Of each process."""
    bootstrap: int = attrs.field(default=200, validator=not_negative)
    networks: Networks = Networks()
    metrics: tuple[str, ...] = ()
    """Further metrics by their registry choices, beside those of the networks; a sweep may aim at them."""


@attrs.frozen
class Ablation:
    """The rows of an ablation, and its grids where ``--grid`` is not given."""

    rows: tuple[str, ...] | None = None
    """Of `jvid_training.search.rows`; all when absent."""
    grids: tuple[str, ...] = ()
    values: dict[str, list[Any]] = attrs.field(factory=dict)
    """Grid -> its values, where they are not the paper's."""
    strategies: dict[str, str] = attrs.field(factory=dict)
    """Further rows: label -> file of a strategy."""


@attrs.frozen
class Pruning:
    """When a trial is stopped before all of its clips are made."""

    clips: tuple[int, ...] = ()
    """A look after so many clips, rising; none makes every trial whole."""
    margin: float = attrs.field(default=0.25, validator=not_negative)
    """Several objectives: stopped when a whole trial was better in all of them by this share."""
    after: int = attrs.field(default=5, validator=not_negative)
    """Whole trials to have before any is stopped."""


@attrs.frozen
class Sweep:
    """The search."""

    space: dict[str, Any]
    """Of `jvid_training.search.space`."""
    trials: int = attrs.field(default=50, validator=positive)
    """In all, known points included."""
    objectives: tuple[str, ...] = ("clip", "frame", "cost")
    """Short names of `jvid_training.search.objectives`, and metrics of ``study.metrics``."""
    sampler: Literal["tpe", "nsga-ii", "random"] = "tpe"
    startup: int = attrs.field(default=12, validator=not_negative)
    """Random trials before TPE learns; the population of NSGA-II."""
    seed: int = attrs.field(default=0, validator=not_negative)
    """Of the sampler."""
    known: bool = True
    """Begin with the ensemble's strategy, the paper's (of its experts) and each expert alone."""
    points: dict[str, str] = attrs.field(factory=dict)
    """Further strategies to begin with: label -> file."""
    keep_frames: bool = False
    """Keep the clips of a trial; its figures and strategy are always kept."""
    pruning: Pruning = Pruning()


@attrs.frozen
class StudyRecipe:
    """One file."""

    study: Study
    ablation: Ablation = Ablation()
    sweep: Sweep | None = None


def load_study(path: Path) -> StudyRecipe:
    """Read and check a recipe. Raises `InputError` in one line that names each wrong key."""
    return structure_study(read_toml(path, "recipes/actions-64/ablation.toml"), str(path))


def structure_study(document: dict[str, Any], where: str = "recipe") -> StudyRecipe:
    """A parsed TOML document -> `StudyRecipe`; ``where`` names the source in errors."""
    return check_study(structured(_renamed(document, where), StudyRecipe, where), where)


def _renamed(document: dict[str, Any], where: str) -> dict[str, Any]:
    """The document with ``study.ensemble`` in place of ``study.pair``, as recipes of version 0.1 have it."""
    study = document.get("study")
    if not isinstance(study, dict):
        return document
    if "pair" in study and "ensemble" in study:
        raise InputError(f"{where}: study.pair beside study.ensemble: they are the same, leave one out")
    names = {"pair": "ensemble"}
    kept = {names.get(key, key): value for key, value in study.items() if (key, value) != ("sampled_by", "")}
    return {**document, "study": kept}


def check_study(recipe: StudyRecipe, where: str) -> StudyRecipe:
    """The recipe, if its values go together. Raises `InputError` that names ``where`` and the key."""
    study, sweep = recipe.study, recipe.sweep
    if study.batch % study.micro_batch:
        raise InputError(
            f"{where}: study.batch: got {study.batch}, expected a multiple of micro_batch, {study.micro_batch}"
        )
    if study.prompts and study.prompt_file:
        raise InputError(f"{where}: study.prompts beside study.prompt_file: expected one of the two")
    try:
        check_seeds(study, study.num)
        _check_metrics(study)
        if sweep is not None:
            _check_sweep(sweep, study)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return recipe


def check_seeds(study: Study, num: int) -> None:
    """Refuse reported clips whose seeds a search has seen. Raises `InputError`."""
    if -num < study.report_seed - study.seed < study.num:
        raise InputError(
            f"study.report_seed: got {study.report_seed} for {num} clips, expected seeds other than the search's, "
            f"{study.seed} to {study.seed + study.num - 1}"
        )


def _check_metrics(study: Study) -> None:
    """Look up the metrics, without building one."""
    from jvid.plugins.choice import Choice
    from jvid.plugins.registry import current

    for text in study.metrics:
        try:
            current().check("metric", Choice.parse(text))
        except JvidError as error:
            raise InputError(f"study.metrics: {error}") from None
    if len(set(study.metrics)) < len(study.metrics):
        raise InputError(f"study.metrics: got {list(study.metrics)}, expected each once")


def _check_sweep(sweep: Sweep, study: Study) -> None:
    names, looks, num = sweep.objectives, sweep.pruning.clips, study.num
    known = (*KINDS, *study.metrics)
    if not names or not set(names) <= set(known) or len(set(names)) < len(names):
        raise InputError(
            f"sweep.objectives: got {list(names)}, expected some of {', '.join(known)}, each once; study.metrics adds metrics"
        )
    if list(looks) != sorted(set(looks)) or not all(0 < look < num for look in looks):
        raise InputError(
            f"sweep.pruning.clips: got {list(looks)}, expected rising numbers between 0 and num, {num}"
        )
