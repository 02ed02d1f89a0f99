"""Blocks of clips, encoded by processes of this machine; each loads the codec itself, and takes its GPUs in turn.

    to a worker    a block: its number and its files
    from it        {"ready"}, the name of each clip that it has finished, and {"done"} at the end of a block

A worker that is stopped or killed leaves no half block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs

from jvid.machine.cores import usable_cores
from jvid_training.data.blocks import Block, encode_block
from jvid_training.data.clips import ClipFile
from jvid_training.jobs.pool import Pool, Worker
from jvid_training.jobs.ranks import device_of
from jvid_training.recipe import CodecChoice, Data

__all__ = ["EncodingWorkers", "encode_tasks"]


@attrs.frozen
class EncodingWorkers:
    """Encodes blocks in processes of their own.

    Attributes:
        count: of processes, at most as many as there are blocks.
        codec: that each of them loads.
        device: where each encodes; GPUs are taken in turn.
        batch: frames that the autoencoder gets at a time.
        first: number of the first process among all those that share the GPUs of this machine.
    """

    count: int
    codec: CodecChoice
    device: str = "cpu"
    batch: int | None = None
    first: int = 0

    def encode_blocks(
        self, blocks: Iterable[Block], data: Data, folder: Path, finished: Callable[[str], None]
    ) -> None:
        """Encode all blocks.

        Raises:
            JvidError: as `Pool.hand_out`. What is finished stays.
        """
        tasks = [_plain(block) for block in blocks]
        count = min(self.count, len(tasks))
        shared = {
            "data": cattrs.unstructure(data),
            "codec": cattrs.unstructure(self.codec),
            "folder": str(folder),
            "batch": self.batch,
            "threads": max(1, usable_cores() // self.count),
        }
        each = [{**shared, "device": device_of(self.device, self.first + number)} for number in range(count)]

        def received(number: int, message: Mapping[str, Any]) -> None:
            if "clip" in message:
                finished(message["clip"])

        with Pool(f"{__name__}:{encode_tasks.__name__}", each) as pool:
            pool.hand_out(tasks, received, "finished shards")


def _plain(block: Block) -> dict[str, Any]:
    return {"number": block.number, "files": [cattrs.unstructure(file) for file in block.files]}


def encode_tasks(
    worker: Worker,
    data: dict[str, Any],
    codec: dict[str, Any],
    folder: str,
    device: str,
    batch: int | None,
    threads: int,
) -> None:
    """Encode the blocks that come in."""
    import jvid
    from jvid.machine.device import prepare
    from jvid_training.data.encoder import encoder_of
    from jvid_training.jobs.locks import Lock

    settings = cattrs.structure(data, Data)
    chosen = cattrs.structure(codec, CodecChoice)
    prepare(device, threads)
    with Lock(Path(folder), alone=False):
        encoder = encoder_of(jvid.load("codec", chosen.name, **chosen.options), device, batch)
        worker.send(ready=True)
        while True:
            task = worker.task()
            block = Block(task["number"], tuple(cattrs.structure(file, ClipFile) for file in task["files"]))
            encode_block(block, settings, encoder, Path(folder), lambda clip: worker.send(clip=clip))
            worker.send(done=True)
