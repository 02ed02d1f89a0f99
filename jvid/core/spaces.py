"""Latent spaces: two denoisers take turns only where latents mean the same to both.

    z = scaling (E(x) - shift)

Spaces compare by value: channels, factors of space and time, scaling and shift, and the encoder E: that of a family of
equal encoders where it is known, else the autoencoder's name. Spaces of one known encoder that are normalised differently
are related by z' = a z + b (``affine``), which a ``Sampler`` applies. A denoiser declares its own as ``space``; one that
does not is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from jvid.core.protocols import Denoiser
from jvid.errors import InputError

__all__ = ["LatentSpace", "affine", "same_space", "space_of"]


def _scaling(value: float | Iterable[float]) -> float | tuple[float, ...]:
    return float(value) if isinstance(value, (int, float)) else tuple(map(float, value))


@attrs.frozen(eq=False)
class LatentSpace:
    """The latents of one autoencoder, as a denoiser sees them.

    Attributes:
        autoencoder: its name, such as "stable-diffusion-1" or "taesd"; what decodes the latents.
        channels: c of ``(b c f h w)``.
        factor: pixels to one latent, along height and width.
        scaling: latents are the encoder's output less ``shift``, times this; one number, one a channel, or k a channel
            (the first channel's first) of k latent frames.
        shift: taken off before scaling; numbers as of ``scaling``.
        frames: frames of video to one latent frame.
        encoder: a name of the encoder's weights that all autoencoders with the same encoder have; None where it is not known.

    Raises:
        InputError: a value out of range, or a scaling of another number of channels.
    """

    autoencoder: str
    channels: int = 4
    factor: int = 8
    scaling: float | tuple[float, ...] = attrs.field(default=1.0, converter=_scaling)
    shift: float | tuple[float, ...] = attrs.field(default=0.0, converter=_scaling)
    frames: int = 1
    # A field that is not compared is left out of fingerprints, as in states of older versions.
    encoder: str | None = attrs.field(default=None, eq=False)

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
            if isinstance(value, tuple) and (not value or len(value) % self.channels):
                raise InputError(
                    f"LatentSpace got {name} of {len(value)} values; expected one number or {self.channels}, one a channel"
                )
            if not all(map(math.isfinite, values)) or (name == "scaling" and 0.0 in values):
                raise InputError(
                    f"LatentSpace got {name}={value!r}; expected finite numbers, and no scaling of 0"
                )
            if len(set(values)) == 1:  # the same for each channel is the same space
                object.__setattr__(self, name, values[0])

    @property
    def _values(self) -> dict[str, object]:
        return {
            "autoencoder": self.encoder or self.autoencoder,
            "channels": self.channels,
            "factor": self.factor,
            "frames": self.frames,
            "scaling": self.scaling,
            "shift": self.shift,
        }

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, LatentSpace) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._values.values()))

    def differences(self, other: LatentSpace) -> tuple[str, ...]:
        """The names of what differs from another space."""
        return tuple(name for name, value in self._values.items() if value != other._values[name])

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


def affine(outer: LatentSpace, inner: LatentSpace) -> tuple[float, tuple[float, ...]] | None:
    """a and b ``(c,)`` of z_inner = a z_outer + b, where both are one known encoder's; None where there is no such map.

    a is one number: where scalings have another ratio in each channel, noise that is equal in all channels of one space is
    not in the other, and no level of a schedule describes it.
    """
    if outer.encoder is None or not set(outer.differences(inner)) <= {"scaling", "shift"}:
        return None
    values = [_each(space, name) for space in (outer, inner) for name in ("scaling", "shift")]
    if any(value is None for value in values):
        return None
    s, m, s_inner, m_inner = (value for value in values if value is not None)
    ratios = [after / before for before, after in zip(s, s_inner, strict=True)]
    if not all(math.isclose(ratio, ratios[0], rel_tol=1e-6) for ratio in ratios):
        return None
    return ratios[0], tuple(
        k * (before - after) for k, before, after in zip(s_inner, m, m_inner, strict=True)
    )


def _each(space: LatentSpace, name: str) -> tuple[float, ...] | None:
    """One number for each channel; None where there is one for each latent frame."""
    value: float | tuple[float, ...] = getattr(space, name)
    values = value if isinstance(value, tuple) else (value,) * space.channels
    return values if len(values) == space.channels else None


def same_space(
    denoisers: Mapping[str, Denoiser], reference: LatentSpace | None = None, trusted: bool = False
) -> LatentSpace | None:
    """The space of all experts that declare one; of those with an affine map to it, too.

    Args:
        denoisers: the experts by name.
        reference: the space of the latents; the first expert's that declares one if None.
        trusted: whether spaces that differ are taken as one.

    Raises:
        InputError: two of them differ; the message names both experts, both spaces and what differs.
    """
    declared = {
        name: space for name, denoiser in denoisers.items() if (space := space_of(denoiser)) is not None
    }
    if not declared:
        return reference
    who, space = next((f"expert {name!r}", space) for name, space in declared.items())
    if reference is not None:
        who, space = "the latents", reference
    for name, other in declared.items():
        if not trusted and other != space and affine(space, other) is None:
            pair = f"{who.replace('expert', 'experts', 1)} and {name!r}"
            differing = " and ".join(space.differences(other))
            if space.encoder is not None and set(space.differences(other)) <= {"scaling", "shift"}:
                differing += ", in a ratio that is not the same for each channel"
            raise InputError(
                f"{pair} do not share a latent space: {space} and {other}; they differ in {differing}: expected one "
                "space for all, because a latent of one means nothing to the other (or same_space=True, --same-space)"
            )
    return space


def _text(value: float | tuple[float, ...]) -> str:
    return f"({', '.join(f'{v:.5g}' for v in value)})" if isinstance(value, tuple) else f"{value:.5g}"
