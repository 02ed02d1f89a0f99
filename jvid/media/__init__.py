"""Clips to files, and their metadata back from them; the file's ending selects the format.

    .mp4            H.264, yuv420p         metadata: the container's comment
    .gif            Pillow                 the comment
    .webp           Pillow, animated       EXIF ImageDescription
    .png            contact sheet          text chunk "jvid"
    .safetensors    latents                header "jvid"

Metadata is JSON under the one key "jvid". A file is written whole or not at all. `FORMATS` is the table of formats.
"""

from __future__ import annotations

from jvid.media.files import ENDINGS, FORMATS, Format, check_path
from jvid.media.reading import read_latents, read_metadata
from jvid.media.writing import check_library, default_scale, write_latents, write_video

__all__ = [
    "ENDINGS",
    "FORMATS",
    "Format",
    "check_library",
    "check_path",
    "default_scale",
    "read_latents",
    "read_metadata",
    "write_latents",
    "write_video",
]
