"""``jvid sweep``: one worker, or several on one storage, claim trials, evaluate them and record their values.

    trials/0007.json   a trial's strategy and figures, and those of its early looks
    front.json         every trial with figures, and whether it is on the front

A trial is stopped at an early look when a whole trial was clearly better on as many clips (several objectives), or when
Optuna's median pruner decides so (one). All trials start from the same seeds, so that arms are compared on the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError, NonFiniteError
from jvid.files import read_json, write_json
from jvid.strategy.strategy import Strategy
from jvid_training.jobs.locks import held
from jvid_training.search.cost import unit_expert
from jvid_training.search.front import clearly_beaten, front
from jvid_training.search.objectives import SearchObjective
from jvid_training.search.rows import alone, is_papers, printed
from jvid_training.search.scores import Scores
from jvid_training.search.space import Space
from jvid_training.search.trials import Claimed, Trials

if TYPE_CHECKING:
    from jvid_training.search.evaluator import Evaluator
    from jvid_training.search.recipe import Sweep

__all__ = ["known_points", "load_front", "open_trials", "point_of", "work", "write_front"]


def known_points(evaluator: Evaluator, sweep: Sweep) -> dict[str, Strategy]:
    """The strategies that a sweep evaluates first, by label.

    The study's strategy, each expert alone, the paper's as printed (of its experts), and the recipe's points.

    Raises:
        InputError: a point has a known point's label, or its file holds no strategy.
    """
    points: dict[str, Strategy] = {}
    if sweep.known:
        points = {"strategy": evaluator.base} | alone(evaluator.base, evaluator.ensemble)
        if is_papers(evaluator.ensemble):
            points |= printed(evaluator.base, evaluator.reference.size[0], evaluator.ensemble)
    if twice := sorted(set(points) & set(sweep.points)):
        raise InputError(f"sweep.points: {twice[0]!r} is a known point's label: give it another")
    return points | {label: Strategy.load(path) for label, path in sweep.points.items()}


def open_trials(evaluator: Evaluator, sweep: Sweep) -> Trials:
    """The sweep in the study's folder; one of other settings is refused.

    Raises:
        InputError: an unknown parameter or component in the space, an objective without its network, or a sweep of other
            settings in the folder.
        MissingDependencyError: no optuna.
    """
    study = evaluator.study
    space = Space.of(sweep.space, evaluator.base, evaluator.ensemble)
    kinds = {network.kind for network in evaluator.networks}
    for name, needed in (("clip", "clip"), ("accuracy", "clip"), ("frame", "frame")):
        if name in sweep.objectives and needed not in kinds:
            raise InputError(
                f"sweep.objectives: {name!r} needs study.networks.{needed}: name one, or leave it out"
            )
    settings: dict[str, Any] = {
        "ensemble": evaluator.fingerprint, "strategy": evaluator.base.to_dict(), "reference": evaluator.reference.fingerprint,
        "networks": [network.fingerprint for network in evaluator.networks], "prompts": list(evaluator.prompts),
        "num": study.num, "seed": study.seed, "batch": [study.batch, study.micro_batch],
        "space": sweep.space, "objectives": sweep.objectives, "pruning": attrs.asdict(sweep.pruning),
        "sampler": [sweep.sampler, sweep.startup, sweep.seed],
    }  # fmt: skip
    objectives = evaluator.objectives(sweep.objectives)
    if further := evaluator.further():
        settings["metrics"] = further
    return Trials(evaluator.folder, sweep, space, known_points(evaluator, sweep), settings, objectives)


def work(
    evaluator: Evaluator, trials: Trials, count: int, progress: Callable[[str], None] = lambda text: None
) -> None:
    """Evaluate trials until ``count`` are finished or in work; other workers may do the same.

    Raises:
        InputError: what generation and evaluation raise. The next worker repeats the trial at hand.
    """
    with trials, trials.storage_errors():
        while (claimed := trials.claim(count)) is not None:
            progress(f"trial {claimed.number}: {claimed.known or claimed.strategy.selector}")
            _evaluate(evaluator, trials, claimed)
            with held(evaluator.folder / "front.lock"):
                write_front(evaluator, trials)


def _evaluate(evaluator: Evaluator, trials: Trials, claimed: Claimed) -> None:
    """Sample one trial, compute its figures and record them."""
    study, sweep, trial = evaluator.study, trials.sweep, claimed.trial
    kinds, parts = trials.objectives, {}
    reason, scores = "", None
    try:
        for look in (*sweep.pruning.clips, study.num):
            whole = look == study.num
            scores = evaluator.score(claimed.strategy, look, study.seed, None if whole else 0)
            parts[str(look)] = scores.objectives(kinds)
            trial.set_user_attr("parts", parts)
            # Known points are shown whole: they are what the others are compared with.
            if not whole and not claimed.known and _hopeless(trials, trial, look, parts[str(look)]):
                reason = f"clearly worse after {look} clips"
                break
    except NonFiniteError as error:
        reason = str(error)
    values = parts.get(str(study.num), [])
    missing = [each.name for each, value in zip(kinds, values, strict=False) if value != value]
    if missing:
        raise InputError(f"sweep.objectives: no figure for {missing[0]!r}: name its network, or leave it out")
    record = {
        "format": 1, "number": claimed.number, "known": claimed.known, "reason": reason, "parts": parts,
        "strategy": claimed.strategy.to_dict(), "parameters": trial.params,
        "judged": None if reason or scores is None else scores.to_dict(),
    }  # fmt: skip
    write_json(_file(evaluator, claimed.number), record)
    # The known points' clips stay: tables show them too.
    if not sweep.keep_frames and evaluator.key(claimed.strategy, study.seed) not in {
        evaluator.key(point, study.seed) for point in known_points(evaluator, sweep).values()
    }:
        evaluator.drop(claimed.strategy, study.seed)
    if reason:
        trials.prune(trial, reason)
    elif claimed.outside:
        trials.prune(trial, "outside of the space")
    else:
        trials.complete(trial, values)


def _hopeless(trials: Trials, trial: Any, look: int, values: Sequence[float]) -> bool:
    """Whether a trial is to be stopped at an early look."""
    sweep = trials.sweep
    if len(sweep.objectives) == 1:
        trial.report(values[0], look)
        return bool(trial.should_prune())
    parts_of_others = [other.user_attrs.get("parts", {}) for other in trials.finished() if not other.user_attrs.get("reason")
            or other.user_attrs.get("strategy")]  # fmt: skip
    others = [_losses(trials.objectives, parts[str(look)]) for parts in parts_of_others if str(look) in parts]
    if len(others) < sweep.pruning.after:
        return False
    margins = [sweep.pruning.margin if each.figure else 0.0 for each in trials.objectives]
    return clearly_beaten(_losses(trials.objectives, values), others, margins)


def _losses(objectives: Sequence[SearchObjective], values: Sequence[float]) -> list[float]:
    """Lower is better."""
    return [each.loss(value) for each, value in zip(objectives, values, strict=True)]


def write_front(evaluator: Evaluator, trials: Trials) -> Path:
    """``front.json`` of what is finished; the order is the trials'."""
    kinds = trials.objectives
    points: list[dict[str, Any]] = []
    for trial in trials.finished():
        record = _record(_file(evaluator, trial.number))
        if record is None or record["judged"] is None:
            continue
        scores = Scores.from_dict(record["judged"])
        values = scores.objectives(kinds)
        points.append(
            {
                "number": trial.number,
                "name": record["known"] or f"trial {trial.number}",
                "known": record["known"],
                "values": values,
                "strategy": record["strategy"],
                **scores.to_dict(),
            }
        )
    flags = front([_losses(kinds, point["values"]) for point in points])
    for point, flag in zip(points, flags, strict=True):
        point["front"] = flag
    path = evaluator.folder / "front.json"
    study = evaluator.study
    better = [{"name": each.name, "better": each.better, "label": _label(each, points)} for each in kinds]
    finished = {"finished": len(trials.finished()), "judged": len(points)}
    write_json(
        path,
        {"format": 1, "study": study.name, "num": study.num, "seed": study.seed, "objectives": better,
         "unit": unit_expert(evaluator.ensemble), "trials": finished, "real": evaluator.real.to_dict(), "points": points},
    )  # fmt: skip
    return path


def _label(objective: SearchObjective, points: Sequence[Mapping[str, Any]]) -> str:
    """An objective by the figure that it is read from."""
    found = Scores.from_dict(points[0]).found(objective) if points and objective.figure else None
    return objective.label(None if found is None else found[0])


def load_front(folder: Path) -> dict[str, Any]:
    """What ``write_front`` wrote.

    Raises:
        InputError: there is none yet, or it is damaged.
    """
    path = folder / "front.json"
    found = _record(path)
    if found is None:
        raise InputError(f"no {path}: run `jvid sweep RECIPE` first")
    return found


def point_of(found: Mapping[str, Any], number: int, folder: Path) -> dict[str, Any]:
    """The point of a trial.

    Raises:
        InputError: no such trial has figures of all its clips; the message names those on the front.
    """
    for point in found["points"]:
        if point["number"] == number:
            return dict(point)
    on = ", ".join(str(point["number"]) for point in found["points"] if point["front"])
    raise InputError(f"trial {number} is not in {folder / 'front.json'}: the front has {on or 'none yet'}")


def _file(evaluator: Evaluator, number: int) -> Path:
    return evaluator.folder / "trials" / f"{number:04d}.json"


def _record(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    values: dict[str, Any] = read_json(
        path, "what a sweep wrote", "delete it, the same sweep writes it again"
    )
    return values
