"""Rows of the results on two captions in four steps, so that a test can make them again.

    python recipes/sprites-64/tiny.py data/sprites-64/clips/held-out/metadata.jsonl -o docs/results/sprites-64-tiny.json

Each expert alone and the recommended strategy, against the true clips, which are drawn from the layers. The captions are the
first two of the file that have different actions.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from exits import reporting
from sheets import Sheets
from wardrobe import ATTRIBUTES, Character, Wardrobe

import jvid
from jvid.files import write_json
from jvid.media.frames import to_frames
from jvid.pipeline.compare import with_experts_alone
from jvid_models.captions import read_metadata
from jvid_models.paths import shared_root

FORMULAS = ("psnr", "psnr-mean-frame", "motion-error")
STEPS = 4


@attrs.frozen
class Clips:
    """Clips with their captions, as metrics take them."""

    clips: np.ndarray
    labels: tuple[str, ...]

    def batches(self, size: int = 8) -> list[np.ndarray]:
        """All at once."""
        return [self.clips]


def true_clips(layers: Path, described: Sequence[Mapping[str, Any]]) -> Clips:
    """The clips of captions whose character, action and direction are stated."""
    table = tomllib.loads(Path(__file__).with_name("layers.toml").read_text(encoding="utf-8"))
    wardrobe = Wardrobe(Sheets(layers, table))
    drawn = [
        wardrobe.clip(Character(**each["character"]), each["action"], each["direction"]) for each in described
    ]
    return Clips(np.stack(drawn), tuple(each["caption"] for each in described))


def rows(ensemble: jvid.Ensemble, true: Clips) -> dict[str, dict[str, float]]:
    """The figures of each expert alone and of the recommended strategy: means over the captions, with seeds 0, 1, ..."""
    assert ensemble.strategy is not None
    found = {}
    for label, strategy in with_experts_alone(
        {"recommended": attrs.evolve(ensemble.strategy, steps=STEPS)}, ensemble
    ).items():
        composition = jvid.Composition(strategy, ensemble)
        cond = composition.condition(list(true.labels))
        latents = composition.sampler()(ensemble.shape, seeds=range(len(true.labels)), cond=cond)
        clips = Clips(to_frames(ensemble.codec.decode(latents)), true.labels)
        found[label] = {
            name: round(float(np.mean(jvid.load("metric", name).compute(clips, true, None))), 4)
            for name in FORMULAS
        }
    return found


@reporting
def main(arguments: list[str] | None = None) -> int:
    """0; 2 with a line on standard error where the input does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metadata", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="file of JSON")
    parser.add_argument("--layers", type=Path, default=shared_root() / "data" / "lpc")
    parser.add_argument(
        "--ensemble", default="sprites-64", help="name or folder; the bundled one when absent"
    )
    options = parser.parse_args(arguments)
    first: dict[str, dict[str, Any]] = {}
    for entry in read_metadata(options.metadata):
        stated = entry.attributes
        character = {name: str(stated[name]) for name in ATTRIBUTES}
        clip = {"character": character, "action": stated["action"], "direction": stated["direction"]}
        first.setdefault(str(stated["action"]), {"caption": entry.captions[0], **clip})
    described = list(first.values())[:2]
    found = rows(jvid.load("ensemble", options.ensemble), true_clips(options.layers, described))
    write_json(options.out, {"steps": STEPS, "clips": described, "rows": found})
    print(f"{options.out}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
