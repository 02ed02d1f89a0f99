"""Contact sheets that show what each part of a strategy does: the rows of its ablation, per action.

    video model | image model | mixture | + reduced entropy (gamma, r) | + smoothing (3.6)      the paper's Table 2
    NAME alone, for each expert | mixture | + noise | + POSTPROCESSOR, for each                 of other experts

or of chosen strategies, after each expert alone. Where the prompt is a caption of a real clip, that one is the first row.
All rows of a sheet start from the same noise; the last of these is the whole strategy. A strategy of the paper's experts whose
numbers are not the paper's gets one more row, the paper's as printed, to be compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jvid.errors import InputError
from jvid.files import check_apart, check_file, safe_name
from jvid.media.files import STILLS, listed
from jvid.pipeline.compare import with_experts_alone
from jvid.strategy.simple import simple
from jvid_training.contact_sheet import sample_rows, write_sheet
from jvid_training.evaluation.sample import captioned_clips
from jvid_training.search.components import check_fits
from jvid_training.search.rows import ablation, is_papers, printed

if TYPE_CHECKING:
    from jvid.core.metrics import ClipSource
    from jvid.ensemble import Ensemble
    from jvid.strategy import Strategy

__all__ = ["make_sheets", "sample_rows", "write_sheet"]

TRUE = "true clip"


def make_sheets(
    ensemble: Ensemble,
    out: Path,
    prefix: str,
    seed: int,
    ending: str = ".png",
    progress: Callable[[str], None] = lambda row: None,
    strategy: Strategy | None = None,
    prompts: Sequence[str] | None = None,
    rows: Mapping[str, Strategy] | None = None,
    reference: ClipSource | None = None,
    device: str = "cpu",
    offload: str | None = None,
    inputs: Iterable[str | Path | None] = (),
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
        rows: strategies by their labels, in place of the parts of ``strategy``; each expert alone comes before them.
        reference: real clips; the first row is the one that the prompt is a caption of, where there is one.
        device: of the networks.
        offload: which weights are on it, as `jvid.pipeline.make` takes it.
        inputs: files and folders that are read, which no sheet may replace.

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
    sampled = _rows(ensemble, strategy) if rows is None else with_experts_alone(rows, ensemble)
    true = _true_clips(ensemble, reference, shown)
    files = _paths(out, [prompt if prompts else prompt.removeprefix(prefix) for prompt in shown], ending)
    check_apart(files, inputs)
    seeds = [seed + number for number in range(len(shown))]
    clips = sample_rows(ensemble, shown, sampled, seeds, progress, device, offload)
    for number, (prompt, path) in enumerate(zip(shown, files, strict=True)):
        strips = {TRUE: true[prompt]} if prompt in true else {}
        strips |= {label: clips[label][number] for label in sampled}
        write_sheet(path, f"{prompt} (seed {seed + number})", strips)
    return files


def _rows(ensemble: Ensemble, strategy: Strategy | None) -> dict[str, Strategy]:
    """The parts of a strategy, or of the ensemble's recommended one."""
    whole = strategy or ensemble.strategy or simple(ensemble.experts)
    rows = ablation(whole, ensemble)
    return rows | printed(whole, 8 * ensemble.shape[-1]) if is_papers(ensemble) else rows


def _true_clips(
    ensemble: Ensemble, reference: ClipSource | None, prompts: Sequence[str]
) -> dict[str, np.ndarray]:
    """The real clip ``(f, H, W, 3)`` of each prompt that is a caption of one: the first, where several have it."""
    if reference is None:
        return {}
    check_fits(reference, ensemble, reference.name)
    places = captioned_clips(prompts, reference)
    wanted = {found[0] for found in places if found}
    every = (clip for batch in reference.batches() for clip in batch)
    chosen = {place: clip for place, clip in enumerate(every) if place in wanted}
    return {prompt: chosen[found[0]] for prompt, found in zip(prompts, places, strict=True) if found}


def _paths(out: Path, texts: Sequence[str], ending: str) -> list[Path]:
    """A file in ``out`` for each text, all of different names; each can be written."""
    names: list[str] = []
    for text in texts:
        name = safe_name(text, "prompt")
        same = (f"{name}-{number}" for number in itertools.count(2))
        names.append(name if name not in names else next(each for each in same if each not in names))
    return [check_file(out / f"{name}{ending}", parents=True) for name in names]
