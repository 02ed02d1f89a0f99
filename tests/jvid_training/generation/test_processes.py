"""Runs that are killed, and runs of several processes: the same bits as one that nobody disturbs."""

from __future__ import annotations

import fcntl
import itertools
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jvid.errors import InputError, JvidError
from jvid.strategy import Strategy
from jvid.strategy.shorthand import with_noise
from jvid_training.generation import ClipSet, generate
from jvid_training.jobs import pool
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.ranks import cpu_job
from tests.forks import Workers
from tests.generation_tools import content, stamps, tiny_ensemble
from tests.installed import fork
from tests.once import made_once

ROOT = Path(__file__).parents[3]
NUM, BATCH = 12, 2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return made_once(tmp_path_factory, "tiny-ensemble", tiny_ensemble)


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    return content(
        generate(tmp_path_factory.mktemp("sets") / "whole", num=NUM, ensemble=str(tiny), batch=BATCH)
    )


def command(tiny, folder, *more):
    return [
        "generate", "--ensemble", str(tiny), "-o", str(folder), "-n", str(NUM), "--batch", str(BATCH), *more
    ]  # fmt: skip


def free(folder):
    try:
        with Lock(folder, alone=True):
            return True
    except InputError:
        return False


def await_lock(folder):
    """Wait until no process holds the folder's lock."""
    with (folder / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def told_over(pipe, folder, ensemble):
    """A run whose every report of progress goes through a pipe: an event at which it may be killed."""
    generate(
        folder, num=NUM, ensemble=ensemble, batch=BATCH, progress=lambda progress: pipe.send(progress.clips)
    )


def test_a_run_killed_again_and_again_loses_nothing_and_makes_nothing_twice(tmp_path, tiny, undisturbed):
    folder = tmp_path / "set"
    forked = multiprocessing.get_context("fork")
    draw = random.Random(0)
    kept: dict[str, tuple[int, int]] = {}
    kills = 0
    while True:
        reports, reporting = forked.Pipe(duplex=False)
        process = forked.Process(target=told_over, args=(reporting, folder, str(tiny)))
        process.start()
        reporting.close()
        for _ in range(draw.randrange(15)):  # a batch has some five
            try:
                reports.recv()
            except EOFError:  # it has ended
                break
        process.kill()
        process.join()
        if folder.is_dir():
            now = stamps(folder)
            assert kept.items() <= now.items()  # nothing lost, nothing made again
            kept = now
            if now:
                ClipSet.open(folder)  # and every file is whole
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    assert len(kept) == NUM // BATCH
    assert content(ClipSet.open(folder)) == undisturbed
    assert not list(folder.glob("*.part*"))


@pytest.fixture
def workers(monkeypatch):
    """The workers of a pool, forked; those of ``test_pool.py`` are new interpreters."""
    forked = Workers()
    monkeypatch.setattr(pool, "_started", forked)
    return forked.started


def test_two_processes_make_the_same_bits(tmp_path, tiny, undisturbed, workers):
    stated = []
    made = generate(
        tmp_path / "workers", num=NUM, ensemble=str(tiny), batch=BATCH, processes=2, progress=stated.append
    )
    assert len(workers) == 2
    assert content(made) == undisturbed
    assert stated[-1].clips == NUM
    assert all(a.clips <= b.clips for a, b in itertools.pairwise(stated))


@pytest.mark.slow
def test_ranks_make_the_same_bits_and_report_once(tmp_path, tiny, undisturbed):
    """Two ranks of torchrun, three commands in a row: a set, another request for it, and noise that changes nothing."""
    unused = Strategy("piecewise-affine:t_v=.3,t_e=.9,p_e=.5,p_f=.5", "unipc", steps=2)
    with_noise(unused, "image", gamma=0.02).save(tmp_path / "unused.json")
    commands = [
        command(tiny, tmp_path / "ranks"),
        command(tiny, tmp_path / "ranks", "--seed", "1"),
        command(tiny, tmp_path / "unused", "--strategy", str(tmp_path / "unused.json")),
    ]
    words = [word for each in commands for word in ("--", *each)][1:]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    done = fork(*torchrun, "tests.several", *words)  # torchrun itself; its ranks are new interpreters
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"exit code \d", done.stdout)) == ["exit code 0"] * 4 + ["exit code 2"] * 2
    assert done.stdout.count(f"{NUM} clips") == 2  # of two sets
    assert content(ClipSet.open(tmp_path / "ranks")) == undisturbed
    # An error that the main process finds reaches both, and neither waits for ever.
    assert "jvid: error: the set was made by another request; seed: 0 then, 1 now" in done.stderr
    assert done.stderr.count("jvid: warning: noise of image") == 1


def waits_with_workers(folder, ensemble, reporting):
    """A run of two workers that stops for ever when a batch is finished; they inherit its end of the pipe."""

    def show(progress):
        if progress.clips > 4:  # more than both workers have at hand: a batch is finished
            reporting.send(progress.clips)
            signal.pause()  # its workers wait for it, or are at work

    generate(folder, num=NUM, ensemble=ensemble, batch=BATCH, processes=2, progress=show)


def test_a_killed_parent_takes_its_workers_along(tmp_path, tiny, undisturbed, workers):
    folder = tmp_path / "set"
    forked = multiprocessing.get_context("fork")
    reports, reporting = forked.Pipe(duplex=False)
    parent = forked.Process(target=waits_with_workers, args=(folder, str(tiny), reporting))
    parent.start()
    reporting.close()
    assert reports.recv() > 4
    with pytest.raises(InputError, match=r"another run \(process \d+\) is writing") as refused:
        generate(folder, num=NUM, ensemble=str(tiny), batch=BATCH)
    assert "\n" not in str(refused.value)
    parent.kill()
    parent.join()
    with pytest.raises(EOFError):  # when the last of its workers is gone
        reports.recv()
    await_lock(folder)  # a process that ends closes its files one after another
    kept = stamps(folder)
    assert 0 < len(kept) < NUM // BATCH
    made = generate(folder, num=NUM, ensemble=str(tiny), batch=BATCH)
    assert kept.items() <= stamps(folder).items()
    assert content(made) == undisturbed


def test_a_worker_that_dies_is_reported_and_the_other_ends_its_batch(tmp_path, tiny, undisturbed, workers):
    folder = tmp_path / "set"

    def kill(progress):
        if progress.clips > 0 and workers[0].poll() is None:
            os.kill(workers[0].pid, signal.SIGKILL)

    with pytest.raises(JvidError, match=r"process 1 of 2 died \(signal 9\): finished batches stay") as caught:
        generate(folder, num=NUM, ensemble=str(tiny), batch=BATCH, processes=2, progress=kill)
    assert "\n" not in str(caught.value)
    assert all(worker.poll() is not None for worker in workers)
    assert free(folder)
    kept = stamps(folder)
    assert len(kept) < NUM // BATCH
    assert content(generate(folder, num=NUM, ensemble=str(tiny), batch=BATCH)) == undisturbed
    assert kept.items() <= stamps(folder).items()


def test_what_a_worker_finds_wrong_is_reported_in_its_words(tmp_path, tiny, workers):
    with pytest.raises(InputError, match="'a cat'") as caught:
        generate(tmp_path / "set", num=4, ensemble=str(tiny), batch=2, prompts=["a cat"], processes=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["jvid_training.generation", "jvid_training.generation.cli"])
def test_what_the_command_imports_is_light(word):
    code = f"import sys, {word}; print([m for m in ('torch', 'diffusers', 'accelerate') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_processes_without_a_network_of_gpus_join_by_gloo(monkeypatch):
    """Else accelerate lets each of them make everything."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert [cpu_job(device) for device in ("cpu", "mps", "cuda", "cuda:1")] == [True, True, False, False]
    assert cpu_job() != torch.cuda.is_available()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not cpu_job("cpu")
