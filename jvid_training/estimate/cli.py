"""`jvid train RECIPE --dry-run`: check a recipe and estimate its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jvid.cli.summary import print_json
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid_training.recipe import Recipe

__all__ = [
    "DryRunOption",
    "GpuOption",
    "ProcessesOption",
    "UtilisationOption",
    "check_beside",
    "show_dry_run",
]

_PANEL = "With --dry-run"
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check the recipe and estimate memory, operations and GPU-hours; write nothing."
    ),
]
GpuOption = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        help="GPU model to estimate the hours of, such as A100. May be repeated.",
        rich_help_panel=_PANEL,
    ),
]
UtilisationOption = Annotated[
    float | None,
    typer.Option(
        "--utilisation",
        help="Share of a GPU's peak rate that the run is assumed to reach, above 0 and at most 1; 0.3 by default.",
        rich_help_panel=_PANEL,
    ),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        help="Processes that share a step's batch; those of the launcher by default, or 1.",
        rich_help_panel=_PANEL,
    ),
]


def check_beside(
    dry: bool, gpu: list[str] | None, utilisation: float | None, processes: int | None, as_json: bool
) -> None:
    """Refuse options of a dry run without one. Raises `InputError`."""
    given = {"--gpu": gpu, "--utilisation": utilisation, "--processes": processes, "--json": as_json or None}
    for name, value in given.items():
        if value is not None and not dry:
            raise InputError(f"{name} without --dry-run: leave it out, or add --dry-run")


def show_dry_run(
    recipe: Recipe,
    gpu: list[str] | None,
    utilisation: float | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Print the estimate.

    Raises:
        InputError: what would refuse the recipe before its first step; the estimate is printed before, where there is one.
    """
    from jvid_training.estimate.dry_run import dry_run
    from jvid_training.estimate.estimate import UTILISATION
    from jvid_training.estimate.gpus import gpus_named
    from jvid_training.estimate.page import lines_of, plain
    from jvid_training.jobs.ranks import world_size

    found = dry_run(
        recipe,
        gpus_named(gpu or ()),
        UTILISATION if utilisation is None else utilisation,
        processes or world_size(),
    )
    if as_json:
        print_json(plain(found))
    else:
        typer.echo(recipe.name)
        for line in lines_of(found.estimate):
            typer.echo(line)
    if found.problem is not None:
        raise InputError(found.problem)
    if not as_json:
        typer.echo("the recipe is ready: nothing was written")
