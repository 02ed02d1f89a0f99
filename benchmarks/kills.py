"""A run that is killed again and again at random moments: ``python -m benchmarks.kills [--kills 25] [--changes 10] [--seed 0]``.

    life      one start of `jvid train`, by itself or by torchrun (gloo), until SIGKILL ends one of its processes or all at once
    moment    in one life of five any time from its start on, else within one of the dozen steps after the first
    change    the next life has another number of processes, one or two

A last life goes to the end. It is compared with a run by one process that was never killed. Each process notes the samples that
its steps consume, by their places and the CRC-32 of their tensors, as they are consumed. The command fails, with what was found,
where

    a checkpoint that is visible after a kill cannot be read, or the next life does not begin at the last one
    of the steps that the final weights consist of, a sample is repeated, missed, or another than that of the run never killed
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from safetensors.torch import load_file

from jvid_models.text import EmbeddingTable
from jvid_training.data.manifest import Manifest, key_of, save_manifest
from jvid_training.data.sequences import Sequence as Encoded
from jvid_training.data.sequences import Sequences
from jvid_training.data.shards import RowWriter
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.checkpoints import checkpoints, read_tensors, verify

ACTIONS, FRAMES, BATCH = ("run", "sit", "walk"), 24, 4
CHECKPOINT_EVERY = 4
_SECONDS = 600.0
"""The longest that a process is waited for."""


class KillsError(Exception):
    """A run that did not survive."""


def recipe_of(folder: Path, out: str, steps: int, workers: int = 0) -> Recipe:
    """A small image network on small latents."""
    network = {"channels": [32, 64], "layers": 1, "groups": 8, "head_width": 16, "text_width": 16}
    return structure_recipe({
        "name": out, "kind": "image", "out": str(folder / out), "network": network,
        "data": {"root": "-", "latents": str(folder / "latents"), "frames": 8},
        "text": {"name": "table", "options": {"path": str(folder / "prompts.safetensors")}},
        "training": {
            "steps": steps, "batch": BATCH, "checkpoint_every": CHECKPOINT_EVERY, "log_every": 1, "threads": 1,
            "workers": workers, "trackers": [], "divergence": 0.0,
        },
    })  # fmt: skip


def make_data(folder: Path, recipe: Recipe) -> None:
    """Latents of random numbers, and random embeddings of their prompts."""
    latents, values = folder / "latents", np.random.default_rng(0)
    latents.mkdir()
    writer = RowWriter(latents / "shard-00000.latents.safetensors", np.float32, (4, 4, 4))
    rows = []
    for number, action in enumerate(ACTIONS):
        writer.append(values.standard_normal((FRAMES, 4, 4, 4), np.float32))
        rows.append(Encoded(f"{action}.avi", action, "ann", 0, False, FRAMES * number, FRAMES, "shard-00000"))
    head: dict[str, Any] = {
        "mean": (0.0,) * 4, "std": (1.0,) * 4, "skipped": {}, "fps": 10.0, "frames": 8, "holdout": (),
        "shards": {"shard-00000.latents": writer.close()},
    }  # fmt: skip
    save_manifest(
        latents, Manifest(key=key_of(recipe.data, recipe.codec), sequences=Sequences.of(rows), **head)
    )
    prompts = ["", *(f"{prefix} {action}" for action in ACTIONS for prefix in recipe.data.prefixes)]
    table = torch.from_numpy(values.standard_normal((len(prompts), 3, 16), np.float32))
    EmbeddingTable(prompts, table).save(folder / "prompts.safetensors")


def work(folder: Path, out: str, steps: int, workers: int, notes: Path) -> None:
    """One process of a life: `jvid train`, and a file of what its steps consume."""
    from jvid_training.train.batches import Batches
    from jvid_training.train.trainer import _Run, train

    rank = int(os.environ.get("RANK", "0"))
    handle = os.open(notes / f"{rank}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(**values: Any) -> None:
        os.write(handle, (json.dumps(values) + "\n").encode())  # what is written outlives the process

    parts, one_step, loop = Batches.parts, _Run._one_step, _Run.loop

    def noted_parts(self: Batches, step: int) -> Iterator[dict[str, torch.Tensor]]:
        places = iter(self.places())
        for batch in parts(self, step):
            for row in range(len(batch["x"])):
                sums = [zlib.crc32(batch[name][row].numpy().tobytes()) for name in sorted(batch)]
                note(step=step, place=next(places), sums=sums)
            yield batch

    def noted_step(self: _Run) -> float | None:
        step, loss = self.step, one_step(self)
        note(done=step)
        return loss

    def noted_loop(self: _Run, stop: Any) -> int | None:
        note(begin=self.step)
        return loop(self, stop)

    for cls, name, noted in (
        (Batches, "parts", noted_parts),
        (_Run, "_one_step", noted_step),
        (_Run, "loop", noted_loop),
    ):
        setattr(cls, name, noted)
    note(pid=os.getpid())
    train(recipe_of(folder, out, steps, workers))


@attrs.frozen
class Life:
    """What the processes of one life have noted."""

    notes: Path
    world: int

    def lines(self) -> list[list[dict[str, Any]]]:
        """Of each process; a line that was being written is left out."""
        found = []
        for rank in range(self.world):
            path = self.notes / f"{rank}.jsonl"
            text = path.read_text() if path.exists() else ""
            found.append([json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")])
        return found

    def all_of(self, name: str) -> list[list[int]]:
        """The values of a name, of each process."""
        return [[line[name] for line in lines if name in line] for lines in self.lines()]

    @property
    def begin(self) -> int | None:
        """The step that it began at; None where it came to none."""
        begins = {value for values in self.all_of("begin") for value in values}
        if len(begins) > 1:
            raise KillsError(f"processes of one life began at steps {sorted(begins)}")
        return begins.pop() if begins else None

    def samples(self, first: int, last: int) -> dict[int, Counter[tuple[int, tuple[int, ...]]]]:
        """Of each step from ``first`` to before ``last``, the places and checksums of what was consumed."""
        found: dict[int, Counter[tuple[int, tuple[int, ...]]]] = {
            step: Counter() for step in range(first, last)
        }
        for line in itertools.chain(*self.lines()):
            if "place" in line and first <= line["step"] < last:
                found[line["step"]][line["place"], tuple(line["sums"])] += 1
        return found


def start(folder: Path, out: str, steps: int, world: int, workers: int, number: int) -> tuple[Any, Life]:
    """Begin a life, in a process group of its own."""
    notes = folder / "notes" / f"{out}-{number}"
    notes.mkdir(parents=True)
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
    )
    command = [sys.executable, *launcher, "-m", "benchmarks.kills", "--work", str(folder), out, str(steps), str(workers),
               str(notes)]  # fmt: skip
    log = (folder / "output.txt").open("a")
    process = subprocess.Popen(
        command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    log.close()
    return process, Life(notes, world)


def wait_for(process: Any, ready: Any) -> bool:
    """Wait until something is so, or the process has ended; whether it is."""
    until = time.monotonic() + _SECONDS
    while not ready() and process.poll() is None:
        if time.monotonic() > until:
            raise KillsError("nothing happened for ten minutes")
        time.sleep(0.02)
    return bool(ready())


def kill(process: Any, life: Life, moment: random.Random) -> str:
    """End one process of a life or all, at a random moment; what was done."""
    early = moment.random() < 0.2
    if early:
        time.sleep(moment.uniform(0, 15))
    else:
        steps = moment.randrange(1, 3 * CHECKPOINT_EVERY)
        began = time.monotonic()
        wait_for(process, lambda: all(len(done) >= steps for done in life.all_of("done")))
        time.sleep(moment.uniform(0, min((time.monotonic() - began) / steps, 3.0)))
    pids = [pid for values in life.all_of("pid") for pid in values]
    one = life.world > 1 and len(pids) == life.world and moment.random() < 0.5
    if process.poll() is not None:
        raise KillsError("the run ended before it was killed: give it more --steps, or see what it printed")
    if one:
        os.kill(moment.choice(pids), signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        for pid in pids:  # torchrun starts each process in a session of its own
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
    process.wait(_SECONDS)
    wait_for(process, lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    return ("one process" if one else "all processes") + (
        ", before its first step" if early and life.begin is None else ""
    )


def check_checkpoints(out: Path) -> int:
    """Read every checkpoint that is there; returns the step of the last one."""
    found = checkpoints(out)
    for path in found:
        verify(path, "checkpoint", "nothing")
        read_tensors(path)
    return int(found[-1].name.rpartition("-")[2]) if found else 0


def compare(lives: Sequence[Life], reference: Life, steps: int) -> int:
    """Compare what the final weights consist of with the run that was never killed; returns the number of samples."""
    started = [(life, first) for life in lives if (first := life.begin) is not None]
    ends = [first for _, first in started[1:]] + [steps]
    expected, compared, at = reference.samples(0, steps), 0, 0
    for (life, first), last in zip(started, ends, strict=True):
        if first != at or last < first:
            raise KillsError(f"a life began at step {first}, expected {at}")
        if any(set(range(first, last)) - set(done) for done in life.all_of("done")):
            raise KillsError(
                f"steps {first} to {last} were not all made in the life whose checkpoint has them"
            )
        for step, samples in life.samples(first, last).items():
            if samples != expected[step]:
                raise KillsError(f"step {step}: consumed {samples}, expected {expected[step]}")
            if sorted(place for place, _ in samples.elements()) != list(range(BATCH)):
                raise KillsError(f"step {step}: places {sorted(samples)}, expected each once")
            compared += samples.total()
        at = last
    return compared


def worlds_of(kills: int, changes: int, moment: random.Random) -> list[int]:
    """The number of processes of each life, the last one among them, which changes so many times."""
    changed = set(moment.sample(range(1, kills + 1), changes))
    found = [1]
    for number in range(1, kills + 1):
        found.append(3 - found[-1] if number in changed else found[-1])
    return found


def run(folder: Path, kills: int, changes: int, steps: int, seed: int) -> dict[str, Any]:
    """Kill a run, and compare it."""
    moment = random.Random(seed)
    make_data(folder, recipe_of(folder, "killed", steps))
    lives: list[Life] = []
    count: Counter[str] = Counter()
    worlds = worlds_of(kills, changes, moment)
    for number, world in enumerate(worlds):
        process, life = start(folder, "killed", steps, world, moment.choice((0, 1)), number)
        lives.append(life)
        if number < kills:
            how = kill(process, life, moment)
            count[how] += 1
        else:
            how = f"to its end, exit code {process.wait(_SECONDS)}"
            if process.returncode:
                raise KillsError(f"the last life failed: {(folder / 'output.txt').read_text()[-2000:]}")
        last = check_checkpoints(folder / "killed")
        started = [each.begin for each in lives if each.begin is not None]
        print(
            f"life {number + 1}: {world} of torchrun" if world > 1 else f"life {number + 1}: 1 process",
            end="",
        )
        print(f", from step {life.begin}, {how}; last checkpoint {last}", flush=True)
        if started and last < started[-1]:
            raise KillsError(f"the last checkpoint is of step {last}, and a life began at {started[-1]}")
    process, reference = start(folder, "whole", steps, 1, 0, 0)
    if process.wait(_SECONDS):
        raise KillsError(f"the reference failed: {(folder / 'output.txt').read_text()[-2000:]}")
    if "damaged" in (printed := (folder / "output.txt").read_text()):
        raise KillsError(f"a checkpoint was damaged: {printed[-2000:]}")
    samples = compare(lives, reference, steps)
    one, other = (load_file(folder / out / "final" / "model.safetensors") for out in ("killed", "whole"))
    weights = max(float((one[name] - other[name]).abs().max()) for name in one)
    losses = [
        [entry["loss"] for entry in json.loads((folder / out / "final" / "run.json").read_text())["curve"]]
        for out in ("killed", "whole")
    ]
    if len(losses[0]) != len(losses[1]):
        raise KillsError(f"{len(losses[0])} losses in the log, expected {len(losses[1])}")
    return {
        "kills": dict(count),
        "changes": sum(one != other for one, other in itertools.pairwise(worlds)),
        "steps": steps,
        "samples": samples,
        "largest difference of a loss": float(np.abs(np.subtract(*losses)).max()),
        "largest difference of a weight": weights,
    }


def main() -> int:
    """Run it, or one process of it."""
    if sys.argv[1:2] == ["--work"]:
        folder, out, steps, workers, notes = sys.argv[2:]
        work(Path(folder), out, int(steps), int(workers), Path(notes))
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--changes", type=int, default=10, help="of the number of processes")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jvid-kills-") as folder:
        try:
            found = run(Path(folder), given.kills, given.changes, given.steps, given.seed)
        except KillsError as error:
            print(f"FAILED: {error}")
            return 1
    print(json.dumps(found, indent=1))
    print("every checkpoint was readable; each sample was consumed once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
