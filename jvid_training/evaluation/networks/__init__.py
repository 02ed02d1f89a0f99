"""Feature networks, by name or path: the registry's kind ``features``.

    i3d, i3d:PATH                        I3D on Kinetics-400, for FVD
    i3d-frame, i3d-frame:PATH            the same, each frame as a still clip
    efficientnet-lite0[:PATH]            ImageNet features of frames
    torchscript:PATH                     the standard detectors: Inception-2015, I3D
    pixels                               flicker and jerk

Its module describes how each prepares frames.
"""

from __future__ import annotations

import re

from jvid.core.metrics import FeatureNetwork
from jvid.plugins.choice import Choice
from jvid.plugins.registry import load

__all__ = ["FeatureNetwork", "load_network"]


def load_network(text: str) -> FeatureNetwork:
    """The network of a registry choice; ``name:PATH`` is short for ``name:path=PATH``.

    Raises:
        UnknownNameError: no plugin registers it.
        InputError: options that it does not take.
        MissingDependencyError: its weights are not on this machine.
    """
    name, _, rest = text.partition(":")
    is_path = rest and not re.match(r"[a-z_]+ *=", rest)
    network: FeatureNetwork = load(
        "features", Choice(name, {"path": rest}) if is_path else Choice.parse(text)
    )
    return network
