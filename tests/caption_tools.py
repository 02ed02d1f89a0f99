"""Clips and stills with captions and attributes, small enough to encode and train on within a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.training_tools import document, walker, write_clip

COLOURS = {"red": (200, 40, 40), "green": (40, 160, 40), "blue": (40, 60, 200)}


def captions_of(colour: str, verb: str) -> list[str]:
    """Two captions of the same clip, of a vocabulary of eight words."""
    return [f"A {colour} block {verb}.", f"the {colour} block, which {verb}"]


def make_captioned(root: Path) -> list[dict[str, Any]]:
    """Clips of a block in ``train`` and ``test``, three colours by two actions; the lines of their metadata.jsonl."""
    rows = []
    for colour, shade in COLOURS.items():
        for verb, speed in (("walks", 1.0), ("waits", 0.0)):
            split = "test" if colour == "blue" else "train"
            frames = walker(20, speed)
            frames[frames[..., 0] < 100] = shade
            name = f"{split}/{colour}-{verb}.avi"
            write_clip(root / name, frames)
            rows.append(
                {"file_name": name, "text": captions_of(colour, verb), "colour": colour, "action": verb}
            )
    write_metadata(root, rows)
    return rows


def write_metadata(root: Path, rows: list[dict[str, Any]], name: str = "metadata.jsonl") -> None:
    """One JSON object a line."""
    (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_stills(root: Path, count: int = 6) -> None:
    """One picture of each colour in turn, with its caption in a text file beside it."""
    root.mkdir(parents=True)
    for number in range(count):
        colour = list(COLOURS)[number % 3]
        frame = np.full((32, 32, 3), COLOURS[colour], np.uint8)
        Image.fromarray(frame).save(root / f"{number}.png")
        (root / f"{number}.txt").write_text(f"a {colour} block\n\nthe {colour} block\n")


def captioned(folder: Path, kind: str = "image", **training: Any) -> dict[str, Any]:
    """A recipe of `make_captioned`'s clips as TOML would give it, with the words encoder."""
    recipe = document(folder, kind, **training)
    recipe["data"] |= {
        "captions": "metadata",
        "holdout_by": "split",
        "holdout": ["test"],
        "crop": "centre",
        "crop_size": 48,
        "flip": False,
    }
    if kind != "decoder":
        recipe["network"] |= {"channels": [16, 32], "head_width": 8}
    recipe["text"] = {"name": "words", "options": {"width": 16}}
    return recipe
