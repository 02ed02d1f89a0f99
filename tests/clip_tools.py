"""Clips as cameras, screens and browsers write them, made small: each with a property that a reader may miss."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def record(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "ffv1",
    form: str = "yuv444p",
    source: str = "rgb24",
    ticks: Sequence[int] | None = None,
    clock: int = 1000,
    rate: int | None = 25,
    options: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """Write frames ``(f h w c)``; at ``ticks`` of the clock, or at a constant rate. ``context`` are attributes of the encoder."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], form
        stream.codec_context.options = options or {}
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, clock)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format=source)
            if ticks is not None:
                frame.pts, frame.time_base = ticks[number], Fraction(1, clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def greys(levels: Sequence[float], height: int = 32, width: int = 48) -> np.ndarray:
    """A plain frame of each level."""
    return np.stack([np.full((height, width, 3), round(level), np.uint8) for level in levels])


def quarters(height: int = 32, width: int = 48) -> np.ndarray:
    """A frame whose four quarters have colours of their own, so that no turn or mirroring leaves it as it is."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2, : width // 2] = (220, 30, 30)
    frame[: height // 2, width // 2 :] = (30, 220, 30)
    frame[height // 2 :, : width // 2] = (30, 30, 220)
    frame[height // 2 :, width // 2 :] = (220, 220, 220)
    return frame


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an mp4 a display matrix, as phones do, by rewriting the header of its track."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    assert data[place : place + 36] == IDENTITY
    data[place : place + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
"""Red's and blue's share of luma, of ITU-R BT.601, BT.709 and BT.2020."""
_CODES = {"601": 5, "709": 1, "2020": 9, "unstated": 2}


def encoded_colour(rgb: Sequence[int], matrix: str, *, full: bool, bits: int = 8) -> list[int]:
    """A colour as Y'CbCr by the equations of the recommendations."""
    red, blue = WEIGHTS[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    unit = 2 ** (bits - 8)
    if full:
        return [
            round(each * (2**bits - 1) + middle)
            for each, middle in ((y, 0), (u, 128 * unit), (v, 128 * unit))
        ]
    return [round(each * unit) for each in (16 + 219 * y, 128 + 224 * u, 128 + 224 * v)]


def coloured(
    path: Path,
    values: Sequence[int],
    form: str,
    matrix: str,
    *,
    full: bool,
    height: int = 32,
    width: int = 48,
) -> Path:
    """Two frames of one colour, given as Y'CbCr, lossless, with the matrix and the range stated."""
    kind = np.uint16 if "1" in form.split("p")[-1] else np.uint8
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, form
        stream.codec_context.colorspace, stream.codec_context.color_range = _CODES[matrix], 2 if full else 1
        for number in range(2):
            frame = av.VideoFrame(width, height, form)
            for plane, value in zip(frame.planes, values, strict=True):
                plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
            frame.colorspace, frame.color_range, frame.pts = _CODES[matrix], 2 if full else 1, number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
