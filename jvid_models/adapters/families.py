"""Families of autoencoders whose encoders are equal under different class names, with the evidence.

A config does not hold weights. It belongs to a family where its class is one of the family's and it has the family's
published numbers, all of them: channels, factors, scaling and shift.

    family             classes                                       evidence
    AutoencoderKL      AutoencoderKL, AutoencoderKLTemporalDecoder   Stable Video Diffusion keeps Stable Diffusion's encoder and
                                                                     replaces the decoder (Blattmann et al. 2023, arXiv
                                                                     2311.15127; as arXiv 2304.08818, section 3.1.1);
                                                                     both classes have the same encoder, tensor by tensor
    AutoencoderKLWan   AutoencoderKLWan, AutoencoderKLQwenImage      Qwen-Image freezes the encoder of Wan 2.1 and trains the
                                                                     decoder (Wu et al. 2025, arXiv 2508.02324);
                                                                     means and deviations are equal; with equal weights both
                                                                     classes encode and decode to the same numbers
"""

from __future__ import annotations

import math

import attrs

from jvid.core.spaces import LatentSpace

__all__ = ["FAMILIES", "near", "with_encoder"]

Numbers = float | tuple[float, ...]
"""Of all channels, or one a channel."""
_MEASURED = 1e-4

_WAN_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
_WAN_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip

FAMILIES: tuple[tuple[LatentSpace, frozenset[str]], ...] = (
    (
        LatentSpace("AutoencoderKL", scaling=0.18215),
        frozenset({"AutoencoderKL", "AutoencoderKLTemporalDecoder"}),
    ),
    (
        LatentSpace("AutoencoderKLWan", 16, 8, [1.0 / std for std in _WAN_STD], _WAN_MEAN, 4),
        frozenset({"AutoencoderKLWan", "AutoencoderKLQwenImage"}),
    ),
)
"""Each family's space, whose autoencoder gives it its name, and its classes."""


def with_encoder(space: LatentSpace, kind: str) -> LatentSpace:
    """The space of an autoencoder of class ``kind``, with its family as encoder where it belongs to one.

    Numbers within 1e-4 of the family's, as measured ones are, become the family's own.
    """
    for family, classes in FAMILIES:
        if kind not in classes or not set(space.differences(family)) <= {"autoencoder", "scaling", "shift"}:
            continue
        if near(space.scaling, family.scaling, 1e-5) and near(space.shift, family.shift, 1e-5):
            return attrs.evolve(space, encoder=family.autoencoder, scaling=family.scaling, shift=family.shift)
    return space


def near(one: Numbers, other: Numbers, least: float) -> bool:
    """Whether numbers of a space are equal as far as they are measured, to 1e-4 or to ``least``; one is that of all channels."""
    many = max((len(each) for each in (one, other) if isinstance(each, tuple)), default=1)
    first, second = (each if isinstance(each, tuple) else (each,) * many for each in (one, other))
    return len(first) == len(second) and all(
        math.isclose(a, b, rel_tol=_MEASURED, abs_tol=least) for a, b in zip(first, second, strict=True)
    )
