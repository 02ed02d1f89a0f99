"""Workers on this machine, to whom batches are handed out one by one; see `jvid_training.jobs.pool`.

    to a worker    the number of a batch
    from it        {"ready"}, {"part": of the batch at hand} or {"done"}

A worker that is stopped or killed leaves no half file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from jvid.errors import JvidError
from jvid_training.generation.spec import Spec
from jvid_training.generation.watch import Watch
from jvid_training.jobs.pool import Ended, Pool, Worker
from jvid_training.jobs.ranks import device_of

__all__ = ["hand_out", "make_batches"]


def hand_out(
    folder: Path, spec: Spec, missing: Sequence[int], processes: int, watch: Watch, offload: str | None = None
) -> None:
    """Have ``processes`` workers make the missing batches.

    When a worker dies or cannot go on, no more batches are handed out; the others finish what they have at hand.

    Raises:
        JvidError: the error of the first such worker, or how it died.
    """
    waiting, busy = deque(missing), set(range(processes))
    failed: JvidError | None = None
    arguments = [
        {"folder": str(folder), "device": device_of(spec.device, number), "offload": offload}
        for number in range(processes)
    ]
    with Pool(f"{__name__}:{make_batches.__name__}", arguments) as pool:
        for number, event in pool:
            if isinstance(event, Ended):
                if number in busy and failed is None:
                    failed = event.error or JvidError(
                        f"process {number + 1} of {processes} died ({event}): finished batches stay, the same command goes on"
                    )
            elif "part" in event:
                watch.step(number, event["part"])
            else:
                if "done" in event:
                    watch.finished(number)
                if waiting and failed is None:
                    pool.send(number, waiting.popleft())
                else:
                    busy.discard(number)
                    pool.end(number)
    if failed is not None:
        raise failed


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
