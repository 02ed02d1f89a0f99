"""Whether a decoder's training pays: what decoders make of the same real clips, by the figures of a study.

    python -m benchmarks.codec_floors RECIPE [--num 64] FOLDER...

Each FOLDER is the ``out`` folder of a recipe of kind decoder, finished or not (then its last checkpoint), or an ensemble. The
first line is the decoder of the recipe's own ensemble. Clips are spread over the reference, as in the row *video AE*.
"""

from __future__ import annotations

import argparse
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from jvid_models.ensembles.folder import EnsembleFolder, is_ensemble_folder
from jvid_models.networks.video_decoder import VideoDecoder
from jvid_models.video_codec import VideoDecoderCodec
from jvid_training.export import read_run
from jvid_training.search.ablation import codec_row, score_codec
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import load_study
from jvid_training.search.tables import Row, markdown


def decoder_of(folder: Path) -> VideoDecoder:
    """The decoder of an ensemble or of a run."""
    own = is_ensemble_folder(folder)
    found: Any = EnsembleFolder(folder).module("decoder") if own else read_run(folder, "decoder").network
    return found


def fingerprint(decoder: VideoDecoder) -> str:
    """Of its weights: a run that goes on has others in the same folder."""
    digest = blake2b(digest_size=6)
    for value in decoder.state_dict().values():
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """Print the table: a row for each decoder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--num", type=int, default=64)
    options = parser.parse_intermixed_args()
    evaluator = Evaluator(load_study(options.recipe).study, print)
    torch.set_num_threads(evaluator.study.threads)
    rows = [Row("of the ensemble", codec_row(evaluator, "video AE", options.num))]
    for folder in options.folders:
        decoder = decoder_of(folder)
        codec = VideoDecoderCodec(decoder, evaluator.ensemble.codec.encoder)
        scores = score_codec(
            evaluator, f"decoder {fingerprint(decoder)}", lambda codec=codec: codec, options.num
        )
        rows.append(Row(str(folder), scores))
    print(markdown([], [], rows))


if __name__ == "__main__":
    main()
