"""Tensors of a sharded run in a checkpoint: each process writes its part, any number of processes reads them.

    shard-00001-model-00001-of-00001.safetensors    the parts of process 0, with their offsets (torch.distributed.checkpoint)

The names are ``model.NAME``, ``ema.NAME`` and ``moments.NAME.KEY``. torch's own format keeps a pickled index, its writer of
safetensors does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from jvid.errors import InputError, MissingDependencyError

__all__ = ["averages_of", "begin_writing", "is_sharded", "moments_like", "read_shards", "stored_names"]


def is_sharded(path: Path) -> bool:
    """Whether a checkpoint holds parts of tensors."""
    return any(path.glob("shard-*.safetensors"))


def begin_writing(
    folder: Path, tensors: Mapping[str, Tensor], group: dist.ProcessGroup
) -> Callable[[], None]:
    """Copy this process's parts, and begin to write them; returns what waits until all processes have.

    Args:
        folder: that all processes see.
        tensors: sharded, or whole and the same in all processes: one writes those.
        group: of all processes, over the host's network.
    """
    storage, checkpoint = _library()
    writer = storage.HuggingFaceStorageWriter(str(folder), save_distributed=True)
    writing = checkpoint.async_save(dict(tensors), storage_writer=writer, process_group=group)

    def wait() -> None:
        with _plain_errors():
            writing.result()

    return wait


def stored_names(path: Path) -> dict[str, list[str]]:
    """The names of the tensors in a checkpoint, of ``model``, ``ema`` and ``moments``."""
    found: dict[str, list[str]] = {"model": [], "ema": [], "moments": []}
    for name in _described(path):
        group, _, own = name.partition(".")
        found[group].append(own)
    return found


def _described(path: Path) -> dict[str, Any]:
    storage, _ = _library()
    found: dict[str, Any] = storage.HuggingFaceStorageReader(str(path)).read_metadata().state_dict_metadata
    return found


def read_shards(path: Path, tensors: Mapping[str, Tensor], group: dist.ProcessGroup | None) -> None:
    """Fill tensors, however they are sharded, from a checkpoint; collective where there is a group."""
    storage, checkpoint = _library()
    reader = storage.HuggingFaceStorageReader(str(path))
    with _plain_errors():
        checkpoint.load(dict(tensors), storage_reader=reader, process_group=group, no_dist=group is None)


def averages_of(path: Path) -> dict[str, Tensor]:
    """The whole weights that a checkpoint would be exported with, in this process alone."""
    tensors = {
        name: torch.empty(each.size, dtype=each.properties.dtype)
        for name, each in _described(path).items()
        if name.startswith(("model.", "ema."))
    }
    read_shards(path, tensors, None)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}}
    for name, tensor in tensors.items():
        group, _, own = name.partition(".")
        parts[group][own] = tensor
    return {**parts["model"], **parts["ema"]}


def moments_like(path: Path, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Empty tensors for the moments in a checkpoint, sharded as the parameters are."""
    found: dict[str, Tensor] = {}
    for key in stored_names(path)["moments"]:
        owner, _, kind = key.rpartition(".")
        found[key] = torch.zeros(1) if kind == "step" else torch.zeros_like(parameters[owner].detach())
    return found


@contextmanager
def _plain_errors() -> Iterator[None]:
    """The error of one process, in place of torch's exception that gathers those of all."""
    _, checkpoint = _library()
    try:
        yield
    except checkpoint.CheckpointException as error:
        for cause, _ in error.failures.values():
            if isinstance(cause, Exception):
                raise cause from error
            raise RuntimeError(str(cause)) from error
        raise


def _library() -> tuple[Any, Any]:
    try:
        import torch.distributed.checkpoint as checkpoint
        from torch.distributed.checkpoint import hf_storage
    except ImportError as error:
        raise MissingDependencyError(
            f"training.sharding: torch {torch.__version__} writes no sharded safetensors; install a newer torch"
        ) from error
    if not dist.is_available():
        raise InputError(
            "training.sharding: this torch is built without torch.distributed; install one with it"
        )
    return hf_storage, checkpoint
