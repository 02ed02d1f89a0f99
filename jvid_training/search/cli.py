"""``jvid ablation RECIPE`` and ``jvid sweep RECIPE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    from jvid_training.search.evaluator import Evaluator
    from jvid_training.search.recipe import StudyRecipe, Sweep

__all__ = ["ablation", "sweep"]

RecipeArgument = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="TOML file, such as recipes/actions-64/ablation.toml")
]
Num = Annotated[
    int | None, typer.Option("--num", "-n", min=1, help="Clips of a row (default: the recipe's).")
]


@extra("training")
def ablation(
    recipe: RecipeArgument,
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", metavar="LABEL", help="Make only this row of the table; may be repeated."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="NAME", help="A grid in place of the rows, or all; may be repeated."),
    ] = None,
    num: Num = None,
    report_seed: Annotated[
        bool, typer.Option("--report-seed", help="Clips of the recipe's report_seed, which no search has seen.")
    ] = False,
) -> None:  # fmt: skip
    """The rows that lead to a strategy (Table 2's), and the grids of section 4.2, as tables with intervals.

    Resumes an earlier run; each row is a set of clips that is made once, and is in the table from then on.
    """
    from jvid_training.search.ablation import chosen_rows, grid_rows, make_table
    from jvid_training.search.rows import grids

    loaded, evaluator = _opened(recipe, num)
    study = loaded.study
    if rows and grid:
        raise InputError("--rows beside --grid: a grid has rows of its own, leave one out")
    names = list(grids(evaluator.ensemble)) if grid == ["all"] else grid or []
    tables = {f"grid-{name}": grid_rows(loaded, evaluator, name) for name in names}
    if not names:
        tables = {"ablation": chosen_rows(loaded, evaluator, rows)}
        tables |= {
            f"grid-{name}": grid_rows(loaded, evaluator, name) for name in loaded.ablation.grids if not rows
        }
    seed = study.report_seed if report_seed else study.seed
    # Of the rows that are not requested, those that exist already.
    beside = chosen_rows(loaded, evaluator, None) if rows else None
    for name, wanted in tables.items():
        path = make_table(evaluator, name, wanted, study.num, seed, evaluator.progress, beside)
        typer.echo(path.read_text(encoding="utf-8"))
        typer.echo("\n".join(map(str, (path, *_drawn(path)))))


@extra("training")
def sweep(
    recipe: RecipeArgument,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Trials in all, those of earlier runs included (default: the recipe's).")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes of this machine.")] = 1,
    choose: Annotated[
        int | None, typer.Option("--choose", metavar="TRIAL", min=0, help="Write this trial's strategy into -o FILE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="File of --choose: a .json for jvid sample --strategy.")
    ] = None,
    confirm: Annotated[
        list[int] | None,
        typer.Option("--confirm", metavar="TRIAL", min=0, help="Judge this trial on the report seeds; may be repeated."),
    ] = None,
    num: Annotated[
        int | None, typer.Option("--num", "-n", min=1, help="Clips of a row of --confirm (default: the recipe's).")
    ] = None,
) -> None:  # fmt: skip
    """Search strategies for several objectives at once; goes on with what an earlier run left.

    The folder of the study has front.json and front.png: every strategy with its figures, and which no other beats.
    """
    loaded, evaluator = _opened(recipe, None)
    found = loaded.sweep
    if found is None:
        raise InputError(
            f"{recipe} has no [sweep]: expected one with a space, as recipes/actions-64/sweep.toml has"
        )
    if (choose is None) is not (output is None):
        raise InputError("--choose TRIAL and -o FILE go together: give both or none")
    if choose is not None and output is not None:
        typer.echo(_chosen(evaluator, choose, output))
    elif confirm:
        typer.echo(_confirmed(loaded, evaluator, confirm, num))
    elif num is not None:
        raise InputError("--num without --confirm: the clips of a trial are the recipe's study.num")
    else:
        typer.echo(_swept(loaded, evaluator, found, trials or found.trials, workers))


def _opened(path: Path, num: int | None) -> tuple[StudyRecipe, Evaluator]:
    """The recipe, with another number of clips if one is given, and its evaluator."""
    import attrs

    from jvid_training.jobs.threads import limit_threads
    from jvid_training.search.evaluator import Evaluator
    from jvid_training.search.recipe import check_study, load_study

    loaded = load_study(path)
    if num is not None:
        loaded = attrs.evolve(loaded, study=attrs.evolve(loaded.study, num=num))
        check_study(loaded, f"{path} with --num {num}")
    limit_threads(loaded.study.threads)
    return loaded, Evaluator(loaded.study, lambda text: typer.echo(text, err=True))


def _drawn(table: Path) -> list[Path]:
    """The front of a table's rows, beside it; none where the recipe's networks give no figure for an axis."""
    from jvid.files import read_json
    from jvid_training.search.plot import plot_front
    from jvid_training.search.tables import table_front

    path = table.with_suffix(".json")
    found = read_json(path, "a table of figures", "delete it, the same command writes it again", table_front)
    return [plot_front(found, table.with_suffix(".png"))] if found["points"] else []


def _swept(recipe: StudyRecipe, evaluator: Evaluator, found: Sweep, trials: int, workers: int) -> str:
    from jvid_training.search.plot import drawable, plot_front
    from jvid_training.search.sweep import load_front, open_trials, write_front
    from jvid_training.search.workers import run_workers

    opened = open_trials(evaluator, found)
    run_workers(recipe, evaluator, opened, trials, workers, evaluator.progress)
    path = write_front(evaluator, opened)
    front = load_front(evaluator.folder)
    lines = [f"{front['trials']['finished']} trials, {front['trials']['judged']} judged whole; the front:"]
    names = [objective["name"] for objective in front["objectives"]]
    for point in front["points"]:
        if point["front"]:
            values = ", ".join(
                f"{name} {value:.4g}" for name, value in zip(names, point["values"], strict=True)
            )
            known = f" ({point['known']})" if point["known"] else ""
            lines.append(f"{point['number']:>5}{known}: {values}")
    drawn = []
    if drawable(front):
        drawn = [plot_front(front, evaluator.folder / name) for name in ("front.png", "front.svg")]
    return "\n".join([*lines, *map(str, (path, *drawn))])


def _chosen(evaluator: Evaluator, number: int, output: Path) -> str:
    from jvid.strategy.strategy import Strategy
    from jvid_training.search.sweep import load_front, point_of

    point = point_of(load_front(evaluator.folder), number, evaluator.folder)
    Strategy.from_dict(point["strategy"]).save(output)
    return f"{output}: strategy of trial {number}"


def _confirmed(recipe: StudyRecipe, evaluator: Evaluator, numbers: list[int], num: int | None) -> str:
    import attrs

    from jvid.strategy.strategy import Strategy
    from jvid_training.search.ablation import make_table
    from jvid_training.search.recipe import check_seeds
    from jvid_training.search.sweep import known_points, load_front, point_of

    front = load_front(evaluator.folder)
    assert recipe.sweep is not None
    # Beside what it is to be better than, also where the search left that out.
    rows = known_points(evaluator, attrs.evolve(recipe.sweep, known=True))
    for number in numbers:
        point = point_of(front, number, evaluator.folder)
        rows[f"trial {number}"] = Strategy.from_dict(point["strategy"])
    clips = num or recipe.study.num
    check_seeds(recipe.study, clips)
    path = make_table(evaluator, "confirmed", rows, clips, recipe.study.report_seed, evaluator.progress)
    return f"{path.read_text(encoding='utf-8')}\n{path}"
