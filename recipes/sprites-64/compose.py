"""Clips and stills of characters with their captions, composed from the Liberated Pixel Cup's layers.

    python recipes/sprites-64/compose.py -o data/sprites-64 [--sheets SHEETS]

    clips/train      all actions and directions of few characters, FFV1 (lossless) of 8 frames
    clips/held-out   four clips, one a direction, of characters that appear nowhere else
    stills/train     one frame each of many other characters, PNG
    stills/held-out  one frame each of the held-out characters

Each folder has a metadata.jsonl in the form of Hugging Face's image and video folders. No character is in two of the three
groups, and every word is in each. The same seed makes the same files; the folder is written whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from captions import captions_of
from exits import reporting
from PIL import Image
from sheets import Sheets
from wardrobe import Character, Wardrobe

from jvid.errors import InputError
from jvid.files import whole_folder
from jvid_models.paths import shared_root

FPS = 8
GROUPS = ("stills", "clips", "held-out")


def draw_groups(wardrobe: Wardrobe, sizes: dict[str, int], seed: int) -> dict[str, list[Character]]:
    """Different characters for each group, each with every value of every attribute.

    Raises:
        InputError: a group is too small for that.
    """
    random = np.random.Generator(np.random.Philox(seed))
    seen: set[Character] = set()
    groups: dict[str, list[Character]] = {}
    for name in reversed(GROUPS):  # the small groups first: more stills leave them as they are
        group: list[Character] = []
        misses = 0
        while len(group) < sizes[name]:
            character = wardrobe.draw(random)
            misses += character in seen
            if misses > 100 * sizes[name]:
                raise InputError(f"{name}: {sizes[name]} characters: the layers make too few; ask for fewer")
            if character not in seen:
                seen.add(character)
                group.append(character)
        groups[name] = group
    every = {
        (name, value) for group in groups.values() for each in group for name, value in each.values().items()
    }
    for name, group in groups.items():
        if lacking := sorted(every - {item for each in group for item in each.values().items()}):
            raise InputError(
                f"{name}: none of {len(group)} characters has {' '.join(lacking[0])}; take more, or another seed"
            )
    return groups


def write_clip(path: Path, frames: np.ndarray) -> None:
    """Frames ``(f, h, w, 3)`` uint8 as FFV1 in RGB, which gives back the same bytes."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        stream.codec_context.thread_count = 1  # more cost more than they save on frames of this size
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


class Writer:
    """A folder of media files and its metadata.jsonl."""

    def __init__(self, folder: Path, wardrobe: Wardrobe) -> None:
        self.folder, self.wardrobe = folder, wardrobe
        folder.mkdir(parents=True)
        self.metadata = (folder / "metadata.jsonl").open("w", encoding="utf-8")

    def line(
        self, name: str, number: str, character: Character, action: str, direction: str, **more: Any
    ) -> None:
        """One line: the file, its sentences, and the values of all attributes."""
        entry = {
            "file_name": name,
            "text": captions_of(character, action, direction),
            "character": number,
            **character.values(),
            "action": action,
            "direction": direction,
            **more,
        }
        self.metadata.write(json.dumps(entry) + "\n")

    def clip(self, number: str, character: Character, action: str, direction: str) -> None:
        """A clip and its line."""
        name = f"{number}_{action}-{direction}.mkv"
        write_clip(self.folder / name, self.wardrobe.clip(character, action, direction))
        self.line(name, number, character, action, direction)

    def still(self, number: str, character: Character, random: np.random.Generator) -> None:
        """One random frame, and its line."""
        actions = self.wardrobe.performs(character)
        action = actions[random.integers(len(actions))]
        direction = self.wardrobe.directions[random.integers(4)]
        frames = self.wardrobe.clip(character, action, direction)
        place = int(random.integers(len(frames)))
        name = f"{number}.png"
        Image.fromarray(frames[place]).save(self.folder / name)
        self.line(name, number, character, action, direction, frame=place)

    def close(self) -> None:
        """Close the metadata."""
        self.metadata.close()


def compose(wardrobe: Wardrobe, out: Path, sizes: dict[str, int], seed: int) -> None:
    """Write the data set. Raises `InputError` in one line where a layer, a number or the folder is wrong."""
    with whole_folder(out, "data.json") as folder:
        wardrobe.check()
        groups = draw_groups(wardrobe, sizes, seed)
        numbers = {
            name: [f"{name[0]}{place:05d}" for place in range(len(group))] for name, group in groups.items()
        }
        for path, name in (("stills/train", "stills"), ("stills/held-out", "held-out")):
            writer = Writer(folder / path, wardrobe)
            random = np.random.Generator(np.random.Philox([seed, 1 + GROUPS.index(name)]))
            for number, character in zip(numbers[name], groups[name], strict=True):
                writer.still(number, character, random)
            writer.close()
        for path, name in (("clips/train", "clips"), ("clips/held-out", "held-out")):
            writer = Writer(folder / path, wardrobe)
            for place, (number, character) in enumerate(zip(numbers[name], groups[name], strict=True)):
                chosen = performances(wardrobe, character)
                for action, direction in chosen if name == "clips" else one_a_direction(chosen, place):
                    writer.clip(number, character, action, direction)
            writer.close()
        (folder / "data.json").write_text(json.dumps({"seed": seed, "fps": FPS, "characters": sizes}) + "\n")


def performances(wardrobe: Wardrobe, character: Character) -> list[tuple[str, str]]:
    """Every action and direction of a character."""
    return [(action, way) for action in wardrobe.performs(character) for way in wardrobe.directions]


def one_a_direction(chosen: list[tuple[str, str]], place: int) -> Iterator[tuple[str, str]]:
    """Four of a character's actions and directions: each direction once, the actions in turn over the characters."""
    actions = list(dict.fromkeys(action for action, _ in chosen))
    for turn, way in enumerate(dict.fromkeys(way for _, way in chosen)):
        yield actions[(place + turn) % len(actions)], way


@reporting
def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder of the data set")
    parser.add_argument(
        "--sheets", type=Path, help="folder of the layers; data/lpc of the shared root when absent"
    )
    parser.add_argument("--layers", type=Path, default=Path(__file__).with_name("layers.toml"))
    parser.add_argument("--seed", type=int, default=0)
    for name, size in (("stills", 24000), ("clips", 200), ("held-out", 500)):
        parser.add_argument(f"--{name}", type=int, default=size, help=f"characters; {size} when absent")
    options = parser.parse_args(arguments)
    table = tomllib.loads(options.layers.read_text(encoding="utf-8"))
    wardrobe = Wardrobe(Sheets(options.sheets or shared_root() / "data/lpc", table))
    sizes = {name: getattr(options, name.replace("-", "_")) for name in GROUPS}
    compose(wardrobe, options.out, sizes, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
