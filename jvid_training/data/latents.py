"""Clips -> shards of latents, once, ahead of training.

A shard is two ``.npy`` files of concatenated frames, read by memory map, and a ``.json`` that lists the
sequences in them:

    shard-00000.latents.npy  (n, c, h, w) float32, as the codec gives them (not normalised)
    shard-00000.frames.npy   (n, H, W, 3) uint8, what the decoder learns to give back
    shard-00000.json         [{clip, action, actor, phase, flip, offset, length, captions, attributes}, ...]

``manifest.json`` is written last: what was encoded, from what, the mean and deviation of each channel over the
training actors, and every clip that was skipped with its reason. An interrupted encoding goes on after its last
whole shard.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
import torch

from jvid.documents import check_same
from jvid.errors import InputError
from jvid.files import clean, make_folder, read_json, remove, whole_file, write_json
from jvid.media.clips import ClipError
from jvid_training.data.captions import find_files
from jvid_training.data.checks import REMEDY, check_captions, check_encoded, shared_statistics, some
from jvid_training.data.cropped import sequences
from jvid_training.data.manifest import Manifest, Sequence, key_of, load_manifest, mapped, structured
from jvid_training.jobs.locks import Lock
from jvid_training.recipe import CodecChoice, Data

SHARD_FRAMES = 4096
Encode = Callable[[torch.Tensor], torch.Tensor]  # video (1 3 f H W) in [-1, 1] -> latents (1 c f h w)


def encode(
    data: Data,
    codec: CodecChoice,
    root: Path,
    encoder: Encode,
    advance: Callable[[int, int, str], None] = lambda done, total, clip: None,
) -> Manifest:
    """Encode every clip below ``root`` into ``data.latents``; return at once what an equal encoding left there.

    ``advance(done, total, clip)`` is called after each clip. Clips that cannot be read or are shorter than
    ``data.frames`` at ``data.fps`` are skipped and named in the manifest.
    """
    folder = Path(data.latents)
    key = key_of(data, codec)
    if (folder / "manifest.json").is_file():
        manifest = load_manifest(folder)
        check_encoded(manifest, data, codec)
        if data.captions != "class" and root.is_dir():
            check_captions(manifest, find_files(root, data))
        return manifest
    with Lock(make_folder(folder), alone=True):
        if (folder / "manifest.json").is_file():  # the process that held the lock before has finished
            return encode(data, codec, root, encoder, advance)
        return _encode(data, key, root, encoder, advance)


def _encode(
    data: Data,
    key: dict[str, Any],
    root: Path,
    encoder: Encode,
    advance: Callable[[int, int, str], None],
) -> Manifest:
    folder = Path(data.latents)
    clean(folder, locked=True)
    before = folder / "key.json"
    what = "what `jvid encode` wrote", "give data.latents another folder"
    if before.is_file() and not any(folder.glob("shard-*.npy")):
        # Nothing was encoded: settings that skipped every clip are no reason to refuse those that are mended.
        for path in (*folder.glob("shard-*.json"), before):
            remove(path)
    if before.is_file():
        unfinished = f"{folder} holds an unfinished encoding of other settings"
        check_same(read_json(before, *what), key, unfinished, REMEDY)
    clips = find_files(root, data)
    actors = sorted({clip.actor for clip in clips})
    if unknown := sorted(set(data.holdout) - set(actors)):
        raise InputError(
            f"data.holdout: no clip of {some(unknown)}; {data.holdout_by or 'actor'}s are {some(actors)}"
        )
    shared = shared_statistics(data, key)
    write_json(before, key)
    done, skipped = _finished(folder)
    numbers = (int(path.stem.rpartition("-")[2]) for path in folder.glob("shard-*.json"))
    writer = _Writer(folder, max(numbers, default=-1) + 1)
    for number, file in enumerate(clips, 1):
        if file.name not in done:
            try:
                for sequence, frames in sequences(file, data):
                    video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
                    with torch.inference_mode():
                        latents = encoder(video)[0].permute(1, 0, 2, 3).float().cpu().numpy()
                    if not np.isfinite(latents).all():
                        raise ClipError(
                            f"clip {file.name}: its latents hold NaN or infinity; check data.codec"
                        )
                    writer.add(sequence, latents, frames)
            except ClipError as error:
                skipped[file.name] = str(error)
            writer.finished(file.name, skipped.get(file.name))
        advance(number, len(clips), file.name)
    writer.close()
    manifest = _summarise(folder, data, key, skipped)
    if shared is not None:
        manifest = attrs.evolve(manifest, mean=shared.mean, std=shared.std)
    if data.captions != "class":
        check_captions(manifest, clips)  # shards of an encoding that was interrupted may have others
    write_json(folder / "manifest.json", cattrs.unstructure(manifest))
    return manifest


class _Writer:
    """Collects sequences into shards; a shard closes after a whole clip, so that resuming never splits one."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self._reset()

    def _reset(self) -> None:
        self.latents: list[np.ndarray] = []
        self.frames: list[np.ndarray] = []
        self.sequences: list[Sequence] = []
        self.clips: dict[str, str | None] = {}
        self.length = 0

    def add(self, sequence: Sequence, latents: np.ndarray, frames: np.ndarray) -> None:
        name = f"shard-{self.number:05d}"
        self.sequences.append(attrs.evolve(sequence, offset=self.length, shard=name))
        self.latents.append(latents)
        self.frames.append(frames)
        self.length += len(latents)

    def finished(self, clip: str, skipped: str | None) -> None:
        self.clips[clip] = skipped
        if self.length >= SHARD_FRAMES:
            self.close()

    def close(self) -> None:
        if not self.clips:
            return
        stem = self.folder / f"shard-{self.number:05d}"
        if self.length:
            for kind, arrays in (("latents", self.latents), ("frames", self.frames)):
                whole = np.concatenate(arrays)
                with whole_file(stem.with_suffix(f".{kind}.npy")) as part:
                    np.save(part, whole)
        write_json(
            stem.with_suffix(".json"), {"sequences": cattrs.unstructure(self.sequences), "clips": self.clips}
        )
        self.number += 1
        self._reset()


def _shard(path: Path, of: Callable[[dict[str, Any]], Any]) -> Any:
    return read_json(path, "what `jvid encode` wrote", "delete this one file, and encode again", of)


def _finished(folder: Path) -> tuple[set[str], dict[str, str]]:
    done: set[str] = set()
    skipped: dict[str, str] = {}
    for path in sorted(folder.glob("shard-*.json")):
        clips = _shard(path, lambda shard: dict(shard["clips"]))
        done |= set(clips)
        skipped |= {clip: reason for clip, reason in clips.items() if reason}
    return done, skipped


def _summarise(folder: Path, data: Data, key: dict[str, Any], skipped: dict[str, str]) -> Manifest:
    sequences: list[Sequence] = []
    for path in sorted(folder.glob("shard-*.json")):
        sequences += _shard(path, lambda shard: structured(shard["sequences"], list[Sequence]))
    train = [sequence for sequence in sequences if sequence.actor not in data.holdout]
    if not train:
        raise InputError(
            f"no clip is left to train on: {len(skipped)} skipped, holdout {', '.join(data.holdout) or 'empty'}"
            + (f"; the first: {next(iter(skipped.values()))}" if skipped else "")
        )
    total, squares, count = 0.0, 0.0, 0
    for sequence in train:
        part = mapped(folder / f"{sequence.shard}.latents.npy")[
            sequence.offset : sequence.offset + sequence.length
        ]
        part = part.astype(np.float64)
        total = total + part.sum((0, 2, 3))
        squares = squares + (part**2).sum((0, 2, 3))
        count += part.shape[0] * part.shape[2] * part.shape[3]
    mean = np.asarray(total) / count
    std = np.sqrt(np.asarray(squares) / count - mean**2)
    return Manifest(
        key,
        tuple(sequences),
        tuple(mean.tolist()),
        tuple(std.tolist()),
        skipped,
        data.fps,
        data.frames,
        data.holdout,
    )
