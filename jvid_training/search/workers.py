"""Several workers on one sweep, each with networks and threads of its own; see `jvid_training.jobs.pool`.

The next worker repeats the trial of one that died; the sweep ends when the requested number is finished,
or when a whole round of workers finished none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError
from jvid_training.jobs.pool import Ended, Pool, Worker

if TYPE_CHECKING:
    from jvid_training.search.evaluator import Evaluator
    from jvid_training.search.recipe import StudyRecipe
    from jvid_training.search.trials import Trials

__all__ = ["run_workers", "take_trials"]


def run_workers(
    recipe: StudyRecipe,
    evaluator: Evaluator,
    trials: Trials,
    count: int,
    workers: int,
    progress: Callable[[str], None],
) -> None:
    """Evaluate trials until ``count`` are finished.

    Raises:
        InputError: every worker of a round ended with an error and no trial was finished.
    """
    from jvid.documents import plain
    from jvid_training.search.sweep import work

    if workers == 1:
        work(evaluator, trials, count, progress)
        return
    # Once, and while no other process computes: what all workers need.
    _ = evaluator.prices, evaluator.real
    arguments = {"recipe": plain(recipe), "count": count}
    while (before := len(trials.finished())) < count:
        number = min(workers, count - before)
        failed = 0
        with Pool(f"{__name__}:{take_trials.__name__}", [arguments] * number) as pool:
            for k, event in pool:
                if not isinstance(event, Ended):
                    progress(f"worker {k}: {event['text']}")
                elif event.code:
                    failed += 1
                    progress(f"worker {k} ended with {event}: its trial is repeated")
        if len(trials.finished()) == before and failed == number:
            raise InputError(
                f"all {number} workers ended with an error, {before} of {count} trials are finished: the lines above give the "
                "reasons; the same command goes on"
            )


def take_trials(worker: Worker, recipe: dict[str, Any], count: int) -> None:
    """Evaluate trials until ``count`` are finished or in work."""
    from jvid_training.jobs.threads import limit_threads
    from jvid_training.search.evaluator import Evaluator
    from jvid_training.search.recipe import structure_study
    from jvid_training.search.sweep import open_trials, work

    found = structure_study(recipe)
    assert found.sweep is not None
    limit_threads(found.study.threads)
    evaluator = Evaluator(found.study)
    work(evaluator, open_trials(evaluator, found.sweep), count, lambda text: worker.send(text=text))
