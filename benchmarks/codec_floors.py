"""Whether a decoder's training pays: what decoders make of the same real clips, by the figures of a study.

    python -m benchmarks.codec_floors RECIPE [--num 64] FOLDER...

Each FOLDER is the ``out`` folder of a recipe of kind decoder, finished or not (then its last checkpoint), or a pair. The first
line is the decoder of the recipe's own pair. Clips are spread over the reference, as in the row *video AE*.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from jvid_models.pair import Pair
from jvid_models.video_decoder import VideoDecoder, VideoDecoderCodec
from jvid_training.evaluation import evaluate
from jvid_training.evaluation.figures import Figure, number
from jvid_training.evaluation.views import Coded, Subset
from jvid_training.pairs import read_run
from jvid_training.search.bench import Bench
from jvid_training.search.recipe import load_study


def decoder_of(folder: Path) -> VideoDecoder:
    """The decoder of a pair or of a run."""
    pair = (folder / "pair.json").is_file()
    found: Any = Pair(folder).module("decoder") if pair else read_run(folder, "decoder")[1]
    return found


def shown(figure: Figure) -> str:
    """The value, and its interval where there is one."""
    if figure.low is None or figure.high is None:
        return number(figure.value)
    return f"{number(figure.value)} ({number(figure.low)} to {number(figure.high)})"


def main() -> None:
    """Print a line of figures for each decoder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--num", type=int, default=64)
    options = parser.parse_intermixed_args()
    study = load_study(options.recipe).study
    torch.set_num_threads(study.threads)
    bench = Bench(study, print)
    every = len(bench.reference)
    num = min(options.num, every)
    chosen = {i * every // num for i in range(num)}
    encoder = bench.pair.codec.encoder
    codecs = {str(study.pair): bench.pair.codec}
    codecs |= {str(folder): VideoDecoderCodec(decoder_of(folder), encoder) for folder in options.folders}
    for name, codec in codecs.items():
        clips = Coded(Subset(bench.reference, lambda _, index: index in chosen), codec, name)
        found = evaluate(
            clips,
            bench.reference,
            bench.networks,
            cache=bench.store,
            bootstrap=study.bootstrap,
            seed=study.seed,
            floors={},
        )
        figures = (f"{figure} {shown(value)}" for figure, value in found.figures.items())
        print(f"{name}: {', '.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
