"""Prompts of held-out clips for searches and for reports, of different characters.

    python recipes/sprites-64/prompts.py data/sprites-64/clips/held-out/metadata.jsonl -o runs/sprites-64

Writes search.txt, of the first 100 characters, and report.txt, of all others: the first caption of each clip, shuffled once, so
that the first prompts are of any action and direction.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from exits import reporting

from jvid.errors import InputError
from jvid.files import make_folder, whole_file
from jvid_models.captions import read_metadata

SEARCHED = 100
"""Characters of searches."""


@reporting
def main(arguments: list[str] | None = None) -> int:
    """0; 2 with a line on standard error where the input does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metadata", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the two files")
    options = parser.parse_args(arguments)
    captions: dict[str, list[str]] = {}
    for entry in read_metadata(options.metadata):
        if "character" not in entry.attributes:
            raise InputError(f"{entry.where}: no key 'character'; expected what compose.py writes")
        captions.setdefault(str(entry.attributes["character"]), []).append(entry.captions[0])
    characters = sorted(captions)
    if len(characters) <= SEARCHED:
        raise InputError(f"{options.metadata}: {len(characters)} characters, expected more than {SEARCHED}")
    make_folder(options.out)
    for name, chosen in (("search", characters[:SEARCHED]), ("report", characters[SEARCHED:])):
        prompts = [caption for character in chosen for caption in captions[character]]
        order = np.random.Generator(np.random.Philox(0)).permutation(len(prompts))
        with whole_file(options.out / f"{name}.txt") as part:
            part.write_text("".join(f"{prompts[index]}\n" for index in order), encoding="utf-8")
        print(f"{options.out / name}.txt: {len(prompts)} prompts of {len(chosen)} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
