"""The components that a study evaluates with: feature networks and codecs; and whether real clips fit the ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid_training.evaluation.networks import FeatureNetwork
    from jvid_training.evaluation.sources import ClipSource
    from jvid_training.search.recipe import Networks

__all__ = ["check_fits", "codec_of", "networks_of"]


def codec_of(label: str, reference: ClipSource, ensemble: Ensemble) -> Any:
    """The codec of the rows "image AE" (that of the latents) and "video AE" or "codec" (the ensemble's).

    Raises:
        MissingDependencyError: it encodes nothing, or its weights are not on this machine.
    """
    from jvid.plugins.registry import load

    if label != "image AE":
        codec: Any = ensemble.codec
    else:
        key = getattr(getattr(reference, "manifest", None), "key", {}).get("codec")
        codec = None if key is None else load("codec", key["name"], **key["options"])
    if not hasattr(codec, "encode"):
        raise MissingDependencyError(
            f"row {label!r}: there is no codec that encodes; leave it out with --rows"
        )
    return codec


def networks_of(networks: Networks) -> tuple[FeatureNetwork, ...]:
    """The feature networks that the recipe names."""
    from jvid_training.evaluation.networks import load_network

    return tuple(load_network(text) for text in (networks.clip, networks.frame) if text)


def check_fits(reference: ClipSource, ensemble: Ensemble, where: str) -> None:
    """Refuse real clips that are not like the ensemble's.

    Raises:
        InputError: another number of frames, rate or size.
    """
    from jvid_training.generation.ensembles import frame_size

    frames = ensemble.frames.frames(ensemble.shape[1])
    if reference.frames != frames or reference.fps != ensemble.fps:
        raise InputError(
            f"reference {where}: clips of {reference.frames} frames at {reference.fps:g} fps, expected {frames} at "
            f"{ensemble.fps:g} of ensemble {ensemble.name}: encode clips with its data.frames and data.fps"
        )
    size = frame_size(ensemble, "cpu")
    if tuple(reference.size) != size:
        got, expected = ("x".join(map(str, each)) for each in (reference.size, size))
        raise InputError(
            f"reference {where}: frames of {got}, expected {expected} of ensemble {ensemble.name}: encode clips with its "
            "data.size"
        )
