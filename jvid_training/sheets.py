"""Contact sheets that show what each part of a strategy does: the rows of its ablation, per action.

    video model | image model | mixture | + reduced entropy (gamma, r) | + smoothing (3.6)      the paper's Table 2
    NAME alone, for each expert | mixture | + noise | + POSTPROCESSOR, for each                 of other experts

All rows of a sheet start from the same noise; the last of these is the whole strategy. A strategy of the paper's experts whose
numbers are not the paper's gets one more row, the paper's as printed, to be compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jvid.errors import InputError
from jvid.files import check_file, safe_name, whole_file
from jvid.media.files import STILLS, listed
from jvid.media.frames import to_frames
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import decoded, make
from jvid.pipeline.record import Clip
from jvid.strategy.simple import simple
from jvid_training.search.rows import ablation, is_papers, printed

if TYPE_CHECKING:
    from jvid.ensemble import Ensemble
    from jvid.strategy import Strategy

__all__ = ["make_sheets", "sample_rows", "write_sheet"]

LABEL = 150
GAP = 2


def sample_rows(
    ensemble: Ensemble,
    prompts: Sequence[str],
    rows: dict[str, Strategy],
    seeds: Sequence[int],
    progress: Callable[[str], None],
) -> dict[str, np.ndarray]:
    """Each row's clips ``(prompts, f, H, W, 3)`` uint8, prompt k from ``seeds[k]`` in every row."""
    import torch

    wanted = [Clip(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    clips = {}
    for label, strategy in rows.items():
        progress(label)
        made = make(ensemble, strategy, wanted, Batching(len(wanted)), decoding=True)
        clips[label] = to_frames(torch.cat(list(decoded(ensemble, made.latents))))
    return clips


def write_sheet(path: Path, title: str, rows: dict[str, np.ndarray]) -> None:
    """One labelled row of frames ``(f, H, W, 3)`` for each entry, in the format of the ending, one of `STILLS`."""
    from PIL import Image, ImageDraw, ImageFont

    first = next(iter(rows.values()))
    count, height, width, _ = first.shape
    head = 22
    page = Image.new("RGB", (LABEL + count * (width + GAP), head + len(rows) * (height + GAP)), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=13)
    draw.text((4, 3), title, fill="black", font=font)
    for number, (label, frames) in enumerate(rows.items()):
        top = head + number * (height + GAP)
        draw.text((4, top + height // 2 - 8), label, fill="black", font=font)
        for column, frame in enumerate(frames):
            page.paste(Image.fromarray(frame), (LABEL + column * (width + GAP), top))
    with whole_file(path) as part:
        page.save(part, **STILLS[path.suffix.lower()])


def make_sheets(
    ensemble: Ensemble,
    out: Path,
    prefix: str,
    seed: int,
    ending: str = ".png",
    progress: Callable[[str], None] = lambda row: None,
    strategy: Strategy | None = None,
    prompts: Sequence[str] | None = None,
) -> list[Path]:
    """One sheet for every prompt of the ensemble that begins with ``prefix``, or for each of ``prompts``; returns the files.

    Args:
        ensemble: that is sampled.
        out: folder of the sheets.
        prefix: of the ensemble's prompts.
        seed: of the first prompt; the next takes the next.
        ending: of the files.
        progress: called with each row's label before it is sampled.
        strategy: whose parts are shown; the ensemble's recommended one if None.
        prompts: in place of the ensemble's.

    Raises:
        InputError: no prompt, an ending that is not a picture's, or a sheet that cannot be written; before anything is
            sampled.
    """
    if ending not in STILLS:
        raise InputError(f"ending {ending!r}: expected {listed(STILLS)}")
    shown = list(prompts or (prompt for prompt in ensemble.prompts if prompt.startswith(f"{prefix} ")))
    if not shown:
        has = (
            f"it has {', '.join(map(repr, ensemble.prompts[:3]))}, ..."
            if ensemble.prompts
            else "it takes any"
        )
        raise InputError(
            f"no prompt of {ensemble.name} begins with {prefix!r}: {has}; name some with --prompt"
        )
    whole = strategy or ensemble.strategy or simple(ensemble.experts)
    rows = ablation(whole, ensemble)
    if is_papers(ensemble):
        rows |= printed(whole, 8 * ensemble.shape[-1])
    files = _paths(out, [prompt if prompts else prompt.removeprefix(prefix) for prompt in shown], ending)
    clips = sample_rows(ensemble, shown, rows, [seed + number for number in range(len(shown))], progress)
    for number, (prompt, path) in enumerate(zip(shown, files, strict=True)):
        write_sheet(path, f"{prompt} (seed {seed + number})", {label: clips[label][number] for label in rows})
    return files


def _paths(out: Path, texts: Sequence[str], ending: str) -> list[Path]:
    """A file in ``out`` for each text, all of different names; each can be written."""
    names: list[str] = []
    for text in texts:
        name = safe_name(text, "prompt")
        same = (f"{name}-{number}" for number in itertools.count(2))
        names.append(name if name not in names else next(each for each in same if each not in names))
    return [check_file(out / f"{name}{ending}", parents=True) for name in names]
