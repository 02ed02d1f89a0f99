"""A video and an image model of one latent space, with what turns prompts into them and latents out of them.

Anybody's object with these attributes can be registered as a ``pair``. Its factory takes ``device``
and ``dtype`` (names, such as "cpu" and "float32"); the networks should load at their first use, so
that a plan costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from jvid.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from jvid.core.protocols import Condition, Denoiser, NoiseSchedule
    from jvid.strategy.strategy import Strategy

__all__ = ["EXPERTS", "Codec", "Pair", "TextEncoder"]

EXPERTS = ("video", "image")
"""The experts of a pair, by name."""


def denoiser_of(pair: Pair, name: str) -> Denoiser:
    """A denoiser of clips by name: "video"; "image", frame by frame; or one of ``pair.guides``.

    ``guides`` is a mapping that a pair need not have: further denoisers of clips on its schedule, for guidance to lead away from.

    Raises:
        InputError: the pair has none of that name.
    """
    if name == "video":
        return pair.video
    if name == "image":
        from jvid.denoisers.framewise import Framewise

        return Framewise(pair.image)
    guides: Mapping[str, Denoiser] = getattr(pair, "guides", {})
    if name not in guides:
        raise InputError(
            f"pair {pair.name!r} has no denoiser {name!r} to guide against: expected one of {', '.join((*EXPERTS, *guides))}"
        )
    return guides[name]


def guide_of(pair: Pair, expert: str, against: str) -> Denoiser | None:
    """What an expert's guidance leads away from; None where that is the null condition.

    Raises:
        InputError: the pair has none of that name, or it is the expert itself.
    """
    if against == expert:
        raise InputError(f"{expert} cannot be guided against itself: name another denoiser, or none")
    return denoiser_of(pair, against) if against else None


class Codec(Protocol):
    """Latents and pixels of one latent space."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)`` -> video ``(b 3 f H W)`` in [-1, 1]."""
        ...


class TextEncoder(Protocol):
    """Prompts to what the denoisers are conditioned on."""

    def __call__(self, prompts: Sequence[str]) -> Condition:
        """b prompts -> ``{"text": (b n w), "null": {"text": (b n w)}}``; "" is the empty sentence.

        Raises:
            InputError: a prompt that it cannot encode.
        """
        ...


class Pair(Protocol):
    """The two experts and their surroundings; ``guides`` beside them where a pair has some (`denoiser_of`).

    Not for isinstance, which would look at every attribute and so load every network.
    """

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def video(self) -> Denoiser:
        """Denoises clips ``(b c f h w)``, without guidance."""
        ...

    @property
    def image(self) -> Denoiser:
        """Denoises single frames ``(b c 1 h w)``, without guidance."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """The reference schedule; known without loading a network."""
        ...

    @property
    def codec(self) -> Codec:
        """Of the pair's latent space."""
        ...

    @property
    def text_encoder(self) -> TextEncoder:
        """Of both experts."""
        ...

    @property
    def strategy(self) -> Strategy:
        """The recommended one."""
        ...

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(c, f, h, w)`` of one clip's latents."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second of its clips."""
        ...

    @property
    def prompts(self) -> Sequence[str]:
        """The prompts that it knows; none if it takes any sentence."""
        ...
