"""How frames are shown in a file, alone or on a contact sheet: enlarged, and with or without their background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.extras import extra
from jvid.media.frames import enlarged

if TYPE_CHECKING:
    from PIL.Image import Image

    from jvid.media.frames import Frames

__all__ = ["Look", "background", "sheet"]

_GAP = 2
TOLERANCE = 24
"""Largest difference of a channel, of 255, between the background's colour and a pixel of it: what a decoder leaves."""


@attrs.frozen
class Look:
    """How frames are shown.

    Args:
        scale: whole factor of enlargement, 1 to 64.
        exact: enlarge pixel by pixel, as pixel art wants it, not smoothly.
        transparent: without the plain background, see `background`.

    Raises:
        InputError: a factor that will not do.
    """

    scale: int = 1
    exact: bool = False
    transparent: bool = False

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.scale <= 64:
            raise InputError(f"scale {self.scale!r}: expected a whole number from 1 to 64")

    def images(self, clip: Frames) -> list[Image]:
        """Each frame of a clip ``(f H W 3)`` as an image, RGBA where the background is left out."""
        images = [enlarged(frame, self.scale, smooth=not self.exact) for frame in clip]
        if self.transparent:
            for image, empty in zip(images, background(clip), strict=True):
                opaque = ((~empty) * 255).astype("uint8")
                image.putalpha(enlarged(opaque, self.scale, smooth=False))
        return images


def background(clip: Frames, tolerance: int = TOLERANCE) -> Any:
    """The pixels ``(f H W)`` of a clip's plain background, as booleans.

    They are those that pixels of nearly one colour connect to the edge of the frame; the colour is the median of all edges.
    """
    import numpy as np

    pixels = clip.astype(np.int16)
    edges = np.zeros(pixels.shape[1:3], bool)
    edges[[0, -1]] = edges[:, [0, -1]] = True
    colour = np.median(pixels[:, edges].reshape(-1, 3), axis=0)
    near = (np.abs(pixels - colour) <= tolerance).all(-1)
    found = near & edges
    while True:  # grows by a pixel in each direction until nothing is added
        grown = found.copy()
        grown[:, 1:] |= found[:, :-1]
        grown[:, :-1] |= found[:, 1:]
        grown[:, :, 1:] |= found[:, :, :-1]
        grown[:, :, :-1] |= found[:, :, 1:]
        grown &= near
        if (grown == found).all():
            return found
        found = grown


def sheet(frames: Frames, look: Look) -> Image:
    """A contact sheet: a row for each clip, a column for each frame, enlarged pixel by pixel."""
    with extra("media"):
        from PIL import Image

    b, f, height, width, _ = frames.shape
    across, down = width * look.scale + _GAP, height * look.scale + _GAP
    mode, empty = ("RGBA", (0, 0, 0, 0)) if look.transparent else ("RGB", "white")
    page = Image.new(mode, (f * across - _GAP, b * down - _GAP), empty)
    for row, clip in enumerate(frames):
        for column, image in enumerate(attrs.evolve(look, exact=True).images(clip)):
            page.paste(image, (column * across, row * down))
    return page
