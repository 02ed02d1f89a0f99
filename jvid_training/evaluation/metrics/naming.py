"""The network of a metric: the default one, and its place in the metric's name."""

from __future__ import annotations

from typing import Literal

from jvid.core.metrics import DeclaresStandard, FeatureNetwork
from jvid.errors import InputError
from jvid.plugins.registry import load

__all__ = ["bracketed", "checked_network"]


def bracketed(title: str, network: FeatureNetwork) -> str:
    """The title with the network in brackets; the title alone for the standard network.

    >>> from types import SimpleNamespace
    >>> bracketed("FID", SimpleNamespace(name="efficientnet-lite0"))
    'FID[efficientnet-lite0]'
    """
    standard = isinstance(network, DeclaresStandard) and network.standard
    return title if standard else f"{title}[{network.name}]"


def checked_network(
    features: FeatureNetwork | None, default: str, kind: Literal["clip", "frame"]
) -> FeatureNetwork:
    """The network that is given, or the registered ``default``.

    Raises:
        InputError: its rows are of the other kind.
        MissingDependencyError: the default's weights are not on this machine.
    """
    network: FeatureNetwork = load("features", default) if features is None else features
    if network.kind != kind:
        raise InputError(
            f"features {network.name!r} have a row for each {network.kind}: expected one for each {kind}"
        )
    return network
