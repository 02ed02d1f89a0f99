"""``jvid ablation``: the rows that lead to a strategy, and the grids of section 4.2, each a generated set with its figures.

The table is written anew after each row, so that a stop keeps what is done; the same command goes on with the next row,
and rows that several tables share are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, MissingDependencyError
from jvid.strategy.strategy import Strategy
from jvid_training.search.cost import unit_expert
from jvid_training.search.rows import CODECS, grid, is_papers, whole
from jvid_training.search.tables import Row, write_table

if TYPE_CHECKING:
    from jvid_training.evaluation.sources import ClipSource
    from jvid_training.search.evaluator import Evaluator
    from jvid_training.search.recipe import StudyRecipe
    from jvid_training.search.scores import Scores

__all__ = ["chosen_rows", "floors", "grid_rows", "make_table", "score_codec"]


def chosen_rows(
    recipe: StudyRecipe, evaluator: Evaluator, labels: Sequence[str] | None
) -> dict[str, Strategy | None]:
    """The rows of the ablation and the recipe's strategies, or those of them that ``labels`` names, in its order.

    Raises:
        InputError: an unknown label, or a file that holds no strategy.
    """
    size = evaluator.reference.size[0]
    known: dict[str, Strategy | None] = whole(evaluator.base, size, evaluator.ensemble)
    known |= {label: Strategy.load(path) for label, path in recipe.ablation.strategies.items()}
    wanted = labels or recipe.ablation.rows or tuple(known)
    if unknown := [label for label in wanted if label not in known]:
        raise InputError(f"row {unknown[0]!r}: expected one of {', '.join(known)}")
    return {label: known[label] for label in wanted}


def grid_rows(recipe: StudyRecipe, evaluator: Evaluator, name: str) -> dict[str, Strategy | None]:
    """The rows of one grid, by the recipe's values or the paper's."""
    return dict(grid(name, evaluator.base, recipe.ablation.values.get(name), evaluator.ensemble))


def floors(evaluator: Evaluator, num: int, progress: Callable[[str], None] = lambda text: None) -> list[Row]:
    """What real clips reach: against each other, and through the codecs that can be had here."""
    found = [Row(f"real clips, in halves of {len(evaluator.reference) // 2}", evaluator.real)]
    for label in CODECS if is_papers(evaluator.ensemble) else ("codec",):
        try:
            found.append(Row(label, codec_row(evaluator, label, num)))
        except (MissingDependencyError, LookupError) as error:
            progress(f"{label}: left out, {error}")
    return found


def codec_row(evaluator: Evaluator, label: str, num: int) -> Scores:
    """The figures of ``num`` of the reference's clips (all if it has fewer), encoded and decoded by a row's codec.

    Raises:
        MissingDependencyError: the codec cannot be had here.
    """
    from jvid_training.search.components import codec_of

    # The image codec is the latents' own, which the reference's fingerprint holds; the ensemble's changes with it.
    name = label if label == "image AE" else f"{label} {evaluator.fingerprint[:12]}"
    return score_codec(evaluator, name, lambda: codec_of(label, evaluator.reference, evaluator.ensemble), num)


def score_codec(evaluator: Evaluator, name: str, codec: Callable[[], Any], num: int) -> Scores:
    """The figures of what ``codec`` makes of ``num`` of the reference's clips, kept by ``name``."""
    from jvid_training.evaluation.views import Coded, Subset

    every = len(evaluator.reference)
    # Spread over the reference, which is sorted by class; as many as a row has, since figures compare at an equal number.
    chosen = {i * every // num for i in range(num)} if num < every else set(range(every))

    def source() -> ClipSource:
        return Coded(Subset(evaluator.reference, lambda _, i: i in chosen), codec(), name)

    return evaluator.score_source(name, source, len(chosen))


def make_table(
    evaluator: Evaluator,
    name: str,
    rows: Mapping[str, Strategy | None],
    num: int,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
    beside: Mapping[str, Strategy | None] | None = None,
) -> Path:
    """Make and score each row in turn; returns the markdown file, ``<name>-<num>-clips-seed-<seed>.md`` in the study's folder.

    Rows of ``beside`` that were scored before are in the table too, in its order, so that a run of fewer rows loses none.

    Raises:
        InputError: what generation and evaluation raise; rows that are finished stay in the table.
    """
    study = evaluator.study
    path = evaluator.folder / f"{name}-{num}-clips-seed-{seed}"
    heading = [
        f"# {study.name}: {name}",
        "",
        f"Ensemble {evaluator.ensemble.name}; {num} clips a row, seeds {seed} to {seed + num - 1}, the same in every row; "
        f"{len(evaluator.prompts)} prompts in turn; reference {evaluator.reference.name}, {len(evaluator.reference)} clips.",
    ]
    progress("floors")
    beneath = floors(evaluator, num, progress)
    done = {row.label: row for row in beneath if row.label in (beside or {})}
    for label, strategy in (beside or {}).items():
        if strategy is not None and (scores := evaluator.known(strategy, num, seed)) is not None:
            done[label] = _row(evaluator, label, strategy, seed, scores)
    order = [*(beside or {}), *(label for label in rows if label not in (beside or {}))]
    for label, strategy in rows.items():
        progress(label)
        if strategy is None:
            done[label] = Row(label, codec_row(evaluator, label, num))
        else:
            scores = evaluator.score(strategy, num, seed, processes=study.processes)
            done[label] = _row(evaluator, label, strategy, seed, scores)
        shown = [done[label] for label in order if label in done]
        write_table(
            path,
            heading,
            beneath,
            shown,
            num=num,
            seed=seed,
            study=study.name,
            unit=unit_expert(evaluator.ensemble),
            columns=evaluator.columns,
        )
    return path.with_name(f"{path.name}.md")


def _row(evaluator: Evaluator, label: str, strategy: Strategy, seed: int, scores: Scores) -> Row:
    return Row(label, scores, strategy, str(evaluator.set_folder(strategy, seed)))
