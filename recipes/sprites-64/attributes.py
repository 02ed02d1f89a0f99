"""Trains the classifier that names the attributes of sprites, on the stills.

    python recipes/sprites-64/attributes.py -o runs/sprites-64/attributes [--stills data/sprites-64/stills]

It measures samples: `jvid evaluate --metric attributes:path=runs/sprites-64/attributes`. Its accuracy on held-out stills is
printed, and written beside the weights.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from exits import reporting

from jvid_models.paths import shared_root
from jvid_training.data.captions import find_files
from jvid_training.evaluation.attributes import train_attributes
from jvid_training.recipe import Data

KEYS = (
    "sex", "body", "hair", "hair_colour", "head", "facial", "torso", "legs", "feet", "cape", "action", "direction",
)  # fmt: skip


@reporting
def main(arguments: list[str] | None = None) -> int:
    """0; 2 with a line on standard error where the input does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--stills", type=Path, help="default: data/sprites-64/stills below JVID_SHARED")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)

    def progress(step: int, loss: float) -> None:
        if step % 100 == 0 or step == options.steps:
            print(f"{step}/{options.steps} loss {loss:.3f}", flush=True)

    root = options.stills or shared_root() / "data/sprites-64/stills"
    files = find_files(root, Data(root=str(root), latents="", captions="metadata", holdout_by="split"))
    training, held_out = ([file for file in files if file.actor == split] for split in ("train", "held-out"))
    right = train_attributes(
        training, held_out, KEYS, options.out,
        steps=options.steps, batch=options.batch, seed=options.seed, progress=progress,
    )  # fmt: skip
    print("\n".join(f"{key} {share:.3f}" for key, share in right.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
