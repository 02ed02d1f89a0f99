"""Video tensors to 8-bit frames, and their enlargement.

    byte = round(127.5 (v + 1)),   v in [-1, 1]

Clips of 64 pixels are too small to look at: they are enlarged by a whole factor, smoothly (Lanczos)
where they play unless `jvid.media.looks.Look` states otherwise, and pixel by pixel (nearest) on a sheet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image
    from torch import Tensor


__all__ = ["Frames", "enlarged", "to_frames"]

Frames: TypeAlias = "npt.NDArray[np.uint8]"
"""``(b f H W 3)``."""


def to_frames(video: Tensor | Frames) -> Frames:
    """A video to bytes ``(b f H W 3)``.

    Args:
        video: a float tensor ``(b 3 f H W)`` in [-1, 1] (values outside are clipped), or bytes ``(f H W 3)`` or
            ``(b f H W 3)``.

    Raises:
        InputError: another shape or type, or a value that is not finite.
    """
    import numpy as np
    from einops import rearrange

    if isinstance(video, np.ndarray):
        frames = video[None] if video.ndim == 4 else video
        if frames.dtype != np.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
            raise InputError(f"frames {video.shape} in {video.dtype}: expected uint8 (b, f, H, W, 3)")
        return frames
    if video.ndim != 5 or video.shape[1] != 3 or not video.is_floating_point():
        raise InputError(f"video {tuple(video.shape)} in {video.dtype}: expected floats (b, 3, f, H, W)")
    if not bool(video.isfinite().all()):
        raise InputError("the video holds NaN or infinity: expected values in [-1, 1]; check the decoder")
    scaled = ((video.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round()
    bytes_: Frames = rearrange(scaled, "b c f h w -> b f h w c").numpy().astype(np.uint8)
    return bytes_


def enlarged(frame: Any, scale: int, *, smooth: bool) -> Image:
    """One frame ``(H W 3)`` as an image, ``scale`` times as large."""
    with extra("media"):
        from PIL import Image

    image = Image.fromarray(frame)
    if scale == 1:
        return image
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return image.resize((image.width * scale, image.height * scale), how)
