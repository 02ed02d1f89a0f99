"""Feature networks, by name or path.

    i3d, i3d:PATH                        I3D on Kinetics-400, for FVD
    i3d-frame, i3d-frame:PATH            the same, each frame as a still clip
    efficientnet-lite0[:PATH]            ImageNet features of frames
    torchscript:PATH                     the standard detectors: Inception-2015, I3D

Its module describes how each prepares frames.
"""

from __future__ import annotations

from jvid.errors import InputError
from jvid_training.evaluation.networks.protocol import FeatureNetwork

__all__ = ["NAMES", "FeatureNetwork", "load_network"]

NAMES = ("i3d", "efficientnet-lite0", "i3d-frame", "torchscript:PATH")


def load_network(text: str) -> FeatureNetwork:
    """``name`` or ``name:path`` -> the network. InputError for another name, MissingDependencyError without its weights."""
    name, _, path = text.partition(":")
    where = path or None
    if name in ("i3d", "i3d-frame"):
        from jvid_training.evaluation.networks.i3d import I3DNetwork

        return I3DNetwork(where, still=name == "i3d-frame")
    if name == "efficientnet-lite0":
        from jvid_training.evaluation.networks.efficientnet import EfficientNetNetwork

        return EfficientNetNetwork(where)
    if name == "torchscript" and where:
        from jvid_training.evaluation.networks.torchscript import TorchScriptNetwork

        return TorchScriptNetwork(where)
    raise InputError(f"unknown feature network {text!r}: expected one of {', '.join(NAMES)}")
