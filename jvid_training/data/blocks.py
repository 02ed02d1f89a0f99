"""Clips -> one shard: a block of clips is what one process encodes at a time.

    shard-00000.latents.safetensors   (n, c, h, w) float32, as the codec gives them (not normalised)
    shard-00000.frames.safetensors    (n, H, W, 3) uint8, what the decoder learns to give back
    shard-00000.48x80.latents...      of a recipe with buckets: a file for each size, height x width
    shard-00000.json                  {sequences: [{clip, action, actor, phase, flip, offset, length, ...}, ...],
                                       clips: {clip: reason or null}, sums: [[...], ...], shards: {name: digest}}

The JSON is written last: with it the block is finished. ``sums`` are, for each sequence, the sum and the sum of squares of each
channel. Frames go through the codec some at a time, and rows to the disk as they come: a block takes the memory of two clips,
the one that is encoded and the one that is decoded meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs
import cattrs
import numpy as np

from jvid.files import read_json, whole_file, write_json
from jvid.media.clips import ClipError
from jvid_training.data.clips import ClipFile
from jvid_training.data.cropped import sequences
from jvid_training.data.encoder import FrameEncoder
from jvid_training.data.manifest import sequence_of
from jvid_training.data.rates import cut
from jvid_training.data.sequences import Sequence
from jvid_training.data.shards import RowWriter, Shards
from jvid_training.data.stored import extracted
from jvid_training.jobs.background import ahead
from jvid_training.recipe import Data
from jvid_training.recipe_buckets import buckets_of, is_bucketed

__all__ = ["Alone", "Block", "BlockEncoder", "BlockRecord", "encode_block", "read_block"]


@attrs.frozen
class Block:
    """Clips that become shard ``number``."""

    number: int
    files: tuple[ClipFile, ...]

    @property
    def name(self) -> str:
        """Of its shard."""
        return f"shard-{self.number:05d}"


@attrs.frozen
class BlockRecord:
    """What the JSON of a finished block states."""

    sequences: list[Sequence]
    clips: dict[str, str | None]
    """Every clip of the block, with the reason where it was skipped."""
    sums: list[np.ndarray]
    """For each sequence ``(2, c)`` float64, of values and of squares."""
    shards: dict[str, str]


@runtime_checkable
class BlockEncoder(Protocol):
    """Encodes blocks in this process or in others."""

    def encode_blocks(
        self, blocks: Iterable[Block], data: Data, folder: Path, finished: Callable[[str], None]
    ) -> None:
        """Encode all blocks into ``folder``; ``finished(clip)`` is called after each clip."""
        ...


@attrs.frozen
class Alone:
    """Encodes blocks in this process, in order."""

    encoder: FrameEncoder

    def encode_blocks(
        self, blocks: Iterable[Block], data: Data, folder: Path, finished: Callable[[str], None]
    ) -> None:
        """See `BlockEncoder`."""
        for block in blocks:
            encode_block(block, data, self.encoder, folder, finished)


def encode_block(
    block: Block,
    data: Data,
    encoder: FrameEncoder,
    folder: Path,
    advance: Callable[[str], None] = lambda clip: None,
) -> None:
    """Encode a block's clips into its shard, whole or not at all; ``advance(clip)`` is called after each.

    Raises:
        InputError: a clip that the system refuses to read, or a folder that it refuses to write to.
    """
    record = BlockRecord([], {}, [], {})
    with _Rows(folder) as rows:
        for file, sequence, frames in ahead(_decoded(block.files, data, encoder.rate)):
            if sequence is None:
                record.clips.setdefault(file.name, frames)
                advance(file.name)
            elif file.name not in record.clips:
                latents, frames = encoder(frames), frames[:: encoder.rate]
                if np.isfinite(latents).all():
                    shard = _shard(block, data, frames)
                    offset = rows.append(shard, latents, frames)
                    record.sequences.append(attrs.evolve(sequence, offset=offset, shard=shard))
                    record.sums.append(_sums(latents))
                else:
                    record.clips[file.name] = (
                        f"clip {file.name}: its latents hold NaN or infinity; check data.codec"
                    )
        record.shards.update(rows.finish())
    kept = [number for number, each in enumerate(record.sequences) if record.clips[each.clip] is None]
    document = {
        "sequences": [_plain(record.sequences[number]) for number in kept],
        "clips": record.clips,
        "sums": [record.sums[number].tolist() for number in kept],
        "shards": record.shards,
    }
    write_json(folder / f"{block.name}.json", document)


def read_block(path: Path) -> BlockRecord:
    """What a finished block left, of this format or of format 1."""

    def of(document: dict[str, Any]) -> BlockRecord:
        sequences = [sequence_of(row) for row in document["sequences"]]
        if "sums" in document:
            sums = [np.asarray(each, np.float64) for each in document["sums"]]
        else:
            with Shards(path.parent) as shards:
                sums = [_sums(shards.read(s.shard, "latents", s.offset, s.length, s.clip)) for s in sequences]
        if len(sums) != len(sequences):
            raise ValueError("sums: expected one for each sequence")
        for each in sums:
            if (
                each.ndim != 2
                or each.shape[0] != 2
                or each.shape != sums[0].shape
                or not np.isfinite(each).all()
            ):
                raise ValueError("sums: expected two finite numbers for each channel")
        return BlockRecord(sequences, dict(document["clips"]), sums, dict(document.get("shards", {})))

    record: BlockRecord = read_json(
        path, "what `jvid encode` wrote", "delete this one file, and encode again", of
    )
    return record


def _shard(block: Block, data: Data, frames: np.ndarray) -> str:
    """The shard that frames are written to: a block has one of each size."""
    return f"{block.name}.{frames.shape[1]}x{frames.shape[2]}" if is_bucketed(data) else block.name


def _plain(sequence: Sequence) -> dict[str, Any]:
    plain: dict[str, Any] = cattrs.unstructure(sequence)
    if not sequence.bucket:
        del plain["bucket"]
    return plain


class _Rows:
    """The files of rows of a block, which appear together when it is finished."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._writers: dict[str, RowWriter] = {}

    def __enter__(self) -> _Rows:
        self._files.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for writer in self._writers.values():
            writer.abandon()
        self._files.__exit__(*error)

    def append(self, shard: str, latents: np.ndarray, frames: np.ndarray) -> int:
        """Write the rows of a sequence; returns the first."""
        first = 0
        for kind, rows in (("latents", latents), ("frames", frames)):
            name = f"{shard}.{kind}"
            if name not in self._writers:
                path = self._folder / f"{name}.safetensors"
                self._writers[name] = RowWriter(
                    self._files.enter_context(whole_file(path)), rows.dtype, rows.shape[1:]
                )
            first = self._writers[name].count
            self._writers[name].append(rows)
        return first

    def finish(self) -> dict[str, str]:
        """Complete the files; their digests by name."""
        return {name: writer.close() for name, writer in self._writers.items()}


def _decoded(files: Iterable[ClipFile], data: Data, rate: int) -> Iterator[tuple[ClipFile, Any, Any]]:
    """Each sequence of each file with its frames, then the file with None and None, or with None and what is wrong with it."""
    buckets = buckets_of(data)
    for file in files:
        try:
            with extracted(file) as local:
                for whole, every in sequences(local, data):
                    for sequence, frames in cut(whole, every, buckets[whole.bucket].frames, rate):
                        yield file, sequence, frames
        except ClipError as error:
            yield file, None, str(error)
        else:
            yield file, None, None


def _sums(latents: np.ndarray) -> np.ndarray:
    """``(2, c)`` float64: the sum of each channel, and of its squares."""
    exact = latents.astype(np.float64)
    return np.stack([exact.sum((0, 2, 3)), (exact**2).sum((0, 2, 3))])
