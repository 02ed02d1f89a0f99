"""Workers on this machine, to whom batches are handed out one by one; see `jvid_training.jobs.pool`.

    to a worker    the number of a batch
    from it        {"ready"}, {"part": of the batch at hand} or {"done"}

A worker that is stopped or killed leaves no half file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jvid_training.generation.spec import Spec
from jvid_training.generation.watch import Watch
from jvid_training.jobs.pool import Pool, Worker
from jvid_training.jobs.ranks import device_of

__all__ = ["hand_out", "make_batches"]


def hand_out(
    folder: Path, spec: Spec, missing: Sequence[int], processes: int, watch: Watch, offload: str | None = None
) -> None:
    """Have ``processes`` workers make the missing batches.

    Raises:
        JvidError: as `Pool.hand_out`.
    """
    arguments = [
        {"folder": str(folder), "device": device_of(spec.device, number), "offload": offload}
        for number in range(processes)
    ]

    def received(number: int, message: Mapping[str, Any]) -> None:
        if "part" in message:
            watch.step(number, message["part"])
        elif "done" in message:
            watch.finished(number)

    with Pool(f"{__name__}:{make_batches.__name__}", arguments) as pool:
        pool.hand_out(missing, received, "finished batches")


def make_batches(worker: Worker, folder: str, device: str, offload: str | None = None) -> None:
    """Make the batches whose numbers come in."""
    from jvid.pipeline.weights import stays_on_host
    from jvid_training.generation.maker import maker_of
    from jvid_training.jobs.locks import Lock
    from jvid_training.jobs.ranks import computing

    path = Path(folder)
    with Lock(path, alone=False):
        spec = Spec.load(path)
        with computing(spec.threads, device):
            ensemble = spec.ensemble.load(device, spec.dtype, host=stays_on_host(offload))
            with maker_of(
                spec, ensemble, device, offload, quiet=True
            ) as maker:  # the parent shows the warnings
                worker.send(ready=True)
                while True:
                    batch = worker.task()
                    maker.write(path, batch, lambda part: worker.send(part=part))
                    worker.send(done=batch)
