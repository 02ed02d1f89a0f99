"""MP4 files: H.264 in yuv420p; the metadata is the container's comment."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from jvid.extras import extra
from jvid.media.containers import reading, writing

if TYPE_CHECKING:
    from jvid.media.frames import Frames
    from jvid.media.looks import Look

__all__ = ["read", "write"]


def write(part: Path, frames: Frames, text: str, fps: float, look: Look) -> None:
    """Write one clip ``(1 f H W 3)``."""
    import numpy as np

    with extra("media"):
        import av

    (clip,) = frames
    # Players need even sides for yuv420p: an odd one repeats its last row or column.
    height, width = clip.shape[1] * look.scale, clip.shape[2] * look.scale
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    # use_metadata_tags keeps tags as they are; without it long comments may be dropped by the muxer.
    options = {"movflags": "use_metadata_tags+faststart"}
    with writing(part, format="mp4", options=options) as container:
        container.metadata["comment"] = text
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "14", "preset": "medium"}
        for image in look.images(clip):
            pixels = np.pad(np.asarray(image), pad, mode="edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt, threads=1)))
        container.mux(stream.encode(None))


def read(path: Path) -> str:
    """The comment."""
    with reading(path) as container:
        return str(container.metadata.get("comment", ""))
