"""Built-in metrics, each a value of the registry kind ``metric``, and the lists of them that an evaluation begins with."""

from __future__ import annotations

from collections.abc import Sequence

from jvid.core.metrics import FeatureNetwork, Metric
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load

__all__ = ["default_metrics", "joined", "load_metrics"]

BY_KIND = {"clip": ("fvd",), "frame": ("fid", "inception-score", "agreement", "identity")}
"""The metrics of each feature network, by what its rows are of."""
MOTION = ("flicker", "flicker-ratio", "jerk", "jerk-ratio")
"""The metrics of the pixels."""


def default_metrics(networks: Sequence[FeatureNetwork]) -> tuple[Metric, ...]:
    """The metrics of an evaluation where none is named: those of each network, of the pixels, and of the actions.

    Raises:
        InputError: two networks of one name.
    """
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise InputError(f"feature networks {', '.join(names)}: expected different names")
    found: list[Metric] = [
        load("metric", name, features=network) for network in networks for name in BY_KIND[network.kind]
    ]
    found += [load("metric", name) for name in MOTION]
    clip = next((network for network in networks if network.kind == "clip"), None)
    if clip is not None:
        found.append(load("metric", "action", features=clip))
    return tuple(found)


def joined(metrics: Sequence[Metric], further: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics, then those of ``further`` whose names are not among theirs."""
    names = {metric.name for metric in metrics}
    return (*metrics, *(metric for metric in further if metric.name not in names))


def load_metrics(choices: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of registry choices, ``fid`` or ``fid:features=i3d-frame``; each once.

    Raises:
        UnknownNameError: no such metric, or features that no plugin registers.
        InputError: an option that the metric does not take.
    """
    return tuple(load("metric", Choice.parse(text)) for text in dict.fromkeys(choices))
