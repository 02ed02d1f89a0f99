"""A set of clips on disk, as a source of clips for evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from jvid.errors import InputError
from jvid.paper import PREFIXES
from jvid_training.generation.files import finished, read_record, read_tensor
from jvid_training.generation.spec import Spec

__all__ = ["ClipSet", "action_of"]


def action_of(prompt: str) -> str:
    """The action in a prompt's words: ``A person waving two hands`` is ``waving two hands``."""
    for prefix in PREFIXES:
        if prompt.casefold().startswith(f"{prefix} ".casefold()):
            return prompt[len(prefix) :].strip()
    return prompt


@attrs.frozen(eq=False)
class ClipSet:
    """The clips of a folder that ``generate`` wrote. Opening it reads headers; frames are read when they are used.

    Its length is the spec's ``num``: clips beyond it, with which the last batch was filled, are not shown.
    """

    folder: Path
    spec: Spec
    name: str
    _records: dict[int, dict[str, Any]] = attrs.field(repr=False)

    @classmethod
    def open(cls, folder: str | Path, name: str | None = None) -> ClipSet:
        """The set of a folder, complete or not; ``name`` in tables is the folder's if None.

        Raises:
            InputError: no set there, or a file of it that is damaged.
        """
        folder = Path(folder)
        spec = Spec.load(folder)
        there = [batch for batch in finished(folder) if batch < spec.batches]
        return cls(
            folder, spec, name or folder.resolve().name, {k: read_record(folder, k, spec) for k in there}
        )

    def __len__(self) -> int:
        return self.spec.num

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.spec.fps

    @property
    def frames(self) -> int:
        """Of each clip."""
        return self.spec.frames

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)``."""
        return self.spec.size

    @property
    def labels(self) -> tuple[str, ...]:
        """Each clip's action, in its prompt's words."""
        actions = [action_of(prompt) for prompt in self.spec.prompts]
        return tuple(actions[i % len(actions)] for i in range(self.spec.num))

    @property
    def fingerprint(self) -> str:
        """Equal iff the frames of the clips are, in order, at the same rate; however they were batched.

        Raises:
            InputError: the set is not complete.
        """
        self._check_complete()
        digests = [clip["digest"] for k in sorted(self._records) for clip in self._records[k]["clips"]]
        facts = json.dumps([self.fps, self.frames, *self.size, *digests[: self.spec.num]])
        return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()

    def missing(self) -> list[int]:
        """The batches that have no file yet."""
        return [k for k in range(self.spec.batches) if k not in self._records]

    @property
    def complete(self) -> bool:
        """Whether every batch is there."""
        return not self.missing()

    @property
    def made(self) -> int:
        """Clips in the files: what ``calls`` and ``seconds`` were spent on."""
        return len(self._records) * self.spec.batch

    @property
    def calls(self) -> dict[str, int]:
        """Calls of each expert, for ``micro_batch`` clips each."""
        return self._sums("calls")

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds in each expert, over all processes."""
        return self._sums("seconds")

    @property
    def decoding(self) -> float:
        """Seconds in the decoder."""
        return sum(record["decoding"] for record in self._records.values())

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """uint8 ``(n f H W 3)``, in order; n is ``size`` but in the last.

        Raises:
            InputError: the set is not complete, or a file is damaged.
        """
        return self._resized("frames", size)

    def latents_batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """float32 ``(n c f h w)``, in order.

        Raises:
            InputError: the set is not complete, or a file is damaged.
        """
        return self._resized("latents", size)

    def clip(self, index: int) -> np.ndarray:
        """uint8 ``(f H W 3)`` of one clip; ``jvid.media.write_video(path, clip, fps)`` plays it.

        Raises:
            InputError: there is no such clip, or not yet.
        """
        if not 0 <= index < len(self):
            raise InputError(f"clip {index}: expected 0 to {len(self) - 1}")
        batch, row = divmod(index, self.spec.batch)
        if batch not in self._records:
            raise InputError(f"clip {index} is not made yet: {self._what_is_missing()}")
        return read_tensor(self.folder, batch, "frames", self._records[batch])[row]

    def _resized(self, name: str, size: int) -> Iterator[np.ndarray]:
        if size < 1:
            raise InputError(f"batches of {size}: expected 1 or more")
        self._check_complete()
        held: list[np.ndarray] = []
        for k in range(self.spec.batches):
            rows = read_tensor(self.folder, k, name, self._records[k])
            rows = rows[: self.spec.num - k * self.spec.batch]
            while len(rows):
                room = size - sum(map(len, held))
                held.append(rows[:room])
                rows = rows[room:]
                if sum(map(len, held)) == size:
                    yield np.concatenate(held)
                    held = []
        if held:
            yield np.concatenate(held)

    def _sums(self, kind: str) -> dict[str, Any]:
        sums: dict[str, Any] = {}
        for record in self._records.values():
            for name, value in record[kind].items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def _check_complete(self) -> None:
        if not self.complete:
            raise InputError(self._what_is_missing())

    def _what_is_missing(self) -> str:
        return (
            f"{self.folder} lacks {len(self.missing())} of its {self.spec.batches} batches: "
            "the same jvid generate goes on with it"
        )
