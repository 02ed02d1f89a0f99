"""Latent spaces: two denoisers take turns only where latents mean the same to both.

Spaces compare by value: channels, factor (pixels to a latent's side), scaling of the autoencoder's output and
the autoencoder itself. A denoiser declares its own as ``space``; one that does not is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from jvid.core.protocols import Denoiser
from jvid.errors import InputError

__all__ = ["LatentSpace", "same_space", "space_of"]


def _scaling(value: float | Iterable[float]) -> float | tuple[float, ...]:
    return float(value) if isinstance(value, (int, float)) else tuple(map(float, value))


@attrs.frozen
class LatentSpace:
    """The latents of one autoencoder, as a denoiser sees them.

    Attributes:
        autoencoder: its name, such as "stable-diffusion-1" or "taesd"; what decodes the latents.
        channels: c of ``(b c f h w)``.
        factor: pixels to one latent, along height and width.
        scaling: latents are the encoder's output less ``shift``, times this; one number or one a channel.
        shift: taken off before scaling; one number or one a channel.
        frames: frames of video to one latent frame.

    Raises:
        InputError: a value out of range, or a scaling of another number of channels.
    """

    autoencoder: str
    channels: int = 4
    factor: int = 8
    scaling: float | tuple[float, ...] = attrs.field(default=1.0, converter=_scaling)
    shift: float | tuple[float, ...] = attrs.field(default=0.0, converter=_scaling)
    frames: int = 1

    def __attrs_post_init__(self) -> None:
        if not self.autoencoder:
            raise InputError(f"LatentSpace got autoencoder={self.autoencoder!r}; expected its name")
        for name in ("channels", "factor", "frames"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"LatentSpace got {name}={value!r}; expected a whole number, at least 1")
        for name in ("scaling", "shift"):
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if isinstance(value, tuple) and len(value) != self.channels:
                raise InputError(
                    f"LatentSpace got {name} of {len(value)} values; expected one number or {self.channels}, one a channel"
                )
            if not all(map(math.isfinite, values)) or (name == "scaling" and 0.0 in values):
                raise InputError(
                    f"LatentSpace got {name}={value!r}; expected finite numbers, and no scaling of 0"
                )
            if len(set(values)) == 1:  # the same for each channel is the same space
                object.__setattr__(self, name, values[0])

    def __str__(self) -> str:
        parts = [f"{self.channels} channels", f"factor {self.factor}", f"scaling {_text(self.scaling)}"]
        if self.shift != 0.0:
            parts.append(f"shift {_text(self.shift)}")
        if self.frames != 1:
            parts.append(f"{self.frames} frames to a latent")
        return f"{self.autoencoder} ({', '.join(parts)})"


def space_of(denoiser: Denoiser) -> LatentSpace | None:
    """The latent space that a denoiser declares; None where it declares none."""
    return getattr(denoiser, "space", None)


def same_space(denoisers: Mapping[str, Denoiser]) -> LatentSpace | None:
    """The space of all experts that declare one.

    Raises:
        InputError: two of them differ; the message names both experts and both spaces.
    """
    declared = {
        name: space for name, denoiser in denoisers.items() if (space := space_of(denoiser)) is not None
    }
    if not declared:
        return None
    (first, space), *others = declared.items()
    for name, other in others:
        if other != space:
            raise InputError(
                f"experts {first!r} and {name!r} do not share a latent space: {space} and {other}; expected one "
                "space for all, because a latent of one means nothing to the other"
            )
    return space


def _text(value: float | tuple[float, ...]) -> str:
    return f"({', '.join(f'{v:.5g}' for v in value)})" if isinstance(value, tuple) else f"{value:.5g}"
