"""A run's state in checkpoints: written while the run goes on, and read by the first process for all.

The tensors are copied to the host's memory, which is what a step waits for; a thread writes the copy. The first process alone
reads and writes, so that a run over machines without a common disk goes on from one state, whatever else lies on the others.
Of a sharded run every process writes its part, and reads the parts that it needs: those machines need a common disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from jvid.errors import InputError
from jvid_training.jobs.agreement import is_shared
from jvid_training.jobs.background import Background
from jvid_training.jobs.ranks import Ranks
from jvid_training.recipe import Recipe, to_document
from jvid_training.train.average import Average
from jvid_training.train.checkpoints import (
    DamageError,
    last_whole,
    open_checkpoint,
    read_tensors,
    save_checkpoint,
)
from jvid_training.train.compatible import changes_of
from jvid_training.train.moments import like, moments_of, set_moments
from jvid_training.train.parameters import trained
from jvid_training.train.shards import begin_writing, is_sharded, moments_like, read_shards, stored_names

__all__ = ["Saver"]


class Saver:
    """Saves and restores the network, its average and the optimiser's moments, with a state that JSON can hold.

    Args:
        recipe: of the run.
        words: the vocabulary of the run, if it has one.
        encoder: digest of the weights that encoded its latents; "" where it is not known.
        ranks: this process in its job.
        network: the module that owns the parameters, on its device.
        sharded: whether it is sharded.
        average: of its weights.
        optimizer: of its trained parameters.
    """

    def __init__(
        self,
        recipe: Recipe,
        words: dict[str, Any] | None,
        encoder: str,
        ranks: Ranks,
        network: nn.Module,
        sharded: bool,
        average: Average,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._recipe, self._words, self._encoder, self._ranks = recipe, words, encoder, ranks
        self._network, self._average, self._optimizer = network, average, optimizer
        self._out, self._sharded = Path(recipe.out), sharded
        self._shared = is_shared(self._out, ranks)
        if sharded:
            self._check_shared("training.sharding")
        # Checkpoints cross the host's network, at the same time as gradients cross the GPUs' own.
        self._group = dist.new_group(backend="gloo") if ranks.world > 1 else None
        self._background = Background("checkpoint")
        self.changes: list[Any] = []
        """Keys of the recipe that were changed on the way, with the steps."""

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Begin to write a checkpoint; the one before is written by then.

        Raises:
            InputError: the one before could not be written, as with a full disk.
        """
        document = {
            **state,
            "step": step,
            "updates": self._average.updates,
            "recipe": to_document(self._recipe),
            "text": self._words,
            "encoder": self._encoder,
            "changes": self.changes,
        }
        self._background.wait()  # before another copy takes memory
        keep = self._recipe.training.keep
        if self._sharded:
            self._save_parts(step, document, keep)
        elif self._ranks.rank == 0:
            model, ema, moments = (_copied(tensors) for tensors in self._tensors().values())
            self._background.submit(
                partial(save_checkpoint, self._out, step, model, ema, moments, document, keep)
            )

    def _save_parts(self, step: int, document: dict[str, Any], keep: int) -> None:
        ending = ExitStack()
        with ending:
            folder = None
            if self._ranks.rank == 0:
                folder = ending.enter_context(open_checkpoint(self._out, step, document, keep))
            part = Path(self._ranks.broadcast(str(folder)))
            tensors = {
                f"{group}.{name}": tensor.detach()
                for group, named in self._tensors().items()
                for name, tensor in named.items()
            }
            assert self._group is not None
            wait = begin_writing(part, tensors, self._group)
            finish = ending.pop_all()

        def finished() -> None:
            with finish:
                wait()

        self._background.submit(finished)

    def check(self) -> None:
        """Raise the error of a checkpoint that could not be written; returns at once."""
        self._background.check()

    def wait(self) -> None:
        """Until the checkpoint is written, in all processes.

        Raises:
            InputError: it could not be written.
        """
        self._background.wait()
        self._ranks.wait()

    def close(self) -> None:
        """Until the checkpoint is written, whatever becomes of it."""
        self._background.close()

    def restore(self) -> dict[str, Any] | None:
        """Go on from the last checkpoint that is whole, in all processes; returns its state, None without checkpoints.

        Raises:
            InputError: every checkpoint is damaged, or they are of another recipe.
        """
        found = self._last() if self._ranks.rank == 0 else None
        chosen = None if found is None else (*found[:2], is_sharded(found[0]))
        chosen = self._ranks.broadcast(chosen)
        if chosen is None:
            return None
        path, state, sharded = chosen
        self.changes = state["changes"]
        if sharded:
            self._check_shared(f"{path.name} is sharded")
            self._read_parts(path)
        else:
            self._receive({} if found is None else found[2])
        self._average.updates = state.get("updates", state["step"])
        return state

    def _receive(self, tensors: dict[str, dict[str, Tensor]]) -> None:
        own, device = self._tensors(), _device(self._network)
        model = self._ranks.spread(tensors.get("model"), device)
        self._network.load_state_dict({name: like(value, own["model"][name]) for name, value in model})
        for name, value in self._ranks.spread(tensors.get("ema"), device):
            if name in own["ema"]:
                own["ema"][name].copy_(like(value, own["ema"][name]))
        set_moments(
            self._optimizer, trained(self._network), self._ranks.spread(tensors.get("moments"), device)
        )

    def _read_parts(self, path: Path) -> None:
        own, parameters = self._tensors(), trained(self._network)
        moments = moments_like(path, parameters)
        # Buffers are read beside the network's own, which it compares: the mark of the weights that adapters belong to.
        buffers = {name for name, _ in self._network.named_buffers()}
        own["model"] = {
            name: each.clone() if name in buffers else each for name, each in own["model"].items()
        }
        tensors = {f"{group}.{name}": each for group in ("model", "ema") for name, each in own[group].items()}
        read_shards(
            path, {**tensors, **{f"moments.{key}": each for key, each in moments.items()}}, self._group
        )
        self._network.load_state_dict(own["model"])
        set_moments(self._optimizer, parameters, iter(moments.items()))

    def _check_shared(self, what: str) -> None:
        if not self._shared:
            raise InputError(
                f"{what}: the processes do not see one folder {self._out}; give `out` a folder on a disk that all machines share"
            )

    def _last(self) -> tuple[Path, dict[str, Any], dict[str, dict[str, Tensor]]] | None:
        own = {group: set(tensors) for group, tensors in self._tensors().items()}

        def read(path: Path, state: dict[str, Any]) -> tuple[list[Any], dict[str, dict[str, Tensor]]]:
            changes = changes_of(path, state, to_document(self._recipe), self._words, self._encoder)
            sharded = is_sharded(path)
            tensors = {} if sharded else read_tensors(path)
            held = stored_names(path) if sharded else tensors
            for group in ("model", "ema"):
                # An earlier version averaged the parameters that are not trained, too.
                if other := own[group] - set(held[group]) or (
                    group == "model" and set(held[group]) - own[group]
                ):
                    raise DamageError(
                        f"checkpoint {path} is damaged ({group}: {sorted(other)[0]} is in one of the network and it): delete it"
                    )
            return changes, tensors

        found = last_whole(self._out, read)
        if found is None:
            return None
        path, state, (changes, tensors) = found
        return path, {**state, "changes": changes}, tensors

    def _tensors(self) -> dict[str, Mapping[str, Tensor]]:
        return {
            "model": self._network.state_dict(),
            "ema": self._average.named(),
            "moments": moments_of(self._optimizer, trained(self._network)),
        }


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies in the host's memory."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
