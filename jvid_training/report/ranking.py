"""Which clips of a set are its most and its least coherent, by what a frame network saw in them.

    agreement of a clip   mean over t of cos(phi_t, phi_{t+1}), the same as the figure's, whose mean is over all clips

Features are those that the evaluation left in its cache; no network runs here. A frozen clip has the highest agreement: what is
shown are a set's two ends, not a judgement of how good its clips are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jvid.errors import one_line
from jvid.media.arrays import mapped_array
from jvid.refusals import parse_json, read_text, unreadable
from jvid_training.evaluation.metrics.coherence import agreement
from jvid_training.generation.sets import ClipSet

__all__ = ["ranked"]


def ranked(features: Path, clips: ClipSet) -> tuple[str, np.ndarray] | None:
    """The figure's name and its value of each clip ``(n)``; None where no frame network's features are there.

    Raises:
        InputError: features that are damaged.
    """
    if not features.is_dir() or not clips.complete:
        return None
    for folder in sorted(features.glob(f"*/{clips.fingerprint[:32]}")):
        try:
            meta = parse_json(read_text(folder / "meta.json"))
            seen = mapped_array(folder / "features.npy")
            name = str(meta["network"]["name"])
        except FileNotFoundError:  # not finished
            continue
        except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, MemoryError) as error:
            reason = one_line(error)[:100]
            damaged = f"features in {folder} are damaged ({reason}): delete the folder"
            raise unreadable(folder, error, damaged) from None
        # (n f d): a network of frames; one of clips has (n d).
        if seen.ndim == 3 and len(seen) == len(clips):
            return f"agreement[{name}]", agreement(seen)
    return None
