"""Writing clips; see ``jvid.media`` for the forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jvid.errors import InputError
from jvid.extras import extra
from jvid.files import whole_file
from jvid.media.files import MOVING, check_path
from jvid.media.frames import Frames, enlarged, sheet, to_frames

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_library", "default_scale", "write_latents", "write_video"]

_IMAGE_DESCRIPTION = 0x010E
_SHORT_SIDE = {".png": 128}
_SHORT_SIDE_MOVING = 256


def check_library(path: Path) -> None:
    """Import what writes files of this ending, before anything is computed for them.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    ending = path.suffix.lower()
    with extra("media"):
        if ending == ".mp4":
            import av  # noqa: F401
        if ending != ".safetensors":
            import PIL  # noqa: F401


def default_scale(ending: str, height: int, width: int) -> int:
    """The whole factor that brings the short side to 256 pixels where it plays, to 128 on a sheet; 1 at least."""
    return max(1, round(_SHORT_SIDE.get(ending, _SHORT_SIDE_MOVING) / min(height, width)))


def write_video(
    path: str | Path,
    video: Tensor | Frames,
    fps: float,
    metadata: Mapping[str, Any] | None = None,
    *,
    scale: int | None = None,
) -> Path:
    """Write a video in the form that the ending names: .mp4, .gif, .webp, or .png (a contact sheet).

    Args:
        path: where; an existing file is replaced.
        video: floats ``(b 3 f H W)`` in [-1, 1], or bytes ``(f H W 3)`` or ``(b f H W 3)``; b = 1 where it plays.
        fps: frames per second; gif and webp keep whole milliseconds.
        metadata: values that JSON can hold; ``read_metadata`` gives them back.
        scale: whole factor of enlargement; see ``default_scale`` for None.

    Returns:
        The path.

    Raises:
        InputError: an ending, a folder, a video, a rate or a factor that will not do.
    """
    path = check_path(path, (*MOVING, ".png"))
    ending = path.suffix.lower()
    frames = to_frames(video)
    if not 0 < fps <= 1000:
        raise InputError(f"fps {fps!r}: expected a number above 0, at most 1000")
    if scale is not None and not 1 <= scale <= 64:
        raise InputError(f"scale {scale!r}: expected a whole number from 1 to 64")
    if ending in MOVING and len(frames) != 1:
        raise InputError(f"{len(frames)} clips for one {ending}: expected one clip (a .png sheet takes many)")
    factor = default_scale(ending, *frames.shape[2:4]) if scale is None else scale
    text = json.dumps(dict(metadata or {}))
    with whole_file(path) as part:
        if ending == ".mp4":
            _write_mp4(part, frames[0], fps, text, factor)
        elif ending == ".png":
            _write_sheet(part, frames, text, factor)
        else:
            _write_animation(part, frames[0], fps, text, factor, ending[1:])
    return path


def write_latents(path: str | Path, latents: Tensor, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write latents ``(b c f h w)`` as safetensors, under the name "latents".

    Raises:
        InputError: an ending or a folder that will not do.
    """
    from safetensors.torch import save

    path = check_path(path, (".safetensors",))
    data = save({"latents": latents.detach().cpu().contiguous()}, {"jvid": json.dumps(dict(metadata or {}))})
    with whole_file(path) as part:
        part.write_bytes(data)
    return path


def _under_key(text: str) -> str:
    return f'{{"jvid": {text}}}'


def _write_mp4(part: Path, frames: Any, fps: float, text: str, scale: int) -> None:
    with extra("media"):
        import av

    # Players need even sides for yuv420p: an odd one repeats its last row or column.
    height, width = frames.shape[1] * scale, frames.shape[2] * scale
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    # use_metadata_tags keeps tags as they are; without it long comments may be dropped by the muxer.
    options = {"movflags": "use_metadata_tags+faststart"}
    with av.open(str(part), "w", format="mp4", options=options) as container:
        container.metadata["comment"] = _under_key(text)
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "14", "preset": "medium"}
        for frame in frames:
            pixels = np.pad(np.asarray(enlarged(frame, scale, smooth=True)), pad, mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def _write_animation(part: Path, frames: Any, fps: float, text: str, scale: int, form: str) -> None:
    with extra("media"):
        from PIL import Image

    first, *rest = (enlarged(frame, scale, smooth=True) for frame in frames)
    options: dict[str, Any] = {
        "save_all": True, "append_images": rest, "duration": round(1000 / fps), "loop": 0,
    }  # fmt: skip
    if form == "gif":
        options["comment"] = _under_key(text).encode("ascii")
    else:
        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = _under_key(text)
        options |= {"exif": exif.tobytes(), "quality": 90}
    first.save(part, format=form, **options)


def _write_sheet(part: Path, frames: Frames, text: str, scale: int) -> None:
    with extra("media"):
        from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_text("jvid", text)
    sheet(frames, scale).save(part, format="png", pnginfo=chunks)
