"""Contact sheets that show what each part of a strategy does: the rows of the paper's Table 2, per action.

    video model | image model | mixture | + reduced entropy (gamma, r) | + smoothing (3.6)

All rows of a sheet start from the same noise; the last of these is the whole strategy. A strategy whose figures
are not the paper's gets one more row, the paper's as printed, to be compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jvid.errors import InputError
from jvid.files import check_file, safe_name, whole_file
from jvid.media.frames import to_frames
from jvid_training.search.rows import ablation, printed

if TYPE_CHECKING:
    from jvid.ensemble import Pair
    from jvid.strategy.strategy import Strategy

LABEL = 150
GAP = 2


def sample_rows(
    pair: Pair,
    prompts: Sequence[str],
    rows: dict[str, Strategy],
    seeds: Sequence[int],
    tell: Callable[[str], None],
) -> dict[str, np.ndarray]:
    """Each row's clips ``(prompts, f, H, W, 3)`` uint8, prompt k from ``seeds[k]`` in every row."""
    import torch

    cond = pair.text_encoder(prompts)
    clips = {}
    for label, strategy in rows.items():
        tell(label)
        latents = strategy.sampler(pair)(pair.shape, seeds=seeds, cond=cond)
        # One clip at a time: the decoder's activations at full size are what takes memory.
        clips[label] = to_frames(torch.cat([pair.codec.decode(clip[None]) for clip in latents]))
    return clips


def write_sheet(path: Path, title: str, rows: dict[str, np.ndarray]) -> None:
    """One labelled row of frames ``(f, H, W, 3)`` for each entry, as PNG, JPEG or WebP by the ending."""
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
    options = {"quality": 92} if path.suffix.lower() in {".jpg", ".jpeg", ".webp"} else {"optimize": True}
    with whole_file(path) as part:
        page.save(part, **options)


def make_sheets(
    pair: Pair,
    out: Path,
    prefix: str,
    seed: int,
    ending: str = ".png",
    tell: Callable[[str], None] = lambda row: None,
    strategy: Strategy | None = None,
) -> list[Path]:
    """One sheet for every prompt of the pair that begins with ``prefix``, of ``strategy`` or else the pair's; returns the files.

    Raises `InputError` when no prompt does, the ending is not a picture's, or a sheet cannot be written; before anything is
    sampled.
    """
    if ending not in {".png", ".jpg", ".webp"}:
        raise InputError(f"ending {ending!r}: expected .png, .jpg or .webp")
    prompts = [prompt for prompt in pair.prompts if prompt.startswith(f"{prefix} ")]
    if not prompts:
        raise InputError(
            f"no prompt of {pair.name} begins with {prefix!r}: it has {', '.join(map(repr, pair.prompts[:3]))}, ..."
        )
    whole = strategy or pair.strategy
    rows = ablation(whole) | printed(whole, 8 * pair.shape[-1])
    files = _paths(out, [prompt.removeprefix(prefix) for prompt in prompts], ending)
    clips = sample_rows(pair, prompts, rows, [seed + number for number in range(len(prompts))], tell)
    for number, (prompt, path) in enumerate(zip(prompts, files, strict=True)):
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
