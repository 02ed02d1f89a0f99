"""Several workers on one sweep: processes of this machine, each with networks and threads of its own.

A worker that dies leaves a trial that the next to ask begins again; the sweep ends when the asked number is finished,
or when a whole round of workers got nowhere.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from jvid.errors import InputError, JvidError

if TYPE_CHECKING:
    from jvid_training.search.bench import Bench
    from jvid_training.search.recipe import StudyRecipe
    from jvid_training.search.trials import Trials

__all__ = ["run_workers"]


def run_workers(
    recipe: StudyRecipe, bench: Bench, trials: Trials, count: int, workers: int, tell: Callable[[str], None]
) -> None:
    """Evaluate trials until ``count`` are finished.

    Raises:
        InputError: every worker of a round ended with an error and no trial was finished.
    """
    from jvid_training.search.sweep import work

    if workers == 1:
        work(bench, trials, count, tell)
        return
    # Once, and while nobody else computes: what all workers need.
    _ = bench.prices, bench.real
    context = multiprocessing.get_context("spawn")
    while (before := len(trials.finished())) < count:
        number = min(workers, count - before)
        processes = [context.Process(target=_worker, args=(recipe, count, k)) for k in range(number)]
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        except KeyboardInterrupt:
            for process in processes:  # they heard it too
                process.join()
            raise
        for k, process in enumerate(processes):
            if process.exitcode:
                how = (
                    f"signal {-process.exitcode}" if process.exitcode < 0 else f"exit code {process.exitcode}"
                )
                tell(f"worker {k} ended with {how}: its trial is begun again")
        if len(trials.finished()) == before and all(process.exitcode for process in processes):
            raise InputError(
                f"all {number} workers ended with an error, {before} of {count} trials are finished: the lines above say why; "
                "the same command goes on"
            )


def _worker(recipe: StudyRecipe, count: int, number: int) -> None:
    """One process; errors are a line, as on the command line."""
    from jvid_training.jobs.threads import limit_threads
    from jvid_training.search.bench import Bench
    from jvid_training.search.sweep import open_trials, work

    def tell(text: str) -> None:
        print(f"worker {number}: {text}", file=sys.stderr, flush=True)

    try:
        limit_threads(recipe.study.threads)
        bench = Bench(recipe.study)
        assert recipe.sweep is not None
        work(bench, open_trials(bench, recipe.sweep), count, tell)
    except JvidError as error:
        tell(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
