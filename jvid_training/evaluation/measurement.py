"""A metric with its networks loaded, and its values as figures.

What ``compute`` returns is checked: a value that is not finite, or of another shape, is an error that names the metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from jvid.core.metric_values import value_of
from jvid.core.metrics import (
    ClipSample,
    ClipSource,
    DeclaresFloor,
    DeclaresSampleSize,
    FeatureNetwork,
    Metric,
    Resampling,
    Score,
)
from jvid.errors import InputError, JvidError, PluginError, located, one_line
from jvid_training.evaluation.bootstrap import mean_interval
from jvid_training.evaluation.cache import Features
from jvid_training.evaluation.figures import Figure, named
from jvid_training.evaluation.networks import load_network
from jvid_training.evaluation.sample import MeasuredClips

__all__ = ["BoundMetric", "bound", "networks_of"]


@attrs.frozen(eq=False)
class BoundMetric:
    """A metric and the networks whose rows it reads."""

    metric: Metric
    networks: tuple[FeatureNetwork, ...]

    @property
    def name(self) -> str:
        """The metric's name, which is the base name of its figures."""
        return self.metric.name

    def sample(self, source: ClipSource, rows: Mapping[str, Features]) -> MeasuredClips:
        """The clips of a source with the rows of the metric's networks; ``rows`` by the networks' names."""
        return MeasuredClips(source, tuple(rows[network.name].arrays for network in self.networks))

    def figures(self, clips: ClipSample, reference: ClipSample, resampling: Resampling) -> dict[str, Figure]:
        """The metric's figure by its full name; empty where these clips have none.

        Raises:
            PluginError: the metric fails, or returns something else than its protocol states.
        """
        score = self._score(clips, resampling, lambda: self.metric.compute(clips, reference, resampling))
        if score is None:
            return {}
        name = self.name
        if isinstance(self.metric, DeclaresSampleSize):
            name = named(name, len(clips) if score.count is None else score.count, self.metric.sample_size)
        return {name: self._figure(score)}

    def floor(self, reference: ClipSample, resampling: Resampling) -> dict[str, Figure]:
        """What real clips reach, by the base name; empty where that is not known.

        Raises:
            PluginError: as ``figures``.
        """
        metric = self.metric
        if isinstance(metric, DeclaresFloor):
            score = self._score(reference, resampling, lambda: metric.floor(reference, resampling))
        else:
            score = self._score(
                reference, resampling, lambda: metric.compute(reference, reference, resampling)
            )
        return {} if score is None else {self.name: self._figure(score)}

    def _figure(self, score: Score) -> Figure:
        note = "; ".join(part for part in (self.metric.unit, score.note) if part)
        return Figure(score.value, score.low, score.high, self.metric.better, note)

    def _score(self, clips: ClipSample, resampling: Resampling, compute: Callable[[], Any]) -> Score | None:
        try:
            with located(f"metric {self.name!r}"):
                made = compute()
        except JvidError:
            raise
        except Exception as error:
            raise PluginError(
                f"metric {self.name!r} failed on {clips.name}: {one_line(error, typed=True)}"
            ) from error
        value = value_of(self.metric, made, clips)
        if not isinstance(value, np.ndarray):
            return value
        return Score(float(value.mean()), *mean_interval(value, resampling.count, resampling.seed))


def bound(metrics: Sequence[Metric | BoundMetric]) -> tuple[BoundMetric, ...]:
    """The metrics with their networks; a network that several of them name is loaded once.

    Raises:
        InputError: two metrics, or two different networks, of one name.
        UnknownNameError: features that no plugin registers.
        PluginError: a direction that is none.
    """
    loaded: dict[str, FeatureNetwork] = {}
    known: dict[str, FeatureNetwork] = {}
    found = []
    for metric in metrics:
        networks = metric.networks if isinstance(metric, BoundMetric) else _networks(metric, loaded)
        one = metric.metric if isinstance(metric, BoundMetric) else metric
        if one.better not in (None, "lower", "higher"):
            raise PluginError(
                f"metric {one.name!r} has better={one.better!r}: expected 'lower', 'higher' or None"
            )
        for network in networks:
            other = known.setdefault(network.name, network)
            if (other.fingerprint, other.kind) != (network.fingerprint, network.kind):
                raise InputError(
                    f"metric {one.name!r}: another feature network is named {network.name!r}: expected different names"
                )
        found.append(BoundMetric(one, tuple(known[network.name] for network in networks)))
    names = [each.name for each in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError(f"two metrics are named {twice[0]!r}: give each once")
    return tuple(found)


def _networks(metric: Metric, loaded: dict[str, FeatureNetwork]) -> tuple[FeatureNetwork, ...]:
    networks = []
    for each in metric.features:
        if isinstance(each, str):
            if each not in loaded:
                with located(f"metric {metric.name!r}"):
                    loaded[each] = load_network(each)
            each = loaded[each]
        networks.append(each)
    return tuple(networks)


def networks_of(metrics: Sequence[BoundMetric]) -> tuple[FeatureNetwork, ...]:
    """The networks of several metrics, each once, in order."""
    return tuple({network.name: network for each in metrics for network in each.networks}.values())
