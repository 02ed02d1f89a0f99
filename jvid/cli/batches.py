"""Which clips of a run are computed together: as many as ``--batch`` says, as ``--memory`` allows, or as a file tells.

With real networks a clip's last bits depend on the batch that it is computed in. So a file tells of its clips' batches in
full, and ``--again`` computes those: one clip of a batch of six costs six, and is the same bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from jvid.cli.story import Clip, Together
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.cli.story import Story
    from jvid.memory import Bound

__all__ = ["Batch", "Batching", "Memory"]

Batch = Annotated[
    str | None,
    typer.Option("--batch", metavar="N|auto", help="Clips computed at once; auto: as many as fit in --memory (default)."),
]  # fmt: skip
Memory = Annotated[
    str | None,
    typer.Option("--memory", metavar="2GB|.5", help="Bound for the process, or share of what is free (default: .5)."),
]  # fmt: skip


@attrs.frozen
class Batching:
    """How clips become batches: of ``size``; as ``repeated`` tells; or, with neither, as many as ``bound`` allows.

    ``bound`` None is half of what is free, and is not looked at for a single clip.
    """

    size: int | None = None
    bound: Bound | None = None
    repeated: tuple[Together, ...] = ()

    @classmethod
    def parse(cls, batch: str | None, memory: str | None, story: Story | None = None) -> Batching:
        """From the options; where they say nothing, the clips of ``story`` are computed as they were.

        Raises:
            InputError: an option of another form, or a bound for a batch whose size is said.
        """
        from jvid.memory import Bound

        size = None
        if batch not in (None, "auto"):
            assert batch is not None  # for mypy
            if not (batch.isascii() and batch.isdigit() and int(batch) > 0):
                raise InputError(f"--batch {batch!r}: expected a number of clips, 1 or more, or auto")
            size = int(batch)
        if memory is not None:
            if size is not None:
                raise InputError(f"--memory beside --batch {size}: the batch is said, leave one out")
            try:
                return cls(bound=Bound.parse(memory))
            except InputError as error:
                raise InputError(f"--{error}") from error
        if batch is None and story is not None:
            # An older file tells of no batches: they were of one clip.
            return cls(repeated=story.batches) if story.batches else cls(1)
        return cls(size)

    def together(
        self, clips: Sequence[Clip], measure: Callable[[], int], device: str
    ) -> tuple[Together, ...]:
        """The batches, in the order of the clips.

        Args:
            clips: to make.
            measure: gives the bytes that a clip takes; called only where the answer is needed.
            device: of the latents.

        Raises:
            InputError: a bound that holds not even one clip.
        """
        from jvid.batching import even

        if self.repeated:
            return self.repeated
        if self.size is not None:
            starts = range(0, len(clips), self.size)
            return tuple(Together.whole(clips[start : start + self.size]) for start in starts)
        largest = 1 if len(clips) == 1 and self.bound is None else self._largest(measure, device)
        found, start = [], 0
        for size in even(len(clips), largest):
            found.append(Together.whole(clips[start : start + size]))
            start += size
        return tuple(found)

    def _largest(self, measure: Callable[[], int], device: str) -> int:
        from jvid.batching import at_most
        from jvid.memory import Bound, free_bytes, held_bytes, shown

        bound = self.bound or Bound()
        clip = measure()
        held = held_bytes(device)
        room = bound.room(free_bytes(device), held)
        most = at_most(room, clip)
        if most < 1 and bound.total is not None:
            raise InputError(
                f"--memory of {shown(bound.total)}: {shown(held)} are taken already and a clip takes {shown(clip)}; "
                f"expected at least {shown(held + clip)}"
            )
        if sys.stderr.isatty():
            word = "clip" if most <= 1 else "clips"
            told = (
                f"at most {max(1, most)} {word} at once: one takes {shown(clip)}, {shown(room)} may be taken"
            )
            typer.echo(f"jvid: {told}", err=True)
        return max(1, most)
