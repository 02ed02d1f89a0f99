"""Data at scale: a manifest of 200,000 clips, and samples beside what the networks consume.

The paper's LIDM at 64x64 took 100,000 steps of 1,024 frames in 70 GPU-hours: 406 frames a second on each GPU, and so in each
process. What a loader must make is stated against that rate, and against the small networks of this machine, both sides in turn.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.ratios import claim, interleaved, threads
from jvid_models.text import EmbeddingTable
from jvid_training.data.loading import Share
from jvid_training.data.manifest import Manifest, save_manifest
from jvid_training.data.sequences import Sequence, Sequences
from jvid_training.data.shards import RowWriter, Shards
from jvid_training.data.streams import generator
from jvid_training.data.windows import Windows
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.networks import accelerated, build_network
from jvid_training.train.objectives import objective_of

CLIPS = 200_000
FRAMES = 70
PAPERS_RATE = 100_000 * 1024 / (70 * 3600)
"""Frames a second on a GPU."""


def described() -> Iterator[Sequence]:
    """As many clips with captions and attributes as a large data set has, 64 in a shard."""
    for k in range(CLIPS):
        yield Sequence(
            f"part-{k % 200:04d}/a-rather-usual-name-of-a-clip-{k:07d}.mp4", f"class {k % 101}", f"g{k % 25:02d}", 0, False,
            FRAMES * (k % 64), FRAMES, f"shard-{k // 64:05d}",
            (f"a person does something of kind {k % 1009} in a place of kind {k % 997}",), {"source": "web", "k": k},
        )  # fmt: skip


def make_manifest(folder: Path) -> None:
    sequences = Sequences.of(described())
    shards = {
        f"{name}.{kind}": "0" * 64 for name in sequences.names["shard"] for kind in ("latents", "frames")
    }
    save_as_manifest(folder, shards, sequences, holdout=("g24",))


def save_as_manifest(
    folder: Path, shards: dict[str, str], sequences: Sequences, holdout: tuple[str, ...] = ()
) -> None:
    mean, std = (0.0,) * 4, (1.0,) * 4
    save_manifest(
        folder,
        Manifest(
            key={},
            mean=mean,
            std=std,
            skipped={},
            fps=10.0,
            frames=16,
            holdout=holdout,
            shards=shards,
            sequences=sequences,
        ),
    )


def resident() -> int:
    """Bytes of this process in memory that are its own."""
    fields = dict(
        line.split(":", 1)
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
        if ":" in line
    )
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) * 1024


def test_a_manifest_of_200_000_clips(benchmark: Any, tmp_path: Path) -> None:
    make_manifest(tmp_path)
    gc.collect()
    before, began = resident(), time.process_time()
    windows = Windows(tmp_path)
    drawn = [windows.draw(generator(0, 0, place)) for place in range(1000)]
    seconds = time.process_time() - began
    grown = resident() - before
    assert len(windows) == (FRAMES - 15) * sum(k % 25 != 24 for k in range(CLIPS))
    assert len({window.sequence.clip for window in drawn}) > 950
    benchmark.pedantic(lambda: Windows(tmp_path), rounds=1)
    claim(
        benchmark,
        "5 s",
        f"{seconds:.2f} s",
        seconds / 5,
        1.0,
        least=False,
        figure="processor time to open 200,000 clips",
    )
    claim(
        benchmark,
        "0.2 GB",
        f"{grown / 1e9:.3f} GB",
        grown / 0.2e9,
        1.0,
        least=False,
        figure="memory of 200,000 clips",
    )


def test_files_that_are_open(benchmark: Any, tmp_path: Path) -> None:
    for number in range(300):
        writer = RowWriter(tmp_path / f"s{number}.latents.safetensors", np.float32, (4, 8, 8))
        writer.append(np.zeros((4, 4, 8, 8), np.float32))
        writer.close()
    shards = Shards(tmp_path)
    before = len(os.listdir("/proc/self/fd"))

    def read() -> None:
        for number in range(300):
            shards.read(f"s{number}", "latents", 0, 1)

    benchmark.pedantic(read, rounds=1)
    grown = len(os.listdir("/proc/self/fd")) - before
    claim(benchmark, "300 shards", f"{grown} open", grown / 64, 1.0, least=False, figure="open files")


def recipe_of(folder: Path, kind: str, network: dict[str, Any]) -> Recipe:
    return structure_recipe({
        "name": kind, "kind": kind, "out": "", "network": network,
        "data": {"root": "", "latents": str(folder)}, "training": {"steps": 1, "batch": 1024, "stratified": False},
    })  # fmt: skip


def make_rows(folder: Path, shards_of: int = 150, clips: int = 4) -> None:
    """Latents at 64x64 of 101 classes in as many shards as UCF-101's training list has, more than are open at a time."""
    random = np.random.default_rng(0)
    sequences, shards = [], {}
    for shard in range(shards_of):
        name = f"shard-{shard:05d}"
        writer = RowWriter(folder / f"{name}.latents.safetensors", np.float32, (4, 8, 8))
        for k in range(clips):
            writer.append(random.standard_normal((FRAMES, 4, 8, 8), np.float32))
            clip = f"Class{(clips * shard + k) % 101}"
            sequences.append(
                Sequence(f"{clip}/{shard}-{k}.avi", clip, "g08", 0, False, FRAMES * k, FRAMES, name)
            )
        shards[f"{name}.latents"] = writer.close()
    save_as_manifest(folder, shards, Sequences.of(sequences))


def _in_a_row(share: Share, batch: int, rounds: int = 5, batches: int = 40) -> float:
    """Processor seconds of a sample in a process that does nothing but load: a network in between empties its caches."""
    seconds = []
    for turn in range(rounds):
        began = time.process_time()
        for step in range(batches):
            share(1001 + turn * batches + step, 0)
        seconds.append((time.process_time() - began) / (batches * batch))
    return statistics.median(seconds)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_samples_beside_the_networks(benchmark: Any, tmp_path: Path, kind: str) -> None:
    make_rows(tmp_path)
    network: dict[str, Any] = {"channels": [64, 128], "layers": 1, "head_width": 32, "text_width": 768}
    recipe, source = recipe_of(tmp_path, kind, network), Windows(tmp_path)
    prompts = ["", *(f"{prefix} class {k}" for prefix in recipe.data.prefixes for k in range(101))]
    text = EmbeddingTable(prompts, torch.randn(len(prompts), 77, 768))
    objective: Any = objective_of(recipe, text, torch.device("cpu"))
    batch = 64 if kind == "image" else 4
    share = Share(objective, source, 0, batch)
    with threads(1):
        module = accelerated(build_network(recipe))

        def train_step() -> None:
            objective.loss(module, share(0, 0)).mean().backward()

        steps = iter(range(1000))
        seconds = interleaved(
            {"loading": lambda: share(next(steps), 0), "training": train_step}, clock=time.process_time
        )
        benchmark.pedantic(lambda: share(1000, 0), rounds=1)
    loading, network_seconds = (seconds[side] / batch for side in ("loading", "training"))
    claim(
        benchmark, f"{network_seconds * 1e3:.1f} ms", f"{loading * 1e6:.0f} us", network_seconds / loading, 20,
        figure=f"a sample of the small {kind} network's step over its loading",
    )  # fmt: skip
    if kind == "image":
        rate = 1 / _in_a_row(share, batch)
        claim(
            benchmark, f"{PAPERS_RATE:.0f}/s", f"{rate:.0f}/s", rate / PAPERS_RATE, 20,
            figure="samples of one loading process over a GPU of the paper's LIDM at 64x64",
            remarks="training.workers multiplies it",
        )  # fmt: skip
