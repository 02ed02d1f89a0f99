"""The trials of a sweep: an Optuna study in SQLite, shared by workers, resumed at any time.

    claim      under one lock: what dead workers left goes back into the queue, trials are counted, one is claimed and drawn
    complete   whole trials are COMPLETE; those stopped early, and known points outside of the space, are PRUNED

A trial's draws are keyed by (sweep seed, its place in the sweep) and by the trials before it, never streamed: one worker that is
stopped and resumed draws the same strategies as one that was left alone. Known points outside of the space have no
parameters to learn from; their figures are in the study's folder like those of the others.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.documents import check_same
from jvid.ensemble.canonical import canonical
from jvid.errors import InputError, JvidError, one_line
from jvid.extras import extra
from jvid.strategy.strategy import Strategy
from jvid_training.jobs.locks import held
from jvid_training.search.locks import Workers

if TYPE_CHECKING:
    import optuna

    from jvid_training.search.objectives import SearchObjective
    from jvid_training.search.recipe import Sweep
    from jvid_training.search.space import Space

__all__ = ["ATTEMPTS", "Claimed", "Trials", "optuna_module"]

ATTEMPTS = 3
"""The number of attempts at a trial whose worker died, before it is given up."""


def optuna_module() -> Any:
    """Optuna without its log. Raises MissingDependencyError where it is not installed."""
    with extra("training"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@attrs.frozen
class Claimed:
    """A trial that this worker has to evaluate. ``outside`` is set of a known point that the space does not contain."""

    trial: optuna.Trial
    strategy: Strategy
    known: str
    outside: bool

    @property
    def number(self) -> int:
        """Of the trial."""
        return int(self.trial.number)


class Trials:
    """The study in ``folder``, made if need be; enter it to claim trials.

    ``settings``: what trials must have in common to be compared; a study of others is refused. ``objectives`` are the sweep's.

    Raises:
        InputError: the folder holds a sweep of other settings, or cannot be written to.
        MissingDependencyError: no optuna.
    """

    def __init__(
        self,
        folder: Path,
        sweep: Sweep,
        space: Space,
        known: Mapping[str, Strategy],
        settings: Mapping[str, Any],
        objectives: Sequence[SearchObjective],
    ) -> None:
        self._optuna = optuna_module()
        self.folder, self.sweep, self.space, self.objectives = folder, sweep, space, tuple(objectives)
        self.workers = Workers(folder / "workers")
        self._lock = folder / "sweep.lock"
        with held(self._lock):
            self.study = self._opened(settings)
            self._enqueue(known)

    def __enter__(self) -> Trials:
        self.workers.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.workers.__exit__(*error)

    @contextmanager
    def storage_errors(self) -> Iterator[None]:
        """Turns an error of the storage into an `InputError` of one line.

        Raises:
            InputError: the storage cannot be read or written.
        """
        try:
            yield
        except self._optuna.exceptions.StorageInternalError as error:
            raise InputError(
                f"{self.folder / 'sweep.db'} cannot be written ({one_line(error.__cause__ or error, first=True)}): free the "
                "space, and the same command goes on"
            ) from error

    def claim(self, trials: int) -> Claimed | None:
        """The next trial to evaluate; None when ``trials`` are finished or in work."""
        states = self._optuna.trial.TrialState
        while True:
            with held(self._lock):
                self._recover()
                every = self.study.get_trials(deepcopy=False)
                counted = [t for t in every if t.state in (states.COMPLETE, states.PRUNED, states.RUNNING)]
                if len(counted) >= trials:
                    return None
                waiting = [t.number for t in every if t.state == states.WAITING]
                # Less those that are repeated under another number: a killed worker does not change the draws of others.
                failed = sum(t.state == states.FAIL and _attempt(t) < ATTEMPTS for t in every)
                self.study.sampler = self._sampler(min(waiting, default=len(every)) - failed)
                trial = self.study.ask()
                trial.set_user_attr("worker", self.workers.name)
                known = trial.user_attrs.get("known", "")
                if stated := trial.user_attrs.get("strategy"):
                    return Claimed(trial, Strategy.from_dict(stated), known, outside=True)
                values = self.space.suggest(trial, every=self.sweep.sampler == "nsga-ii")
                try:
                    return Claimed(trial, self.space.strategy(values), known, outside=False)
                except JvidError as error:  # values that do not go together, such as equal t_v and t_e
                    self.prune(trial, str(error))

    def complete(self, trial: optuna.Trial, values: Sequence[float]) -> None:
        """Record the values of a trial whose clips are all made and evaluated."""
        self.study.tell(trial, list(values))

    def prune(self, trial: optuna.Trial, reason: str) -> None:
        """Record that a trial was stopped early."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)

    def finished(self) -> list[optuna.trial.FrozenTrial]:
        """COMPLETE and PRUNED trials, by number."""
        states = self._optuna.trial.TrialState
        return list(self.study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))

    def recover(self) -> None:
        """Put back what dead workers left."""
        with held(self._lock):
            self._recover()

    def _recover(self) -> None:
        """Within the lock, in which a claimed trial gets its owner: one without was left in the middle of that."""
        states = self._optuna.trial.TrialState
        for trial in self.study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            owner = trial.user_attrs.get("worker")
            if owner is not None and self.workers.alive(owner):
                continue
            if _attempt(trial) < ATTEMPTS:
                kept: dict[str, Any] = {
                    name: trial.user_attrs[name] for name in ("known", "strategy") if name in trial.user_attrs
                }
                params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
                self.study.enqueue_trial(
                    params, user_attrs={**kept, "attempt": _attempt(trial) + 1, "again": trial.number}
                )
            self.study.tell(trial.number, state=states.FAIL)

    def _opened(self, settings: Mapping[str, Any]) -> optuna.Study:
        from sqlalchemy.exc import SQLAlchemyError

        path = self.folder / "sweep.db"
        try:
            # Workers wait for each other's writes rather than fail.
            storage = self._optuna.storages.RDBStorage(
                f"sqlite:///{path.resolve()}", engine_kwargs={"connect_args": {"timeout": 120}}
            )
            directions = ["maximize" if each.better == "higher" else "minimize" for each in self.objectives]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study: optuna.Study = self._optuna.create_study(
                    storage=storage, study_name="sweep", directions=directions, load_if_exists=True,
                    pruner=self._optuna.pruners.MedianPruner(
                        n_startup_trials=self.sweep.pruning.after, n_warmup_steps=0
                    ),
                )  # fmt: skip
        except (SQLAlchemyError, OSError) as error:
            raise InputError(
                f"{path} cannot be used ({one_line(error, first=True)}): free the space, or give study.out another folder"
            ) from error
        settings = json.loads(json.dumps(settings))
        before = study.user_attrs.get("settings")
        if before is None:
            study.set_user_attr("settings", settings)
            return study
        then, now = (self._comparable(each) for each in (before, settings))
        remedy = "give study.out another folder, or take them back"
        check_same(then, now, f"{path} holds a sweep of other settings", remedy)
        return study

    def _comparable(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as they are written today, whose strategies are equal where their clips are."""
        values = {("ensemble" if name == "pair" else name): value for name, value in settings.items()}
        strategy = canonical(Strategy.from_dict(values["strategy"]), self.space.ensemble)
        return {**values, "strategy": strategy.to_dict()}

    def _enqueue(self, known: Mapping[str, Strategy]) -> None:
        there = {t.user_attrs.get("known") for t in self.study.get_trials(deepcopy=False)}
        for label, strategy in known.items():
            if label in there:
                continue
            values = self.space.values(strategy)
            attributes: dict[str, Any] = {"known": label}
            if values is None:
                attributes["strategy"] = strategy.to_dict()
            self.study.enqueue_trial(values or {}, user_attrs=attributes)

    def _sampler(self, place: int) -> Any:
        import numpy as np

        samplers, sweep = self._optuna.samplers, self.sweep
        seed = int(np.random.SeedSequence([sweep.seed, place]).generate_state(1)[0])
        if sweep.sampler == "tpe":
            # Each parameter on its own: a space that depends on the components drawn has no joint one.
            return samplers.TPESampler(n_startup_trials=sweep.startup, multivariate=False, seed=seed)
        if sweep.sampler == "nsga-ii":
            return samplers.NSGAIISampler(population_size=max(2, sweep.startup), seed=seed)
        return samplers.RandomSampler(seed=seed)


def _attempt(trial: optuna.trial.FrozenTrial) -> int:
    """Which attempt at a trial it is, from 1."""
    return int(trial.user_attrs.get("attempt", 1))
