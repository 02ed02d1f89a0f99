"""Sheets of the clips of a set that are nearest to their true clips, and of those that are farthest.

    python recipes/sprites-64/ends.py runs/sprites-64/study-report/sets/KEY recipes/sprites-64/report.toml -o sheets

Each sheet has the true clip above the sampled one. The distance is that of the metric psnr.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from exits import reporting

from jvid.errors import InputError
from jvid.files import make_folder
from jvid_training.contact_sheet import write_sheet
from jvid_training.evaluation.metrics.truth import TrueClip
from jvid_training.evaluation.sample import MeasuredClips, true_clips
from jvid_training.generation import ClipSet
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import load_study


@reporting
def main(arguments: list[str] | None = None) -> int:
    """0; 2 with a line on standard error where the input does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="a folder of jvid generate, or of a study")
    parser.add_argument("study", type=Path, help="the study, whose reference has the true clips")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the sheets")
    parser.add_argument("-n", "--count", type=int, default=3, help="clips of each end")
    options = parser.parse_args(arguments)
    made = MeasuredClips(ClipSet.open(options.set))
    reference = MeasuredClips(Evaluator(load_study(options.study).study).reference)
    pairs = true_clips(made, reference)
    if not 1 <= options.count <= len(pairs) // 2:
        raise InputError(
            f"--count {options.count}: expected 1 to {len(pairs) // 2}, half of the {len(pairs)} clips of {options.set}"
        )
    if lacking := [made.labels[place] for place, found in enumerate(pairs) if not found]:
        raise InputError(
            f"{options.set}: {lacking[0]!r} is no caption of {reference.name}; give a set of its prompts"
        )
    values = np.asarray(TrueClip("PSNR").compute(made, reference, None))  # type: ignore[arg-type]
    order = np.argsort(values)
    make_folder(options.out)
    clips, true = ([clip for batch in each.batches() for clip in batch] for each in (made, reference))
    for end, chosen in (("worst", order[: options.count]), ("best", order[::-1][: options.count])):
        for number, place in enumerate(chosen, 1):
            path = options.out / f"{end}-{number}.png"
            strips = {"true clip": true[pairs[place][0]], "sampled": clips[place]}
            write_sheet(path, f"{made.labels[place]}: {values[place]:.1f} dB", strips)
            print(f"{path}: clip {place}, {values[place]:.1f} dB, {made.labels[place]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
