"""Clips -> latents, once, ahead of training: blocks of clips, each of which becomes a shard (`jvid_training.data.blocks`).

    alone             the blocks in order
    workers           the same list, handed out block by block to processes of this machine
    torchrun          of n processes the r-th takes every n-th block from the r-th; the first writes the manifest

The manifest is written last: what was encoded, from what, the mean and deviation of each channel over the training actors,
and every clip that was skipped with its reason. An interrupted encoding goes on with the blocks that are not finished. The
sequences of the manifest are in the order of the clips' names, whoever encoded them and when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

from jvid.documents import check_same
from jvid.errors import InputError, JvidError
from jvid.files import clean, make_folder, read_json, remove, write_json
from jvid_training.data.blocks import Alone, Block, BlockEncoder, read_block
from jvid_training.data.checks import REMEDY, check_captions, check_encoded, shared_statistics, some
from jvid_training.data.clips import ClipFile
from jvid_training.data.encoder import FrameEncoder
from jvid_training.data.encoder_weights import check_same_encoder, digest_in, encoder_digest
from jvid_training.data.manifest import Manifest, key_of, load_manifest, save_manifest
from jvid_training.data.sequences import Sequence as Encoded
from jvid_training.data.sequences import Sequences
from jvid_training.data.shards import Shards
from jvid_training.data.sources import find_files
from jvid_training.jobs.agreement import check_agreement, digest, is_shared
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import CodecChoice, Data
from jvid_training.recipe_buckets import Bucket, buckets_of, is_bucketed

__all__ = ["encode", "load_manifest"]

SHARD_FRAMES = 4096
"""Frames of a usual shard, where a clip is four windows long."""
_ROUNDING = 1e-10
"""Of sums in float64, relative."""
Encode = Callable[[torch.Tensor], torch.Tensor]  # video (1 3 f H W) in [-1, 1] -> latents (1 c f h w)
Advance = Callable[[int, int, str], None]


def encode(
    data: Data,
    codec: CodecChoice,
    root: Path,
    encoder: Encode | BlockEncoder,
    advance: Advance = lambda done, total, clip: None,
    job: Ranks | None = None,
) -> Manifest:
    """Encode every clip below ``root`` into ``data.latents``; return at once what an equal encoding left there.

    Clips that cannot be read or are shorter than the shortest bucket at ``data.fps`` are skipped and named in the manifest.

    Args:
        data: of the recipe.
        codec: of the recipe.
        root: of the clips.
        encoder: of videos, as a codec has it, or of blocks.
        advance: called with the number of finished clips, of all clips, and the name of the last one.
        job: the processes that call this together; one alone if None.

    Raises:
        InputError: a folder that another run writes to, an encoding of other settings, a clip that the system refuses to read,
            processes of other data or that do not share a file system, or no clip that can be trained on.
        JvidError: a clip that no process has encoded.
    """
    folder, job = Path(data.latents), job or Ranks()
    if all(job.gather((folder / "manifest.json").is_file())):
        return _found(folder, data, codec, root)
    files = find_files(root, data)
    with _begun(folder, data, codec, files, job) as missing:
        if missing is None:  # the process that held the lock before has finished
            return _found(folder, data, codec, root)
        done, total = len(files) - sum(len(block.files) for block in missing), len(files)
        advance(done, total, "")

        def finished(clip: str) -> None:
            nonlocal done
            done += 1
            advance(done, total, clip)

        through = encoder if isinstance(encoder, BlockEncoder) else Alone(FrameEncoder(encoder))
        through.encode_blocks(missing[job.rank :: job.world], data, folder, finished)
        job.wait()
        if job.rank == 0:
            _finish(folder, data, codec, files)
        job.wait()
    return load_manifest(folder)


def _found(folder: Path, data: Data, codec: CodecChoice, root: Path) -> Manifest:
    """The finished encoding, if it is the one that a recipe describes."""
    manifest = load_manifest(folder)
    check_encoded(manifest, data, codec)
    if _is_described(data) and root.exists():
        check_captions(manifest, find_files(root, data))
    return manifest


def _is_described(data: Data) -> bool:
    """Whether files beside the clips say what is in the manifest: captions, or lists."""
    return data.captions != "class" or bool(data.lists)


@contextmanager
def _begun(
    folder: Path, data: Data, codec: CodecChoice, files: Sequence[ClipFile], job: Ranks
) -> Iterator[list[Block] | None]:
    """Lock the folder for all processes of the job; gives the blocks to encode, None where a manifest is there by now."""
    names = "\n".join(file.name for file in files)
    facts = {
        "the data of the recipe": json.dumps(key_of(data, codec)),
        f"the clips of {data.root}": names,
    }
    check_agreement(job, {name: digest(value.encode()) for name, value in facts.items()})
    lock: Lock | None = None
    blocks: Any = None
    try:
        if job.rank == 0:
            try:
                lock = Lock(make_folder(folder), alone=True).__enter__()
                blocks = _begin(folder, data, codec, files)
                lock.share()
            except JvidError as error:
                blocks = error
        blocks = job.broadcast(blocks)
        if isinstance(blocks, JvidError):
            raise blocks
        if not is_shared(folder, job):
            raise InputError(
                f"the processes do not see one folder at {folder}: give data.latents a folder on a file system that all nodes "
                "share"
            )
        if job.rank:
            lock = Lock(folder, alone=False).__enter__()
        yield blocks and [Block(number, tuple(files[each] for each in chosen)) for number, chosen in blocks]
    finally:
        if lock is not None:
            lock.__exit__(None, None, None)


def _begin(
    folder: Path, data: Data, codec: CodecChoice, files: Sequence[ClipFile]
) -> list[tuple[int, list[int]]] | None:
    """The blocks that are missing, as numbers of shards and of files; None where a manifest is there by now."""
    if (folder / "manifest.json").is_file():
        return None
    clean(folder, locked=True)
    key, encoder, before = key_of(data, codec), encoder_digest(codec), folder / "key.json"
    what = "what `jvid encode` wrote", "give data.latents another folder"
    if (
        before.is_file()
        and not any(folder.glob("shard-*.npy"))
        and not any(folder.glob("shard-*.safetensors"))
    ):
        # Nothing was encoded: settings that skipped every clip are no reason to refuse those that are mended.
        for path in (*folder.glob("shard-*.json"), before):
            remove(path)
    if before.is_file():
        unfinished = f"{folder} holds an unfinished encoding of other settings"
        then = read_json(before, *what)
        earlier = digest_in(then)
        check_same_encoder(
            earlier,
            encoder,
            f"{folder} holds an unfinished encoding by other weights than the codec {codec.name!r} has now",
            REMEDY,
        )
        encoder = earlier  # what an older version began is by weights that are not known
        if isinstance(then, dict):
            then.pop("encoder", None)
        check_same(then, key, unfinished, REMEDY)
    actors = sorted({file.actor for file in files})
    if unknown := sorted(set(data.holdout) - set(actors)):
        raise InputError(
            f"data.holdout: no clip of {some(unknown)}; {data.holdout_by or 'actor'}s are {some(actors)}"
        )
    shared_statistics(data, key, encoder)
    write_json(before, {**key, "encoder": encoder} if encoder else key)
    finished = sorted(folder.glob("shard-*.json"))
    done = {clip for path in finished for clip in read_block(path).clips}
    number = max((int(path.stem.rpartition("-")[2]) for path in finished), default=-1) + 1
    left = [place for place, file in enumerate(files) if file.name not in done]
    size = max(SHARD_FRAMES // (4 * data.frames), 1)
    return [(number + k, left[first : first + size]) for k, first in enumerate(range(0, len(left), size))]


def _same_digest(folder: Path, codec: CodecChoice) -> str:
    """The digest that the encoding began with; weights that were written again since are refused."""
    began = digest_in(
        read_json(folder / "key.json", "what `jvid encode` wrote", "encode into another folder")
    )
    check_same_encoder(
        began,
        encoder_digest(codec),
        f"the weights of the codec {codec.name!r} were written again while they encoded {folder}",
        f"delete {folder} and encode again",
    )
    return began


def _finish(folder: Path, data: Data, codec: CodecChoice, files: Sequence[ClipFile]) -> None:
    """Write the manifest of all blocks."""
    key, encoder = key_of(data, codec), _same_digest(folder, codec)
    place = {file.name: number for number, file in enumerate(files)}
    records = [read_block(path) for path in sorted(folder.glob("shard-*.json"))]
    if lost := sorted(place.keys() - {clip for record in records for clip in record.clips}):
        raise JvidError(f"{folder}: no finished shard holds {some(lost)}; the same command encodes the rest")
    rows = [
        (place.get(sequence.clip, len(place)), sequence, sums)
        for record in records
        for sequence, sums in zip(record.sequences, record.sums, strict=True)
    ]
    rows.sort(key=lambda row: row[0])
    skipped = {clip: reason for record in records for clip, reason in record.clips.items() if reason}
    train = [(sequence, sums) for _, sequence, sums in rows if sequence.actor not in data.holdout]
    if not train:
        raise InputError(
            f"no clip is left to train on: {len(skipped)} skipped, holdout {', '.join(data.holdout) or 'empty'}"
            + (f"; the first: {next(iter(skipped.values()))}" if skipped else "")
        )
    shared = shared_statistics(data, key, encoder)
    mean, std = (shared.mean, shared.std) if shared is not None else _statistics(folder, train)
    if not data.normalise:
        mean, std = (0.0,) * len(mean), (1.0,) * len(std)
    windows = _windows(data, [sequence for _, sequence, _ in rows])
    manifest = Manifest(
        key=key, mean=mean, std=std, skipped=skipped, fps=data.fps, frames=max(bucket.frames for bucket in windows),
        holdout=data.holdout, encoder=encoder, buckets=windows if is_bucketed(data) else (),
        shards={name: rows for record in records for name, rows in record.shards.items()},
        sequences=Sequences.of(sequence for _, sequence, _ in rows),
    )  # fmt: skip
    if _is_described(data):
        check_captions(manifest, list(files))  # shards of an encoding that was interrupted may have others
    save_manifest(folder, manifest)


def _windows(data: Data, sequences: Sequence[Encoded]) -> tuple[Bucket, ...]:
    """The buckets, with the frames that windows have in latents.

    Of a codec over time windows are sequences, and shorter in latents (`jvid_training.data.rates`).
    """
    shortest: dict[int, int] = {}
    for each in sequences:
        shortest[each.bucket] = min(each.length, shortest.get(each.bucket, each.length))
    return tuple(
        attrs.evolve(bucket, frames=min(bucket.frames, shortest.get(number, bucket.frames)))
        for number, bucket in enumerate(buckets_of(data))
    )


def _statistics(
    folder: Path, train: Sequence[tuple[Encoded, np.ndarray]]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel over sequences, of their sums; the deviation of a constant channel is 0.

    Raises:
        InputError: sums that no latents have.
    """
    total, squares, count = np.zeros(()), np.zeros(()), 0
    with Shards(folder) as shards:
        area = {
            name: int(np.prod(shards.row_shape(name, "latents")[1:])) for name in {s.shard for s, _ in train}
        }
    for sequence, (values, powers) in train:
        total = total + values
        squares = squares + powers
        size = sequence.length * area[sequence.shard]
        count += size
        if (values**2 > (1 + _ROUNDING) * size * powers).any():
            raise InputError(
                f"{folder / sequence.shard}.json is damaged: the sums of {sequence.clip} are of no latents; "
                "delete this one file, and encode again"
            )
    mean = total / count
    variance = squares / count - mean**2
    # Of a constant channel rounding leaves less than nothing, or little; a manifest with a deviation of 0 is refused.
    std = np.sqrt(np.where(variance <= _ROUNDING * mean**2, 0.0, variance))
    return tuple(mean.tolist()), tuple(std.tolist())
