"""Sheets of layers, and the frames that a stack of them draws.

A sheet is 832x1344 pixels of cells of 64x64: a row for each action and direction, a column for each pose. Layers are
composed in the order of their folders, from the bottom up, by the operator "over":

    a = a_t + a_b (1 - a_t),    a c = a_t c_t + a_b (1 - a_t) c_b
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from jvid.errors import InputError

FRAMES = 8
T = TypeVar("T")


class Sheets:
    """The sheets below ``root``, by the table of ``layers.toml``. Each is decoded once."""

    def __init__(self, root: Path, table: dict[str, Any]) -> None:
        self.root, self.table = root, table
        self.order = {folder: place for place, folder in enumerate(table["order"])}
        self.read = lru_cache(maxsize=None)(self._read)
        self.draws = lru_cache(maxsize=None)(self._draws)
        """Whether a layer has anything to draw for an action; sheets "no_th-sh" have neither thrust nor shoot."""

    def check(self, file: str) -> None:
        """Refuse a layer that is absent or of another size, by the head of its file."""
        self._open(file, lambda image: None)

    def _read(self, file: str) -> np.ndarray:
        return self._open(file, lambda image: np.asarray(image.convert("RGBA")))

    def _open(self, file: str, use: Callable[[Image.Image], T]) -> T:
        path = self.root / file
        try:
            with Image.open(path) as image:
                if list(image.size) != self.table["size"]:
                    got, expected = ("x".join(map(str, size)) for size in (image.size, self.table["size"]))
                    raise InputError(
                        f"layer {path}: a sheet of {got}, expected {expected}; leave it out of layers.toml"
                    )
                return use(image)
        except FileNotFoundError:
            raise InputError(f"no layer {path}: give the folder of the sheets, or mend layers.toml") from None
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"layer {path} cannot be read ({error}): fetch it again") from None

    def rows(self, file: str, action: str) -> np.ndarray:
        """The four rows of an action, ``(4 cell, width, 4)``."""
        cell, first = self.table["cell"], self.table["actions"][action]["row"]
        return self.read(file)[first * cell : (first + 4) * cell]

    def _draws(self, file: str, action: str) -> bool:
        return bool(self.rows(file, action)[..., 3].any())

    def place(self, file: str) -> int:
        """The place of a layer in the drawing order: that of the longest folder of its path which the order names."""
        folders = [parent.as_posix() for parent in PurePosixPath(file).parents]
        for folder in folders:
            if folder in self.order:
                return self.order[folder]
        raise InputError(f"layer {file}: its folder has no place in the order of layers.toml; add it there")

    def clip(self, files: Sequence[str], action: str, direction: str) -> np.ndarray:
        """The frames of an action, ``(8, cell, cell, 3)`` uint8 on the plain background."""
        cell = self.table["cell"]
        top = self.table["directions"].index(direction) * cell
        columns = eight(self.table["actions"][action]["columns"])
        stack = sorted(files, key=self.place)  # stable: layers of one folder stay in the listed order
        strips = [
            np.stack(
                [
                    self.rows(file, action)[top : top + cell, column * cell : (column + 1) * cell]
                    for column in columns
                ]
            )
            for file in stack
        ]
        return over(strips, self.table["background"])


def over(layers: Sequence[np.ndarray], background: Sequence[int]) -> np.ndarray:
    """Layers ``(..., 4)`` uint8 from the bottom up over an opaque background, ``(..., 3)`` uint8."""
    colour = np.broadcast_to(np.asarray(background, np.float64), (*layers[0].shape[:-1], 3))
    for layer in layers:
        alpha = layer[..., 3:].astype(np.float64) / 255
        colour = alpha * layer[..., :3] + (1 - alpha) * colour
    return np.rint(colour).astype(np.uint8)


def eight(columns: Sequence[int]) -> list[int]:
    """Eight columns of an action: a shorter one holds its first and last pose, a longer one is sampled evenly."""
    count = len(columns)
    if count > FRAMES:
        return [columns[round(place * (count - 1) / (FRAMES - 1))] for place in range(FRAMES)]
    early = (FRAMES - count) // 2
    return [columns[min(max(place - early, 0), count - 1)] for place in range(FRAMES)]
