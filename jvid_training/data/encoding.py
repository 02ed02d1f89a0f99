"""`jvid encode`: the latents of a recipe, by one process, by workers of this machine, or by the processes of one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jvid
from jvid.errors import InputError
from jvid.machine.device import prepare
from jvid_models.paths import below_shared
from jvid_training.data.blocks import Alone, BlockEncoder
from jvid_training.data.checks import check_size
from jvid_training.data.encoder import encoder_of
from jvid_training.data.latents import encode
from jvid_training.data.manifest import Manifest
from jvid_training.data.workers import EncodingWorkers
from jvid_training.jobs.ranks import device_of, ranks
from jvid_training.jobs.together import together
from jvid_training.recipe import Recipe

__all__ = ["encode_recipe"]


def encode_recipe(
    recipe: Recipe,
    workers: int = 1,
    device: str = "cpu",
    batch: int | None = None,
    advance: Callable[[int, int, str], None] = lambda done, total, clip: None,
) -> Manifest:
    """Encode the clips of a recipe, or go on with them; under torchrun all processes call it with the same arguments.

    Args:
        recipe: with its data and codec.
        workers: processes of this machine for each process of the job; 1 encodes in the process itself.
        device: such as "cuda"; processes of one machine take its GPUs in turn.
        batch: frames that the autoencoder gets at a time; the codec's ``chunk`` if None, or 32 on a GPU where that is 1.
        advance: called in the main process with the numbers of finished and of all clips, and the last one's name.

    Raises:
        InputError: as `jvid_training.data.latents.encode`, and a codec that does not fit the frames.
        JvidError: a worker died, or another process of the job has ended. What is finished stays.
    """
    if workers < 1:
        raise InputError(f"--workers {workers}: expected 1 or more")
    with ranks(device) as job, together(job):
        own = device_of(device, job.local)
        prepare(own)
        codec: Any = jvid.load("codec", recipe.codec.name, **recipe.codec.options)
        check_size(recipe.data, codec)
        encoder = encoder_of(codec, "cpu" if workers > 1 else own, batch)
        through: BlockEncoder = Alone(encoder)
        if workers > 1:
            through = EncodingWorkers(workers, recipe.codec, device, batch, job.local * workers)
        quiet = (lambda done, total, clip: None) if job.rank else advance
        return encode(recipe.data, recipe.codec, below_shared(recipe.data.root), through, quiet, job)
