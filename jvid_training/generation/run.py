"""A run of ``generate``: what is missing is made, by this process, by its workers, or by the processes of one job.

alone              the batches without a file, in order
processes=K        the same list, handed out batch by batch to K workers of this machine
accelerate launch  the main process makes the list and broadcasts it; of n processes the r-th takes every n-th from the r-th
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, JvidError
from jvid.files import clean, make_folder, write_json
from jvid.limits import MOST_BATCHES, check_most
from jvid_training.generation.files import finished, read_record
from jvid_training.generation.sets import ClipSet
from jvid_training.generation.spec import NAME, Spec
from jvid_training.generation.watch import ProgressCallback, Watch
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.ranks import Ranks, computing, device_of, ranks

if TYPE_CHECKING:
    from jvid.ensemble.ensemble import Ensemble
    from jvid.ensemble.source import Source
    from jvid.strategy.strategy import Strategy

__all__ = ["generate", "locked_set", "recommended", "usual_prompts"]

_BATCH = 8
_BEGINS = "A person "


def generate(
    folder: str | Path,
    *,
    num: int,
    ensemble: Source | str = "actions-64",
    strategy: Strategy | Callable[[Ensemble], Strategy] | None = None,
    prompts: Sequence[str] | None = None,
    seed: int = 0,
    batch: int | None = None,
    micro_batch: int | None = None,
    threads: int = 1,
    processes: int = 1,
    frames: int | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    offload: str | None = None,
    loaded: Ensemble | None = None,
    progress: ProgressCallback = lambda progress: None,
) -> ClipSet:
    """Make ``num`` clips into ``folder``, or go on with them; returns the complete set.

    Under ``accelerate launch`` or torchrun all processes call it with the same arguments.

    Args:
        folder: of the set; made if need be.
        num: of clips; may grow in a later run.
        ensemble: as on the command line, a name or a folder, or a source of experts.
        strategy: or what makes it of the loaded ensemble; the recommended one if None.
        prompts: in turn; None is every one of the ensemble that begins with "A person", or every one.
        seed: of the first clip; the next has the next.
        batch: clips of a file; the set's own if None, or as even as possible and at most 8. The last file is filled up.
        micro_batch: clips that the networks see at once; the set's own if None, or the batch.
        threads: of each process. A clip's last bits may depend on them.
        processes: workers on this machine, which load ``ensemble`` themselves.
        frames: of each clip; the set's own if None, or the ensemble's.
        dtype: of the networks.
        device: such as "cpu" or "cuda"; processes that share a machine take its GPUs in turn.
        offload: which weights are on the device, as of `Offload`: "plan", "none" or "sequential". Clips do not depend on it.
        loaded: the ensemble, where the caller has it already, of the same ``ensemble``, ``dtype`` and ``device``.
        progress: called in the main process after each step.

    Raises:
        InputError: arguments that do not fit each other or the set that is there, a folder that another run writes to or
            that is read-only, a full disk, a damaged file. What is finished stays.
        NonFiniteError: NaN or infinity, in the clips that the message names. The run ends: the set could never be whole.
        JvidError: a worker died. What is finished stays.
    """
    from jvid.pipeline.weights import check_mode, stays_on_host

    folder = Path(folder)
    check_mode(offload)
    check_most("num", num, _BATCH * MOST_BATCHES, "a set is of at most so many files")
    if processes < 1:
        raise InputError(f"processes {processes!r}: expected 1 or more")
    with ranks(device) as job, computing(threads, device):
        if job.world > 1 and processes > 1:
            raise InputError(f"processes {processes} in a job of {job.world}: leave one of them out")
        from jvid.ensemble.source import Source
        from jvid_training.generation.maker import maker_of

        own, source = device_of(device, job.local), Source.from_plain(ensemble)
        models: Ensemble = loaded or source.load(own, dtype, host=stays_on_host(offload))
        used = strategy(models) if callable(strategy) else strategy or recommended(models)

        def request(before: Spec | None) -> Spec:
            from jvid.pipeline.batches import check_latents_fit, even_batches
            from jvid.pipeline.record import versions
            from jvid_training.generation.ensembles import ensemble_fingerprint, frame_size, resumed

            clips = batch or (before.batch if before else even_batches(num, _BATCH)[0])
            together = before.micro_batch if before and before.batch == clips else clips
            latents = models.latents(frames or (before.frames if before else None))
            check_latents_fit(latents, own)
            spec = Spec(
                ensemble=source, ensemble_fingerprint=ensemble_fingerprint(models, source), strategy=used,
                prompts=tuple(prompts) if prompts else usual_prompts(models), num=num, seed=seed, batch=clips,
                micro_batch=micro_batch or together, threads=threads, dtype=dtype, device=device, latents=latents,
                frames=models.frames.frames(latents[1]), size=frame_size(models, own), fps=float(models.fps),
                versions=versions(), untested=models.untested,
            )  # fmt: skip
            return resumed(spec, before, models)

        with locked_set(folder, job, request) as (spec, missing):
            watch = Watch(spec, len(missing), progress if job.rank == 0 else lambda progress: None, job.world)
            if processes > 1 and missing:
                from jvid.ensemble.compose import Composition
                from jvid_training.generation.workers import hand_out

                Composition(spec.strategy, models).warn_of_unused_noise()  # once, and not in every worker
                hand_out(folder, spec, missing, min(processes, len(missing)), watch, offload)
            elif missing:
                with maker_of(spec, models, own, offload, quiet=job.rank > 0) as maker:
                    for k in missing[job.rank :: job.world]:
                        maker.write(folder, k, lambda part: watch.step(0, part))
                        watch.finished(0, len(finished(folder)) if job.world > 1 else None)
            job.wait()
    return ClipSet.open(folder)


@contextmanager
def locked_set(
    folder: Path, job: Ranks, request: Callable[[Spec | None], Spec]
) -> Iterator[tuple[Spec, list[int]]]:
    """Lock the folder and write its ``set.json``; gives the spec and the missing batches, in every process of the job."""
    with ExitStack() as held:
        settled: Any = None
        if job.rank == 0:
            try:
                lock = held.enter_context(Lock(make_folder(folder), alone=True))
                settled = _settled(folder, request)
                lock.share()
            except JvidError as error:
                settled = error
        settled = job.broadcast(settled)
        if isinstance(settled, JvidError):
            raise settled
        if job.rank:
            held.enter_context(Lock(folder, alone=False))
        yield settled


def _settled(folder: Path, request: Callable[[Spec | None], Spec]) -> tuple[Spec, list[int]]:
    """What the set is from now on, and its missing batches. No other process writes to the folder."""
    clean(folder, locked=True)
    there = finished(folder)
    before = Spec.load(folder) if there else None  # a request of which nothing was made is not kept
    spec = request(before)
    if before is not None:
        spec.check_resumes(before)
        for k in there:
            read_record(folder, k, spec)
    if spec != before:
        write_json(folder / NAME, spec.to_dict())
    return spec, sorted(set(range(spec.batches)) - set(there))


def usual_prompts(ensemble: Ensemble) -> tuple[str, ...]:
    """Those of an ensemble that begin with "A person", or every one.

    Raises:
        InputError: it knows none.
    """
    known = tuple(ensemble.prompts)
    if not known:
        raise InputError(
            f"ensemble {ensemble.name!r} takes any sentence: give at least one prompt (--prompt TEXT, --prompts FILE)"
        )
    return tuple(prompt for prompt in known if prompt.startswith(_BEGINS)) or known


def recommended(ensemble: Ensemble) -> Strategy:
    """The ensemble's strategy, or its experts in equal parts."""
    from jvid.strategy.simple import simple

    return ensemble.strategy or simple(ensemble.experts)
