"""A folder of videos as a source of clips, so that anybody's outputs can be compared.

Each is read as it is shown: resampled to the reference's frame rate from its first frame on, cropped to the middle square, and
scaled down to the reference's size. Its label is the prompt that jvid wrote into the file, the caption of the folder's metadata,
the first line of a text file beside it, or "".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jvid.core.metrics import ClipSource
from jvid.errors import InputError, JvidError, located
from jvid.media.clips import CLIPS, Picture, whole_clip
from jvid.media.files import FORMATS
from jvid.media.reading import read_metadata
from jvid_models.captions import METADATA, read_lines
from jvid_models.captions import read_metadata as read_captions
from jvid_training.data.clips import files_below
from jvid_training.data.crop import apply_crop, widest_crop
from jvid_training.generation.sets import action_of

__all__ = ["VideoFiles", "video_files"]


def video_files(folder: str | Path) -> list[Path]:
    """The clips of a folder and of those in it, sorted."""
    return [path for path in files_below(Path(folder)) if path.suffix.lower() in CLIPS | {".webp"}]


class VideoFiles:
    """Videos as clips of a reference's size, length and frame rate; read when they are used.

    Args:
        name: that tables show.
        files: of the clips.
        reference: whose size, frames and frame rate the clips take.

    Raises:
        InputError: by `batches`: a clip that cannot be read, is shorter than the reference's or smaller.
    """

    def __init__(self, name: str, files: Sequence[Path], reference: ClipSource) -> None:
        self.name, self._files = name, tuple(files)
        self.fps, self.frames, self.size = reference.fps, reference.frames, reference.size

    def __len__(self) -> int:
        return len(self._files)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Each clip's action, in its prompt's or caption's words."""
        captions: dict[Path, str] = {}
        for folder in dict.fromkeys(path.parent for path in self._files):
            for stated in (folder / name for name in METADATA):
                if stated.is_file():
                    captions |= {entry.path: entry.captions[0] for entry in read_captions(stated)}
                    break
        return tuple(action_of(captions.get(path) or _prompt(path)) for path in self._files)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the frames, in order, and the rate."""
        digest = hashlib.sha256(f"{self.fps} {len(self)} {self.size}".encode())
        for batch in self.batches():
            digest.update(batch.tobytes())
        return digest.hexdigest()

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """Frames uint8 ``(n f H W 3)``, in order."""
        for start in range(0, len(self), size):
            yield np.stack([self._read(path) for path in self._files[start : start + size]])

    def _read(self, path: Path) -> np.ndarray:
        def middle(picture: Picture) -> np.ndarray:
            frame = picture.pixels[None]
            height, width = frame.shape[1:3]
            if height < self.size[0] or width < self.size[1]:
                raise InputError(
                    f"pictures of {width}x{height}: expected at least the reference's {self.size[1]}x{self.size[0]}"
                )
            if frame.shape[1:3] == self.size:
                return frame[0]
            cut: np.ndarray = apply_crop(frame, widest_crop(frame, self.size), self.size)[0]
            return cut

        with located(str(path)):
            clip = whole_clip(path, each=middle)
            indices = np.zeros(1, np.int64) if clip.timeline is None else clip.timeline.indices(self.fps)
            if len(indices) < self.frames:
                raise InputError(
                    f"{len(indices)} frames at {self.fps:g} fps: expected at least the reference's {self.frames}"
                )
        frames: np.ndarray = clip.frames[indices[: self.frames]]
        return frames


def _prompt(path: Path) -> str:
    beside = path.with_suffix(".txt")
    if beside.is_file():
        return read_lines(beside)[0]
    if path.suffix.lower() not in FORMATS:
        return ""
    try:
        written: Any = read_metadata(path).get("clips")
    except JvidError:  # most videos are not jvid's
        return ""
    clips = written if isinstance(written, list) else []
    prompt = clips[0].get("prompt") if len(clips) == 1 and isinstance(clips[0], dict) else None
    return prompt if isinstance(prompt, str) else ""
