"""The clips of a row whose frames agree most and least, and those least recognised, as a picture and in words.

    python -m benchmarks.extremes RECIPE LABEL [--num 256] [-o extremes.png]

Of the recipe's row LABEL on its report seeds, as `jvid ablation RECIPE --report-seed` makes and judges it. By agreement the ends
are those of `jvid report`; recognised is the probability that the classifier of the figure *action* gives to the prompted action.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import softmax

from jvid.errors import InputError
from jvid_training.generation import ClipSet
from jvid_training.report.ranking import ranked
from jvid_training.search.ablation import chosen_rows
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import load_study

ENDS = 3


def page(clips: ClipSet, chosen: list[int]) -> Image.Image:
    """A row of frames for each clip."""
    height, width = (size + 2 for size in clips.size)
    found = Image.new("RGB", (clips.frames * width, len(chosen) * height), "white")
    for row, index in enumerate(chosen):
        for column, frame in enumerate(clips.clip(index)):
            found.paste(Image.fromarray(frame), (column * width, row * height))
    return found


def main() -> None:
    """Write the picture; print which clips they are, and every clip that is named wrongly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("label")
    parser.add_argument("--num", type=int, default=256)
    parser.add_argument("-o", "--output", type=Path, default=Path("extremes.png"))
    options = parser.parse_args()
    recipe = load_study(options.recipe)
    evaluator = Evaluator(recipe.study, print)
    strategy = chosen_rows(recipe, evaluator, [options.label])[options.label]
    if strategy is None:
        raise InputError(f"row {options.label!r} is a codec's: expected one of a strategy")
    evaluator.score(strategy, options.num, recipe.study.report_seed, processes=recipe.study.processes)
    clips = ClipSet.open(evaluator.set_folder(strategy, recipe.study.report_seed))
    found, recogniser = ranked(evaluator.store.folder, clips), evaluator.recogniser
    if found is None or recogniser is None:
        raise InputError("no ends to show: the recipe needs study.networks.frame and study.networks.clip")
    name, agreement = found
    order = np.argsort(-agreement, kind="stable").tolist()
    chosen = [*order[:ENDS], *order[::-1][:ENDS]]
    for index in chosen:
        print(f"{name} {agreement[index]:.3f}: clip {index}, {clips.labels[index]}")

    network = next(each for each in evaluator.networks if each.name == recogniser.network)
    features = evaluator.store.features(clips, [network])[network.name][recogniser.layer]
    classes = recogniser.linear.classes
    wanted = [classes.index(label) for label in recogniser.prompted(clips.labels)]
    each = softmax(recogniser.linear.scores(features), axis=1)
    given = each[np.arange(len(wanted)), wanted]
    least = np.argsort(given, kind="stable").tolist()
    wrong = [index for index in least if each[index].argmax() != wanted[index]]
    for index in wrong:
        print(
            f"clip {index}: {clips.labels[index]} {given[index]:.4f}, taken for {classes[each[index].argmax()]}"
        )
    print(len(wrong), "wrong:", Counter(clips.labels[index] for index in wrong).most_common())
    page(clips, [*chosen, *least[:ENDS]]).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
