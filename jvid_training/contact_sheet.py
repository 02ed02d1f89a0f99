"""A contact sheet: labelled rows of frames below a title, as a picture; and the clips of a sheet's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jvid.ensemble.compose import Composition
from jvid.files import whole_file
from jvid.media.files import STILLS
from jvid.media.frames import to_frames
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import decoded, make
from jvid.pipeline.offload import Offload
from jvid.pipeline.record import Clip
from jvid.views.comparison import wrapped

if TYPE_CHECKING:
    from jvid.ensemble import Ensemble
    from jvid.strategy import Strategy

__all__ = ["sample_rows", "sheet_picture", "write_sheet"]

LABEL = 150
LINE = 16
LETTERS = 13
GAP = 2


def sample_rows(
    ensemble: Ensemble,
    prompts: Sequence[str],
    rows: dict[str, Strategy],
    seeds: Sequence[int],
    progress: Callable[[str], None],
    device: str = "cpu",
    offload: str | None = None,
) -> dict[str, np.ndarray]:
    """Each row's clips ``(prompts, f, H, W, 3)`` uint8, prompt k from ``seeds[k]`` in every row."""
    import torch

    wanted = [Clip(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    clips = {}
    for label, strategy in rows.items():
        progress(label)
        with Offload(Composition(strategy, ensemble), offload, device) as offloaded:
            made = make(
                ensemble, strategy, wanted, Batching(len(wanted)), device, decoding=True, offload=offloaded
            )
            clips[label] = to_frames(torch.cat(list(decoded(ensemble, made.latents))))
    return clips


def sheet_picture(title: str, rows: Mapping[str, np.ndarray]) -> Any:
    """One labelled row of frames ``(f, H, W, 3)`` for each entry, all of one shape, as an image of PIL."""
    from PIL import Image, ImageDraw, ImageFont

    first = next(iter(rows.values()))
    count, height, width, _ = first.shape
    font = ImageFont.load_default(size=LETTERS)
    across = LABEL + count * (width + GAP)
    lines = wrapped(title, LETTERS, across - 8)
    head = LINE * len(lines) + 6
    page = Image.new("RGB", (across, head + len(rows) * (height + GAP)), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((4, 3 + LINE * number), line, fill="black", font=font)
    for number, (label, frames) in enumerate(rows.items()):
        top = head + number * (height + GAP)
        draw.text((4, top + height // 2 - 8), label, fill="black", font=font)
        for column, frame in enumerate(frames):
            page.paste(Image.fromarray(frame), (LABEL + column * (width + GAP), top))
    return page


def write_sheet(path: Path, title: str, rows: Mapping[str, np.ndarray]) -> None:
    """Write `sheet_picture` in the format of the ending, one of `STILLS`."""
    page = sheet_picture(title, rows)
    with whole_file(path) as part:
        page.save(part, **STILLS[path.suffix.lower()])
