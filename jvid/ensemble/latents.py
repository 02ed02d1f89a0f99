"""The latents that experts have in common: their space, and which frames an expert of single pictures may denoise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import Denoiser, Expert
    from jvid.core.spaces import LatentSpace
    from jvid.ensemble.ensemble import Ensemble
    from jvid.plugins.choice import Choice

__all__ = ["check_pictures", "common_space"]


def check_pictures(name: str, ensemble: Ensemble, own: Denoiser, wrappers: tuple[Choice, ...]) -> None:
    """Refuse an expert of single pictures for latent frames that hold several.

    Raises:
        InputError: in one line, which names the expert and the wrapper that it needs.
    """
    from jvid.core.spaces import space_of

    space = space_of(own) or ensemble.space
    if ensemble.member(name).denoises == "clips" or space is None or space.frames == 1:
        return
    if not any(choice.bare == "first-frame" for choice in wrappers):
        others = [other for other in ensemble.experts if ensemble.member(other).denoises == "clips"]
        raise InputError(
            f"expert {name!r} denoises single pictures, and a latent frame of {space.autoencoder} behind the first holds "
            f"{space.frames} frames: give it the wrapper first-frame:others={others[0] if others else 'EXPERT'}"
        )


def common_space(ensemble: Ensemble, experts: Mapping[str, Expert]) -> LatentSpace | None:
    """The space of the latents: the ensemble's; the codec's where experts declare several; None is the first's."""
    from jvid.core.spaces import space_of

    declared = {space for each in experts.values() if (space := space_of(each.denoiser)) is not None}
    if ensemble.space is not None or ensemble.same_space or len(declared) < 2 or not ensemble.has_codec:
        return ensemble.space
    return getattr(ensemble.codec, "space", None)
