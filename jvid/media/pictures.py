"""Files that Pillow writes: animations as GIF and WebP, contact sheets as PNG.

The metadata of a GIF is its comment, that of a WebP the ImageDescription of its EXIF data, that of a PNG a text chunk.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.extras import extra
from jvid.media.looks import sheet

if TYPE_CHECKING:
    from jvid.media.frames import Frames
    from jvid.media.looks import Look

__all__ = ["read_gif", "read_png", "read_webp", "write_gif", "write_png", "write_webp"]

_IMAGE_DESCRIPTION = 0x010E


def write_gif(part: Path, frames: Frames, text: str, fps: float, look: Look) -> None:
    """Write one clip ``(1 f H W 3)`` as an animated GIF."""
    _write_animation(part, frames, fps, look, format="gif", comment=text.encode("ascii"))


def write_webp(part: Path, frames: Frames, text: str, fps: float, look: Look) -> None:
    """Write one clip ``(1 f H W 3)`` as an animated WebP."""
    with extra("media"):
        from PIL import Image

    exif = Image.Exif()
    exif[_IMAGE_DESCRIPTION] = text
    _write_animation(
        part, frames, fps, look, format="webp", exif=exif.tobytes(), quality=90, lossless=look.exact
    )


def write_png(part: Path, frames: Frames, text: str, fps: float, look: Look) -> None:
    """Write clips ``(b f H W 3)`` as a contact sheet; it has no rate."""
    with extra("media"):
        from PIL.PngImagePlugin import PngInfo

    del fps
    chunks = PngInfo()
    chunks.add_text("jvid", text)
    sheet(frames, look).save(part, format="png", pnginfo=chunks)


def _write_animation(part: Path, frames: Frames, fps: float, look: Look, **options: Any) -> None:
    (clip,) = frames
    first, *rest = look.images(clip)
    if look.transparent:
        options["disposal"] = 2  # a frame's empty pixels do not show the frame before
    first.save(part, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, **options)


def read_gif(path: Path) -> str:
    """The comment."""
    with extra("media"):
        from PIL import Image

    with Image.open(path) as image:
        comment = image.info.get("comment", b"")
        return comment.decode("ascii") if isinstance(comment, bytes) else str(comment)


def read_webp(path: Path) -> str:
    """The ImageDescription."""
    with extra("media"):
        from PIL import Image

    with Image.open(path) as image:
        return str(image.getexif().get(_IMAGE_DESCRIPTION, ""))


def read_png(path: Path) -> str:
    """The text chunk "jvid"."""
    with extra("media"):
        from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("jvid", ""))
