"""The study's ties to evaluation: the codecs' floors, networks; and whether they fit the pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from jvid.ensemble import Pair
    from jvid_training.evaluation.networks import FeatureNetwork
    from jvid_training.evaluation.sources import ClipSource
    from jvid_training.search.recipe import Networks

__all__ = ["check_fits", "codec_of", "networks_of"]


def codec_of(label: str, reference: ClipSource, pair: Pair) -> Any:
    """The codec of the rows "image AE" (that of the latents) and "video AE" (the pair's).

    Raises:
        MissingDependencyError: it encodes nothing, or its weights are not on this machine.
    """
    from jvid.plugins.registry import load

    if label == "video AE":
        codec: Any = pair.codec
    else:
        key = getattr(getattr(reference, "manifest", None), "key", {}).get("codec")
        codec = None if key is None else load("codec", key["name"], **key["options"])
    if not hasattr(codec, "encode"):
        raise MissingDependencyError(
            f"row {label!r}: there is no codec that encodes; leave it out with --rows"
        )
    return codec


def networks_of(networks: Networks) -> tuple[FeatureNetwork, ...]:
    """Those of the recipe that are named."""
    from jvid_training.evaluation.networks import load_network

    return tuple(load_network(text) for text in (networks.clip, networks.frame) if text)


def check_fits(reference: ClipSource, pair: Pair, where: str) -> None:
    """Refuse real clips that are not like the pair's.

    Raises:
        InputError: another number of frames, rate or size.
    """
    from jvid_training.generation.making import frame_size

    if reference.frames != pair.shape[1] or reference.fps != pair.fps:
        raise InputError(
            f"reference {where}: clips of {reference.frames} frames at {reference.fps:g} fps, expected {pair.shape[1]} at "
            f"{pair.fps:g} of pair {pair.name}: encode clips with the pair's data.frames and data.fps"
        )
    size = frame_size(pair, "cpu")
    if tuple(reference.size) != size:
        got, expected = ("x".join(map(str, each)) for each in (reference.size, size))
        raise InputError(
            f"reference {where}: frames of {got}, expected {expected} of pair {pair.name}: encode clips with its data.size"
        )
