"""One training loop for all kinds of networks, on accelerate.

One process or many, CPU or CUDA: the global batch of a step is a function of the recipe's seed and the step alone
(see `jvid_training.data.windows`), each process takes its share. A run stops cleanly on a signal
(`jvid_training.jobs.signals`) with a checkpoint and goes on from its last whole checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from math import inf, nan
from pathlib import Path
from typing import Any

import attrs
import torch
from accelerate import Accelerator

from jvid.files import clean, make_folder
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.signals import StopRequest
from jvid_training.jobs.together import together
from jvid_training.recipe import Recipe, to_document
from jvid_training.train.average import Average
from jvid_training.train.checkpoints import averages, best
from jvid_training.train.final import check_final, write_final
from jvid_training.train.guard import Guard, TrainingError
from jvid_training.train.held_out import held_out_figures
from jvid_training.train.journal import Journal
from jvid_training.train.optimisation import learning_rate, optimizer_of
from jvid_training.train.parallel import Parallel, whole
from jvid_training.train.parameters import trained
from jvid_training.train.previews import Previews
from jvid_training.train.progress import Progress
from jvid_training.train.saving import Saver
from jvid_training.train.setup import accelerator_of, ranks_of, set_up
from jvid_training.train.trackers import log_picture
from jvid_training.train.watch import StepWatch

__all__ = ["Ending", "Progress", "TrainingError", "run_recipe", "train"]


@attrs.frozen
class Ending:
    """How a run ended: with its final weights in ``folder``, or by the signal ``stopped``, with a checkpoint in it."""

    folder: Path
    stopped: int | None = None


def train(recipe: Recipe, progress: Callable[[Progress], None] = lambda progress: None) -> Path:
    """Run a recipe to its end, or on from its last checkpoint; returns the folder of the final weights.

    ``final/`` holds ``model.safetensors`` (the moving average), ``network.json`` and ``run.json``. Raises
    `InputError` for a recipe or checkpoint that does not fit or where another run writes to the same folder, `TrainingError`
    where a value is not finite or the loss diverges.
    """
    return run_recipe(recipe, progress).folder


def run_recipe(
    recipe: Recipe,
    progress: Callable[[Progress], None] = lambda progress: None,
    stop: StopRequest | None = None,
) -> Ending:
    """`train`, which may be stopped: by a signal, and from another thread by `StopRequest.request`."""
    accelerator = accelerator_of(recipe)
    ranks, out = ranks_of(accelerator), Path(recipe.out)
    with ExitStack() as held:
        # It ends the process group too: nothing that waits for other processes may come after.
        held.callback(accelerator.end_training)
        held.enter_context(together(ranks))
        if ranks.rank == 0:
            held.enter_context(Lock(make_folder(out), alone=True))
            clean(out, locked=True)
            check_final(out)
        run = _Run(recipe, progress, accelerator)
        held.callback(run.saver.close)
        stopped = run.loop(stop or StopRequest())
        return Ending(out, stopped) if stopped is not None else Ending(run.finish())


class _Run:
    """The state of one run between its start and its end."""

    def __init__(
        self, recipe: Recipe, progress: Callable[[Progress], None], accelerator: Accelerator
    ) -> None:
        self.setup = set_up(recipe, accelerator)
        recipe = self.setup.recipe
        self.recipe, self.out = recipe, Path(recipe.out)
        self.accelerator, self.ranks = accelerator, self.setup.ranks
        self.batches, self.precision = self.setup.batches, self.setup.precision
        self.guard = Guard(recipe, self.batches)
        self.journal = Journal(self.out, accelerator, progress)
        self.watch = StepWatch(self.batches.objective, accelerator)
        shown = recipe.training.samples_every > 0
        self.previews = Previews(recipe, self.batches, self.setup.text) if shown else None
        self.bare = self.setup.network.to(accelerator.device)
        """The module that owns the parameters."""
        self.parallel = Parallel(recipe, self.bare, accelerator, self.ranks, self.precision)
        self.optimizer = optimizer_of(recipe.optimiser, self.bare)
        self.average = Average(trained(self.bare), recipe.training.ema)
        self.saver = Saver(
            recipe,
            self.setup.words,
            self.setup.encoder,
            self.ranks,
            self.bare,
            self.parallel.sharded,
            self.average,
            self.optimizer,
        )
        self.step, self.seconds = 0, 0.0
        self.saved = -1
        """The step of the last checkpoint."""
        self.figures: dict[str, float] = {}
        """Of the last validation, beside its loss."""
        self._resume()
        self.parallel.connect()

    def _resume(self) -> None:
        state = self.saver.restore()
        if state is None:
            return
        self.step, self.seconds, self.journal.curve = state["step"], state["seconds"], state["curve"]
        self.saved = self.step
        self.precision.load(state.get("scaler", {}))
        self.guard.load(state.get("guard", {}))

    def loop(self, stop: StopRequest) -> int | None:
        """None when every step was made, else the signal that stopped it (a checkpoint was written)."""
        training = self.recipe.training
        self.journal.begin(self.recipe.name, self.step)
        first, began = self.step, time.monotonic()
        before = self.seconds
        losses: list[float] = []
        stopped = None
        with stop:
            while self.step < training.steps and (stopped := self._stopped(stop)) is None:
                if (loss := self._one_step()) is not None:
                    losses.append(loss)
                self.seconds = before + time.monotonic() - began
                due = self.step % training.checkpoint_every == 0 or self.step == training.steps
                if due:
                    self._check_weights()
                validation = self.validate() if due else None
                if self.step % training.log_every == 0 or due:
                    rate = (self.step - first) / (time.monotonic() - began)
                    lr = learning_rate(self.recipe.optimiser, self.step - 1, training.steps)
                    mean, figures = sum(losses) / len(losses) if losses else nan, self.figures if due else {}
                    watched = self.watch.take()
                    shown = Progress(self.step, training.steps, mean, lr, rate, validation, figures, watched)
                    self.journal.log(shown, self.seconds / 60)
                    losses.clear()
                if self.previews is not None and self.step % training.samples_every == 0:
                    self.preview(self.previews)
                if due:
                    self.checkpoint(validation)
                self.saver.check()
            # Not again where a signal came in while this step's was due: it would lose its held-out loss.
            if self.step < training.steps and self.saved != self.step:
                self._check_weights()
                self.checkpoint()
            self.saver.wait()
        return stopped

    def _one_step(self) -> float | None:
        """Make a step; returns its loss over all processes, None where the step was left out."""
        training, optimiser = self.recipe.training, self.recipe.optimiser
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(optimiser, self.step, training.steps)
        losses = []
        for part, batch in enumerate(self.batches.parts(self.step)):
            with self.parallel.part(last=part == training.accumulate - 1):
                with self.precision.autocast():
                    loss = self.batches.objective.loss(self.parallel.called, batch)
                self.watch.add_losses(loss, batch)
                self.precision.backward(loss.mean() / training.accumulate)
            losses.append(loss.detach().flatten(1).mean(1) if loss.ndim > 1 else loss.detach())
        each = torch.cat(losses)
        mean = float(self.accelerator.reduce(each.mean(), "mean"))
        overflow = self.precision.can_overflow
        self.precision.unscale(self.optimizer)
        norm = self.parallel.clip(optimiser.clip or inf)
        self.watch.add_norm(norm)
        accepted = self.guard.accepts(self.step, mean, norm, each, overflow=overflow)
        # With a scale of the loss, the scaler leaves such a step out itself and takes a lower scale.
        if accepted or self.precision.scaled:
            self.precision.step(self.optimizer)
        self.optimizer.zero_grad()
        if accepted:
            self.average.update()
        self.step += 1
        return mean if accepted else None

    def _check_weights(self) -> None:
        averaged = {f"average of {name}": tensor for name, tensor in self.average.named().items()}
        self.guard.check_weights(self.step, {**self.bare.state_dict(), **averaged})

    def validate(self) -> float | None:
        """Loss of the moving average on the held-out actors; None without any. Sets `figures`."""
        if "holdout" not in self.batches.sources:
            return None
        with self.average.applied(), self.precision.autocast():
            found, bad = held_out_figures(self.parallel.evaluated, self.batches, self.recipe.kind)
        loss = found.pop("loss")
        self.figures = found
        return self.guard.held_out(self.step, loss, bad)

    def preview(self, previews: Previews) -> None:
        """Show samples of the moving average; the main process makes them."""
        if self.ranks.rank == 0:
            with self.average.applied(), self.precision.autocast():
                picture = previews.write(self.step, self.bare)
            if picture is not None:
                log_picture(self.accelerator, "samples", picture, self.step)
        self.ranks.wait()

    def checkpoint(self, validation: float | None = None) -> None:
        """Begin to write the state."""
        state = {
            "seconds": self.seconds,
            "curve": list(self.journal.curve),
            "validation": validation,
            "scaler": self.precision.state(),
            "guard": self.guard.state(),
        }
        self.saver.save(self.step, state)
        self.saved = self.step

    def finish(self) -> Path:
        """Write ``final/`` on the main process, with whole tensors."""
        last = {**self.bare.state_dict(), **self.average.named()}
        weights = {}
        for name, tensor in last.items():
            gathered = whole(tensor)  # by all processes
            if self.ranks.rank == 0:
                weights[name] = gathered.cpu()
        if self.ranks.rank == 0:
            chosen = best(self.out) if self.recipe.training.final == "best" else None
            if chosen is not None:
                weights = averages(chosen)
            summary: dict[str, Any] = {
                "recipe": to_document(self.recipe),
                "steps": int(chosen.name.rpartition("-")[2]) if chosen else self.step,
                "minutes": self.seconds / 60,
                "curve": self.journal.curve,
                "parameters": sum(parameter.numel() for parameter in self.bare.parameters()),
                "processes": self.ranks.world,
                "sharded": self.parallel.sharded,
                "precision": self.precision.name,
                "torch": torch.__version__,
                "text": self.setup.words,
                "encoder": self.setup.encoder,
                "skipped": self.guard.skipped,
                "changes": self.saver.changes,
            }
            write_final(self.recipe, weights, summary)
        self.ranks.wait()
        return self.out / "final"

    def _stopped(self, stop: StopRequest) -> int | None:
        # A signal may reach one process only: all must agree before a collective call.
        if self.ranks.world == 1:
            return stop.number
        flag = torch.tensor(float(stop.number or 0), device=self.accelerator.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return int(flag) or None
