"""The figures of the registered metrics are those of their formulas, bit for bit, each network run once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jvid_training.evaluation import FeatureCache, Figure, default_metrics, evaluate
from jvid_training.evaluation.bootstrap import frechet_interval, mean_interval
from jvid_training.evaluation.evaluating import ProtocolWarning
from jvid_training.evaluation.metrics.coherence import agreement, identity
from jvid_training.evaluation.networks.pixels import Pixels
from jvid_training.evaluation.statistics import frechet_distance, inception_score, moments_of
from tests.evaluation_tools import Clips, Means, noise

pytestmark = pytest.mark.filterwarnings(f"ignore::{ProtocolWarning.__module__}.ProtocolWarning")


def test_they_are_the_formulas(tmp_path: Path) -> None:
    source, reference = Clips(noise(9, seed=1), "source"), Clips(noise(14, seed=2, high=200), "reference")
    networks = [Means("clip", "c"), Means("frame", "f"), Pixels()]
    own, real = (FeatureCache(tmp_path).features(clips, networks) for clips in (source, reference))
    found = evaluate(source, reference, networks[:2], cache=tmp_path, bootstrap=20, seed=5).figures

    expected = {}
    for name, network in (("FVD[c, 9 clips]", "c"), ("FID[f, 36 frames]", "f")):
        rows, moments = own[network]["features"], moments_of(real[network]["features"])
        value = frechet_distance(moments_of(rows), moments)
        low, high = frechet_interval(value, rows, moments, 20, 5)
        expected[name] = Figure(value, low, high, "lower", "against 14 real clips")
    score, deviation = inception_score(own["f"]["logits"].reshape(36, 3), logits=True)
    expected["IS[f, 36 frames]"] = Figure(
        score, score - deviation, score + deviation, "higher", "deviation over 10 splits"
    )
    means = {
        "agreement[f]": (agreement(own["f"]["features"]), ""),
        "identity[f]": (identity(own["f"]["features"]), ""),
    }
    for column, title in enumerate(Pixels.figures):
        values, base = (rows["pixels"]["features"][:, column].astype(np.float64) for rows in (own, real))
        means[title] = (values, "of 255")
        means[f"{title} ratio"] = (values * (1 / float(base.mean())), "to the reference's")
    for name, (values, note) in means.items():
        expected[name] = Figure(float(values.mean()), *mean_interval(values, 20, 5), None, note)
    assert found == expected


def test_metrics_of_one_network_run_it_once(tmp_path: Path) -> None:
    network, second = Means("frame", "f"), Means("frame", "f")
    # Another object of the same network: the first one is used.
    metrics = [default_metrics([network])[0], *default_metrics([second])[1:3]]
    source = Clips(noise(9), "source")
    found = evaluate(source, Clips(noise(8, seed=2)), metrics=metrics, cache=tmp_path, bootstrap=0)
    assert "IS[f, 36 frames]" in found.figures
    assert (network.calls, second.calls) == (3, 0)
