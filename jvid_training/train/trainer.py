"""One training loop for all kinds of networks, on accelerate.

One process or many, CPU or CUDA: the global batch of a step is a function of the recipe's seed and the step alone
(see `jvid_training.data.windows`), each process takes its share. A run stops cleanly on SIGINT or SIGTERM with a
checkpoint and goes on from its last whole checkpoint.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch

from jvid.documents import check_same
from jvid.errors import JvidError
from jvid.files import clean, make_folder
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.ranks import first_process
from jvid_training.recipe import Recipe, to_document
from jvid_training.train.average import Average
from jvid_training.train.checkpoints import averages, best, checkpoints, load_checkpoint, save_checkpoint
from jvid_training.train.final import check_final, write_final
from jvid_training.train.held_out import held_out_figures
from jvid_training.train.journal import Journal
from jvid_training.train.networks import accelerated
from jvid_training.train.optimisation import learning_rate, optimizer_of
from jvid_training.train.previews import Previews
from jvid_training.train.progress import Progress
from jvid_training.train.setup import set_up
from jvid_training.train.trackers import log_picture
from jvid_training.train.watch import Watch

__all__ = ["Progress", "TrainingError", "train"]


class TrainingError(JvidError, ArithmeticError):
    """The run cannot go on: its loss is not finite."""


def train(recipe: Recipe, progress: Callable[[Progress], None] = lambda progress: None) -> Path:
    """Run a recipe to its end, or on from its last checkpoint; returns the folder of the final weights.

    ``final/`` holds ``model.safetensors`` (the moving average), ``network.json`` and ``run.json``. Raises
    `InputError` for a recipe or checkpoint that does not fit or where another run writes to the same folder, `TrainingError` when
    the loss is not finite.
    """
    with ExitStack() as held:
        if first_process():
            held.enter_context(Lock(make_folder(Path(recipe.out)), alone=True))
            clean(Path(recipe.out), locked=True)
            check_final(Path(recipe.out))
        run = _Run(recipe, progress)
        # It ends the process group too: nothing that waits for other processes may come after.
        held.callback(run.accelerator.end_training)
        return run.finish() if run.loop() else run.out


class _Run:
    """The state of one run between its start and its end."""

    def __init__(self, recipe: Recipe, progress: Callable[[Progress], None]) -> None:
        self.recipe, self.out = recipe, Path(recipe.out)
        self.setup = set_up(recipe)
        self.accelerator = self.setup.accelerator
        self.batches = self.setup.batches
        self.journal = Journal(self.out, self.accelerator, progress)
        self.watch = Watch(self.batches.objective, self.accelerator)
        shown = recipe.training.samples_every > 0
        self.previews = Previews(recipe, self.batches, self.setup.text) if shown else None
        self.bare = self.setup.network.to(self.accelerator.device)
        """The module that owns the parameters."""
        optimizer = optimizer_of(recipe.optimiser, self.bare)
        self.average = Average(self.bare, recipe.training.ema)
        self.step, self.seconds = 0, 0.0
        self.saved = -1
        """The step of the last checkpoint."""
        self.figures: dict[str, float] = {}
        """Of the last validation, beside its loss."""
        self._resume(optimizer)
        network = self.bare
        if recipe.kind in ("image", "video"):
            network = accelerated(network, recipe.training.checkpointing)
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.stopped = False

    def _resume(self, optimizer: torch.optim.Optimizer) -> None:
        found = checkpoints(self.out)
        if not found:
            return
        model, ema, moments, state = load_checkpoint(found[-1], to_document(self.recipe))
        remedy = "give `out` another folder, or restore its vocabulary"
        check_same(state.get("text"), self.setup.words, f"{found[-1]} was trained on other words", remedy)
        self.bare.load_state_dict(model)
        optimizer.load_state_dict(moments)
        self.average.load(ema, state["step"])
        self.step, self.seconds, self.journal.curve = state["step"], state["seconds"], state["curve"]
        self.saved = self.step

    def loop(self) -> bool:
        """True when every step was made, False when a signal stopped it (a checkpoint was written)."""
        training = self.recipe.training
        self.journal.begin(self.recipe.name)
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        first, began = self.step, time.monotonic()
        before = self.seconds
        losses: list[float] = []
        try:
            while self.step < training.steps and not self._any_stopped():
                losses.append(self._one_step())
                self.seconds = before + time.monotonic() - began
                due = self.step % training.checkpoint_every == 0 or self.step == training.steps
                validation = self.validate() if due else None
                if self.step % training.log_every == 0 or due:
                    rate = (self.step - first) / (time.monotonic() - began)
                    lr = learning_rate(self.recipe.optimiser, self.step - 1, training.steps)
                    loss, figures = sum(losses) / len(losses), self.figures if due else {}
                    watched = self.watch.take()
                    shown = Progress(self.step, training.steps, loss, lr, rate, validation, figures, watched)
                    self.journal.log(shown, self.seconds / 60)
                    losses.clear()
                if self.previews is not None and self.step % training.samples_every == 0:
                    self.preview(self.previews)
                if due:
                    self.checkpoint(validation)
            # Not again where a signal came in while this step's was due: it would lose its held-out loss.
            if self.step < training.steps and self.saved != self.step:
                self.checkpoint()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self.step >= training.steps

    def _one_step(self) -> float:
        training = self.recipe.training
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe.optimiser, self.step, training.steps)
        total = torch.zeros((), device=self.accelerator.device)
        for part, batch in enumerate(self.batches.parts(self.step)):
            # Gradients cross the processes once a step, with the last part.
            last = part == training.accumulate - 1
            with nullcontext() if last else self.accelerator.no_sync(self.network):
                with self.accelerator.autocast():
                    losses = self.batches.objective.loss(self.network, batch)
                    loss = losses.mean() / training.accumulate
                self.watch.add_losses(losses, batch)
                self.accelerator.backward(loss)
            total += loss.detach()
        mean = float(self.accelerator.reduce(total, "mean"))
        if not math.isfinite(mean):
            raise TrainingError(
                f"{self.recipe.name}: the loss is {mean} at step {self.step}; the last checkpoint in {self.out} is whole: "
                "resume it with a lower optimiser.lr or a higher optimiser.eps"
            )
        norm = self.accelerator.clip_grad_norm_(
            self.network.parameters(), self.recipe.optimiser.clip or math.inf
        )
        self.watch.add_norm(norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update()
        self.step += 1
        return mean

    def validate(self) -> float | None:
        """Loss of the moving average on the held-out actors; None without any. Sets `figures`."""
        if "holdout" not in self.batches.sources:
            return None
        network = self.accelerator.unwrap_model(self.network)
        with self.average.applied(), self.accelerator.autocast():
            found = held_out_figures(network, self.batches, self.recipe.kind)
        loss = found.pop("loss")
        self.figures = found
        return loss

    def preview(self, previews: Previews) -> None:
        """Show samples of the moving average; the main process makes them."""
        if self.accelerator.is_main_process:
            with self.average.applied(), self.accelerator.autocast():
                picture = previews.write(self.step, self.bare)
            if picture is not None:
                log_picture(self.accelerator, "samples", picture, self.step)
        self.accelerator.wait_for_everyone()

    def checkpoint(self, validation: float | None = None) -> None:
        """Write the state on the main process; the others wait."""
        if self.accelerator.is_main_process:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "curve": self.journal.curve,
                "recipe": to_document(self.recipe),
                "validation": validation,
                "text": self.setup.words,
            }
            save_checkpoint(
                self.out,
                self.step,
                self.bare.state_dict(),
                self.average.weights(),
                self.optimizer.state_dict(),
                state,
            )
        self.saved = self.step
        self.accelerator.wait_for_everyone()

    def finish(self) -> Path:
        """Write ``final/`` on the main process."""
        if self.accelerator.is_main_process:
            chosen = best(self.out) if self.recipe.training.final == "best" else None
            weights = averages(chosen) if chosen else {**self.bare.state_dict(), **self.average.weights()}
            summary: dict[str, Any] = {
                "recipe": to_document(self.recipe),
                "steps": int(chosen.name.rpartition("-")[2]) if chosen else self.step,
                "minutes": self.seconds / 60,
                "curve": self.journal.curve,
                "parameters": sum(parameter.numel() for parameter in self.bare.parameters()),
                "processes": self.accelerator.num_processes,
                "precision": self.setup.precision,
                "torch": torch.__version__,
                "text": self.setup.words,
            }
            write_final(self.recipe, weights, summary)
        self.accelerator.wait_for_everyone()
        return self.out / "final"

    def _stop(self, number: int, frame: object) -> None:
        self.stopped = True

    def _any_stopped(self) -> bool:
        # A signal may reach one process only: all must agree before a collective call.
        if self.accelerator.num_processes == 1:
            return self.stopped
        flag = torch.tensor(float(self.stopped), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)
