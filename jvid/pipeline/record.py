"""Metadata stored in an output file; enough to reproduce its clips.

    {"format": 2, "ensemble": ..., "clips": [{"prompt": ..., "seed": ...}], "strategy": {...},
     "plan": null, "frames": ..., "batches": [{"clips": [...], "rows": [0]}], "dtype": ..., "device": ...,
     "threads": ..., "fps": ..., "versions": {...}, "created_by": ...}

A clip is a function of strategy (with its plan seed), clip seed, number of frames and prompt; None as prompt is
unconditional. A plan that was replayed from a file is stored in full: it replaces the strategy's selector, grid, steps and
plan seed. The last bits depend on the clips that were computed together, in whatever files they are, and on the threads:
both are stored. "batches" is null where each clip was computed alone, "threads" where the processor computed nothing.
A key "untested" holds, by expert, the classes of models that were never compared with their reference.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from jvid.core.plan import Plan
from jvid.ensemble.source import Source
from jvid.errors import InputError
from jvid.strategy.strategy import Strategy

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble

__all__ = ["BatchRecord", "Clip", "Record", "part_of", "untested_of", "versions"]

FORMAT = 2
_PACKAGES = ("jvid", "torch", "numpy", "diffusers")


@attrs.frozen
class Clip:
    """One clip to make; ``prompt`` None is unconditional."""

    prompt: str | None
    seed: int


@attrs.frozen
class BatchRecord:
    """Clips that are computed as one batch; ``rows`` are those of them that are wanted, in order."""

    clips: tuple[Clip, ...]
    rows: tuple[int, ...]

    @classmethod
    def whole(cls, clips: Sequence[Clip]) -> BatchRecord:
        """A batch all of whose clips are wanted."""
        return cls(tuple(clips), tuple(range(len(clips))))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> BatchRecord:
        """From plain values; a KeyError, TypeError or ValueError where they are none."""
        batch = cls(
            tuple(Clip(clip["prompt"], clip["seed"]) for clip in values["clips"]), tuple(values["rows"])
        )
        if not batch.rows or any(row not in range(len(batch.clips)) for row in batch.rows):
            raise ValueError(f"rows {list(batch.rows)} of a batch of {len(batch.clips)}")
        return batch

    @property
    def wanted(self) -> tuple[Clip, ...]:
        """The clips of ``rows``."""
        return tuple(self.clips[row] for row in self.rows)


def part_of(batches: Sequence[BatchRecord], part: slice) -> list[BatchRecord]:
    """The batches of the wanted clips from ``part.start`` to ``part.stop``, counted over all of them."""
    found, start = [], 0
    for batch in batches:
        low, high = (min(max(end - start, 0), len(batch.rows)) for end in (part.start, part.stop))
        if rows := batch.rows[low:high]:
            found.append(BatchRecord(batch.clips, rows))
        start += len(batch.rows)
    return found


@attrs.frozen
class Record:
    """Clips and how they are made; ``plan`` is one that was replayed.

    ``frames`` of each clip; None is the ensemble's. ``batches`` hold the clips in their order, or there are none
    where each was computed alone; ``threads`` are the processor's.
    """

    ensemble: Source
    clips: tuple[Clip, ...]
    strategy: Strategy
    dtype: str = "float32"
    device: str = "cpu"
    versions: Mapping[str, str] = attrs.field(factory=lambda: versions())
    plan: Plan | None = None
    frames: int | None = None
    batches: tuple[BatchRecord, ...] = ()
    threads: int | None = None

    def of(self, part: slice, fps: float) -> dict[str, Any]:
        """The metadata of a file that holds the clips from ``part.start`` to ``part.stop``."""
        batches = part_of(self.batches, part)
        return {
            "format": FORMAT,
            "ensemble": self.ensemble.to_plain(),
            "clips": [attrs.asdict(clip) for clip in self.clips[part]],
            "strategy": self.strategy.to_dict(),
            "plan": None if self.plan is None else self.plan.to_dict(),
            "frames": self.frames,
            "batches": [attrs.asdict(batch) for batch in batches]
            if any(len(batch.clips) > 1 for batch in batches)
            else None,
            "dtype": self.dtype,
            "device": self.device,
            "threads": self.threads,
            "fps": fps,
            "versions": dict(self.versions),
            "created_by": "jvid sample",
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Record:
        """The record of a file's metadata; format 1, whose ensembles were pairs, is read too.

        Raises:
            InputError: no jvid file, a key is missing, or a value has another form.
        """
        version = values.get("format")
        if version not in (1, FORMAT):
            if "comparison" in values:
                raise InputError("a comparison of several strategies: expected a file that jvid sample wrote")
            if version is None:
                raise InputError("no metadata of jvid: expected a file that jvid sample wrote")
            raise InputError(f"metadata of format {version!r}: expected {FORMAT} or 1; update jvid")
        try:
            clips = tuple(Clip(clip["prompt"], clip["seed"]) for clip in values["clips"])
            # Older files have none of these.
            plan, frames, threads = (values.get(name) for name in ("plan", "frames", "threads"))
            if frames is not None and (type(frames) is not int or frames < 1):
                raise InputError(f"frames {frames!r}: expected a whole number of frames, 1 or more")
            if threads is not None and (type(threads) is not int or threads < 1):
                raise InputError(f"threads {threads!r}: expected a whole number, 1 or more")
            for key in ("dtype", "device", *(("pair",) if version == 1 else ())):
                if not isinstance(values[key], str):
                    raise InputError(f"{key} {values[key]!r}: expected text")
            if not isinstance(stated := values.get("batches"), list | None):
                raise InputError(f"batches {stated!r}: expected a list")
            batches = tuple(BatchRecord.read(batch) for batch in stated or ())
            record = cls(
                Source(values["pair"]) if version == 1 else Source.from_plain(values["ensemble"]),
                clips, Strategy.from_dict(values["strategy"]),
                values["dtype"], values["device"], _versions_of(values["versions"]),
                plan=None if plan is None else Plan.from_dict(plan), frames=frames, batches=batches,
                threads=threads,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"metadata lacks or garbles something ({error}): expected a jvid file"
            ) from error
        if not clips or not all(_is_clip(clip.prompt, clip.seed) for clip in clips):
            raise InputError("metadata holds no clips with a prompt and a seed: expected a jvid file")
        if batches and (
            clips != tuple(clip for batch in batches for clip in batch.wanted)
            or not all(_is_clip(clip.prompt, clip.seed) for batch in batches for clip in batch.clips)
        ):
            raise InputError("metadata has batches that do not hold its clips: expected a jvid file")
        return record

    def shared(self) -> tuple[BatchRecord, ...]:
        """The batches, also where each clip was computed alone."""
        return self.batches or tuple(BatchRecord.whole([clip]) for clip in self.clips)

    def differences(self) -> list[str]:
        """The versions that differ between the record and this installation, as text."""
        now = versions()
        return [
            f"{name} {then} then, {now.get(name, 'none')} now"
            for name, then in self.versions.items()
            if now.get(name) != then
        ]


def _versions_of(values: Any) -> dict[str, str]:
    if not isinstance(values, Mapping) or not all(isinstance(each, str) for each in values.values()):
        raise InputError(f"versions {values!r}: expected text by package")
    return dict(values)


def _is_clip(prompt: Any, seed: Any) -> bool:
    return (
        isinstance(prompt, str | None) and isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
    )


def untested_of(ensemble: Ensemble) -> dict[str, Any]:
    """The key "untested" of metadata: by expert, the classes that were never compared; without one nothing."""
    return {"untested": dict(ensemble.untested)} if ensemble.untested else {}


def versions() -> dict[str, str]:
    """Versions of jvid and of what its results depend on; what is not installed is left out."""
    from jvid import __version__

    found = {"jvid": __version__}
    for package in _PACKAGES[1:]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
