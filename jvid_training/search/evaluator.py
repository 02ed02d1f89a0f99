"""The evaluator of a study: it makes the clips of a strategy and computes their figures, each once.

    sets/<key>/                    its clips; key = (ensemble, strategy, prompts, seed, batches): a set grows with the number
    figures/<key>-<num>-<by>.json  its figures on the first ``num``; by = (reference, networks, bootstrap, further metrics)
    features/                      of ``evaluate``
    prices.json                    seconds per call, for the cost

Every file is whole or not there, so that a stop at any moment loses at most the batch at hand.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from jvid.ensemble.canonical import canonical
from jvid.errors import InputError
from jvid.files import read_json, remove, write_json
from jvid.strategy.strategy import Strategy
from jvid_training.search.cost import Prices, prices_of
from jvid_training.search.objectives import SearchObjective
from jvid_training.search.scores import Scores

if TYPE_CHECKING:
    from jvid.core.metrics import FeatureNetwork, Metric
    from jvid.ensemble.ensemble import Ensemble
    from jvid_training.evaluation import FeatureCache, Figure
    from jvid_training.evaluation.measurement import BoundMetric
    from jvid_training.evaluation.sources import ClipSource
    from jvid_training.generation import ClipSet
    from jvid_training.search.recipe import Study

__all__ = ["Evaluator"]


class Evaluator:
    """Makes the clips of strategies and computes their figures; each part is loaded when it is first used.

    ``ensemble``, ``reference``, ``networks`` and ``former`` replace those of the recipe, where the caller has them loaded.
    """

    def __init__(
        self,
        study: Study,
        progress: Callable[[str], None] = lambda text: None,
        *,
        ensemble: Ensemble | None = None,
        reference: ClipSource | None = None,
        networks: Sequence[FeatureNetwork] | None = None,
        former: Ensemble | None = None,
    ) -> None:
        self.study, self.progress, self.folder = study, progress, Path(study.out)
        self._given = (ensemble, reference, networks, former)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The ensemble of models."""
        return self._given[0] or self.study.ensemble.load()

    @cached_property
    def former(self) -> Ensemble | None:
        """The ensemble of another decoder whose clips are decoded anew."""
        named = self.study.sampled_by
        return self._given[3] or (named.load() if named else None)

    @cached_property
    def base(self) -> Strategy:
        """The study's strategy: of its file, or the ensemble's."""
        from jvid_training.generation.run import recommended

        return Strategy.load(self.study.strategy) if self.study.strategy else recommended(self.ensemble)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """Of the clips, in turn. An ensemble that takes any sentence is prompted with the captions of the reference."""
        from jvid_models.captions import read_lines
        from jvid_training.evaluation.sources import captions_of
        from jvid_training.generation.run import usual_prompts

        if self.study.prompt_file:
            try:
                return read_lines(Path(self.study.prompt_file))
            except InputError as error:
                raise InputError(f"study.prompt_file: {error}") from None
        if self.study.prompts or self.ensemble.prompts:
            return self.study.prompts or usual_prompts(self.ensemble)
        if found := captions_of(self.reference):
            return found
        raise InputError(
            f"study.prompts: ensemble {self.ensemble.name!r} takes any sentence, and the reference has no captions; give some, "
            "or study.prompt_file"
        )

    @cached_property
    def fingerprint(self) -> str:
        """The ensemble's, wherever it lies."""
        from jvid_training.generation.ensembles import ensemble_fingerprint

        return ensemble_fingerprint(self.ensemble, self.study.ensemble)

    @cached_property
    def prices(self) -> Prices:
        """Seconds per call, measured once."""
        return prices_of(self.ensemble, self.fingerprint, self.folder / "prices.json")

    @cached_property
    def networks(self) -> tuple[FeatureNetwork, ...]:
        """The feature networks of the figures."""
        from jvid_training.search.components import networks_of

        given = self._given[2]
        return tuple(given) if given is not None else networks_of(self.study.networks)

    @cached_property
    def metrics(self) -> tuple[BoundMetric, ...]:
        """The metrics of the networks, then those of the recipe that are not among them."""
        from jvid_training.evaluation.measurement import bound
        from jvid_training.evaluation.metrics import default_metrics, joined

        return bound(joined(default_metrics(self.networks), tuple(self._stated.values())))

    @cached_property
    def _stated(self) -> dict[str, Metric]:
        """The recipe's metrics by their choices."""
        from jvid_training.evaluation.metrics import load_metrics

        return dict(zip(self.study.metrics, load_metrics(self.study.metrics), strict=True))

    @property
    def columns(self) -> tuple[str, ...]:
        """The base names of the recipe's metrics."""
        return tuple(metric.name for metric in self._stated.values())

    def objectives(self, names: Sequence[str]) -> tuple[SearchObjective, ...]:
        """The objectives of a recipe's names.

        Raises:
            InputError: an unknown name, or a metric without a direction.
        """
        return tuple(SearchObjective.of(name, self._stated) for name in names)

    @cached_property
    def reference(self) -> ClipSource:
        """The real clips.

        Raises:
            InputError: their size, frames or rate are not the ensemble's.
        """
        from jvid_training.evaluation.sources import real_clips
        from jvid_training.search.components import check_fits

        found = self._given[1] or real_clips(
            self.study.reference, windows=self.study.windows, actors=self.study.actors
        )
        check_fits(found, self.ensemble, self.study.reference)
        return found

    @cached_property
    def store(self) -> FeatureCache:
        """Features of clips."""
        from jvid_training.evaluation import FeatureCache

        return FeatureCache(self.folder / "features")

    @cached_property
    def recogniser(self) -> Any:
        """The classifier of actions, trained on the reference; None where it cannot be."""
        from jvid_training.evaluation import recogniser_of

        return recogniser_of(self.metrics, self.reference, self.store)

    @cached_property
    def real(self) -> Scores:
        """Real clips against real clips: the floor of every figure."""
        from jvid_training.evaluation import real_floor

        def figures() -> Mapping[str, Figure]:
            return real_floor(self.reference, metrics=self.metrics, cache=self.store, seed=self.study.seed)

        return self._known("real-clips", None, len(self.reference), None, figures)

    def key(self, strategy: Strategy, seed: int, fingerprint: str = "") -> str:
        """What the clips depend on, as hex; not how many there are. ``fingerprint`` is of another ensemble than the study's."""
        study = self.study
        values: list[Any] = [
            fingerprint or self.fingerprint,
            self.written(strategy),
            list(self.prompts),
            seed,
        ]
        values += [study.batch, study.micro_batch, study.threads]
        return _hex(values)

    def written(self, strategy: Strategy) -> dict[str, Any]:
        """The values that a key is of: those of version 0.1 where it had some, so that the sets of a study stay its own."""
        from jvid.ensemble.compose import Composition
        from jvid.strategy.legacy import downgraded

        values = self._simplest(strategy).to_dict()
        return downgraded(values, Composition(strategy, self.ensemble).experts) or values

    def set_folder(self, strategy: Strategy, seed: int) -> Path:
        """Where the clips of a strategy are."""
        return self.folder / "sets" / self.key(strategy, seed)

    def score(
        self, strategy: Strategy, num: int, seed: int, bootstrap: int | None = None, processes: int = 1
    ) -> Scores:
        """The figures of ``num`` clips of a strategy, made if they are not there; clip i has seed ``seed`` + i.

        Raises:
            InputError: what generation and evaluation raise; finished batches stay.
        """
        with self._held(self.key(strategy, seed)):
            return self._known(
                f"{self.key(strategy, seed)}-{num}",
                bootstrap,
                num,
                lambda: self.prices.cost(strategy),
                lambda: self._evaluate(self._clips(strategy, num, seed, processes), bootstrap),
            )

    def known(self, strategy: Strategy, num: int, seed: int) -> Scores | None:
        """The result of an earlier call of ``score``; None if there was none. Nothing is made."""
        return _read(self._figures(f"{self.key(strategy, seed)}-{num}", None))

    def score_source(self, name: str, source: Callable[[], ClipSource], num: int) -> Scores:
        """The figures of ``num`` clips that no strategy makes, such as a codec's; they cost no network.

        They are kept by ``name``, which must contain all that the clips depend on beside the reference.
        """
        stem = f"{name.replace(' ', '-').replace('/', '-')}-{num}"
        return self._known(stem, None, num, None, lambda: self._evaluate(source(), None))

    def drop(self, strategy: Strategy, seed: int) -> None:
        """Delete the clips of a strategy; its figures stay."""
        with self._held(self.key(strategy, seed)):
            remove(self.set_folder(strategy, seed))

    def _simplest(self, strategy: Strategy) -> Strategy:
        return canonical(strategy, self.ensemble)

    def _held(self, key: str) -> AbstractContextManager[None]:
        """The clips of a key, for this process alone."""
        from jvid_training.jobs.locks import held

        return held(self.folder / "locks" / key)

    def _clips(self, strategy: Strategy, num: int, seed: int, processes: int) -> ClipSource:
        from jvid_training.generation import generate

        study, folder = self.study, self.set_folder(strategy, seed)
        made = self._opened(self.key(strategy, seed))
        if made is None or not _first(made, num).complete:
            wanted = max(num, len(made) if made else 0)
            made = self._finished(strategy, wanted, seed) or generate(
                folder, num=wanted, ensemble=study.ensemble, strategy=self._simplest(strategy),
                prompts=self.prompts, seed=seed, batch=study.batch, micro_batch=study.micro_batch,
                threads=study.threads, processes=processes, loaded=self.ensemble,
            )  # fmt: skip
        return _first(made, num)

    def _finished(self, strategy: Strategy, num: int, seed: int) -> ClipSet | None:
        """The clips of a strategy whose latents are there, sampled without postprocessors, or with another decoder."""
        from jvid_training.generation import finish, finishes
        from jvid_training.generation.ensembles import ensemble_fingerprint

        plain, own = attrs.evolve(strategy, postprocessors=()), self.key(strategy, seed)
        places: list[tuple[Ensemble | None, str]] = [(None, self.key(plain, seed))]
        if self.former is not None:
            former = ensemble_fingerprint(self.former, self.study.sampled_by)
            places.append((self.former, self.key(plain, seed, former)))
        for sampler, key in places:
            if key == own:
                continue
            with self._held(key):
                made = self._opened(key)
                if made is None or len(made) < num:
                    continue
                first = _first(made, num)
                if finishes(strategy, first, self.ensemble):
                    return finish(
                        self.set_folder(strategy, seed), first, self._simplest(strategy), self.ensemble,
                        sampled_with=sampler, source=self.study.ensemble,
                    )  # fmt: skip
        return None

    def _opened(self, key: str) -> ClipSet | None:
        """What is there of a key's clips."""
        from jvid_training.generation import ClipSet

        folder = self.folder / "sets" / key
        return ClipSet.open(folder) if (folder / "set.json").is_file() else None

    def _known(
        self,
        stem: str,
        bootstrap: int | None,
        clips: int,
        cost: Callable[[], float] | None,
        figures: Callable[[], Mapping[str, Figure]],
    ) -> Scores:
        """The figures in their file; computed and written there if the file does not exist."""
        path = self._figures(stem, bootstrap)
        if (known := _read(path)) is not None:
            return known
        start = time.perf_counter()
        made = figures()
        scores = Scores(made, clips, None if cost is None else cost(), time.perf_counter() - start)
        write_json(path, scores.to_dict())
        return scores

    def _evaluate(self, clips: ClipSource, bootstrap: int | None) -> Mapping[str, Figure]:
        from jvid_training.evaluation import evaluate

        with warnings.catch_warnings():
            # Every figure's name states the number of clips where the protocol requires more.
            warnings.simplefilter("ignore", UserWarning)
            return evaluate(
                clips,
                self.reference,
                metrics=self.metrics,
                cache=self.store,
                bootstrap=self.study.bootstrap if bootstrap is None else bootstrap,
                seed=self.study.seed,
                floors={},
            ).figures

    def further(self) -> list[Any]:
        """The recipe's metrics with their networks' fingerprints, as plain values; figures depend on them."""
        networks = {each.name: [network.fingerprint for network in each.networks] for each in self.metrics}
        return [[text, networks[metric.name]] for text, metric in self._stated.items()]

    def _figures(self, stem: str, bootstrap: int | None) -> Path:
        by: list[Any] = [self.reference.fingerprint, [network.fingerprint for network in self.networks]]
        by.append(self.study.bootstrap if bootstrap is None else bootstrap)
        if further := self.further():
            by.append(further)
        return self.folder / "figures" / f"{stem}-{_hex(by)[:12]}.json"


def _first(clips: ClipSet, num: int) -> ClipSet:
    """A view of a set's first ``num`` clips."""
    return clips if len(clips) == num else attrs.evolve(clips, spec=attrs.evolve(clips.spec, num=num))


def _hex(values: Any) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def _read(path: Path) -> Scores | None:
    if not path.exists():
        return None
    remedy = "delete it, and the figures are computed again"
    scores: Scores = read_json(path, "figures of a study", remedy, Scores.from_dict)
    return scores
