"""Pictures that Pillow reads: stills, and the animations GIF, WebP and PNG.

They are turned as their EXIF data states; a picture without a duration, or one below 20 ms, is shown for 100 ms, as in browsers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.extras import extra
from jvid.media.containers import check_regular
from jvid.media.streams import Picture, StreamTimes, check_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["decoded", "still"]


def decoded(path: Path) -> Iterator[Picture]:
    """The pictures of a file: one of a still."""
    import numpy as np

    with extra("media"):
        from PIL import Image, ImageSequence

    check_regular(path)
    with Image.open(path) as image:
        check_pixels(image.width, image.height)
        if getattr(image, "n_frames", 1) == 1:
            shown = _shown(image)
            yield Picture(None, None, None, lambda: np.asarray(shown))
            return
        # FFmpeg's GIF decoder has the same rule for short delays; WebP it does not animate.
        stream, time = StreamTimes((), 1e-3, None), 0.0
        for frame in ImageSequence.Iterator(image):
            shown = _shown(frame)
            milliseconds = frame.info.get("duration", 0)  # of a WebP it is there once the frame is loaded
            duration = milliseconds / 1000 if milliseconds >= 20 else 0.1
            yield Picture(stream, time, duration, lambda shown=shown: np.asarray(shown))  # type: ignore[misc]
            time += duration


def still(path: Path) -> Image:
    """The first picture of a file, RGB."""
    with extra("media"):
        from PIL import Image

    check_regular(path)
    with Image.open(path) as image:
        check_pixels(image.width, image.height)
        return _shown(image)


def _shown(image: Any) -> Image:
    """A picture as it is shown: turned, and over black where it is transparent."""
    with extra("media"):
        from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return image.convert("RGB")  # type: ignore[no-any-return]
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
