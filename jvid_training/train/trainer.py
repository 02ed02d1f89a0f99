"""One training loop for all kinds of networks, on accelerate.

One process or many, CPU or CUDA: the global batch of a step is a function of the recipe's seed and the step alone
(see `jvid_training.data.windows`), each process takes its share. A run stops cleanly on SIGINT or SIGTERM with a
checkpoint and goes on from its last whole checkpoint.
"""

from __future__ import annotations

import json
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from jvid.documents import check_same
from jvid.errors import InputError, JvidError, JvidWarning
from jvid.files import check_folder, clean, make_folder, whole_folder, write_json
from jvid.machine.cores import set_threads
from jvid.refusals import refused
from jvid_models.weights import read_weights, save_weights
from jvid_models.words import Words
from jvid_training.data.windows import HELD_OUT_STEP, Split
from jvid_training.jobs.locks import Lock
from jvid_training.jobs.ranks import cpu_job, first_process
from jvid_training.recipe import Optimiser, Recipe, to_document
from jvid_training.train.checkpoints import (
    MANIFEST,
    averages,
    best,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
    write_digests,
)
from jvid_training.train.networks import accelerated, bare, build_network, conditioned, unet_of
from jvid_training.train.objectives import Measures
from jvid_training.train.parameters import fix, start_from
from jvid_training.train.tasks import objective_of, sources_of, text_of

MARKER = "run.json"
OWNED = ("model.safetensors", "network.json", MANIFEST)
"""What ``final/`` holds beside `MARKER`."""

VALIDATION_SAMPLES = {"image": 256, "video": 32, "decoder": 16, "autoencoder": 128}


class TrainingError(JvidError, ArithmeticError):
    """The run cannot go on: its loss is not finite."""


@attrs.frozen
class Progress:
    """The state of a run at a logged step."""

    step: int
    steps: int
    loss: float
    lr: float
    rate: float
    """Steps per second since the run (or its resume) began."""
    validation: float | None = None
    figures: Mapping[str, float] = attrs.field(factory=dict)
    """Other figures on held-out actors, by name (`jvid_training.train.objectives.Measures`)."""


def learning_rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Warm-up, constant, and a linear fall to a fiftieth over the last ``decay`` of the run."""
    if step < optimiser.warmup:
        return optimiser.lr * (step + 1) / optimiser.warmup
    if not optimiser.decay:
        return optimiser.lr
    left = (steps - step) / max(optimiser.decay * steps, 1)
    return optimiser.lr * max(min(left, 1.0), 0.02)


def computable(precision: str) -> str:
    """``precision``, or "no" with a warning where the CPU that trains has no instructions for it.

    Without them oneDNN emulates bf16: ten times slower a step. A GPU, and a torch without oneDNN, decide for themselves.
    """
    if precision == "no" or torch.accelerator.is_available() or not torch.backends.mkldnn.is_available():
        return precision
    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")
    if supported():
        return precision
    warnings.warn(
        f"training.precision {precision!r}: this processor has no instructions for it, float32 is used instead",
        JvidWarning,
        stacklevel=2,
    )
    return "no"


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
            check_folder(Path(recipe.out) / "final", MARKER, OWNED)
        run = _Run(recipe, progress)
        # It ends the process group too: nothing that waits for other processes may come after.
        held.callback(run.accelerator.end_training)
        return run.finish() if run.loop() else run.out


class _Run:
    """The state of one run between its start and its end."""

    def __init__(self, recipe: Recipe, progress: Callable[[Progress], None]) -> None:
        self.recipe, self.progress = recipe, progress
        training = recipe.training
        set_threads(training.threads or None)
        if training.checkpointing and recipe.kind in ("decoder", "autoencoder"):
            raise InputError(
                f"training.checkpointing: only UNets compute layers again, not the {recipe.kind}; leave it out"
            )
        self.out = Path(recipe.out)
        self.precision = computable(training.precision)
        self.accelerator = Accelerator(
            mixed_precision=self.precision,
            cpu=cpu_job(),
            log_with="tensorboard",
            project_dir=str(self.out / "logs"),
        )
        world = self.accelerator.num_processes
        if training.batch % (world * training.accumulate):
            raise InputError(
                f"training.batch: {training.batch} cannot be shared by {world} processes of {training.accumulate} parts; "
                f"use a multiple of {world * training.accumulate}"
            )
        self.part = training.batch // (world * training.accumulate)
        self.sources = sources_of(recipe)
        # The initial weights are the one thing that torch's global generator decides: first of a text network, then of the UNet.
        set_seed(training.seed)
        self.text = text_of(recipe, self.sources)
        self.objective = objective_of(recipe, self.text, self.accelerator.device)
        set_seed(training.seed)
        network: Any = conditioned(build_network(recipe), self.text)
        if training.init:
            weights = read_weights(Path(training.init))
            start_from(network, weights, training.new, training.unused, training.init)
        fix(network, training.fixed)
        if self.accelerator.device.type == "cpu" and hasattr(unet := unet_of(network), "set_attn_processor"):
            # On the CPU the fused attention's backward takes twice the time of the plain one at these sizes.
            unet.set_attn_processor(AttnProcessor())
        optimiser = recipe.optimiser
        optimizer = torch.optim.AdamW(
            [parameter for parameter in network.parameters() if parameter.requires_grad],
            optimiser.lr,
            betas=optimiser.betas,
            eps=optimiser.eps,
            weight_decay=optimiser.weight_decay,
            fused=True,
        )
        self.ema = EMAModel(network.parameters(), decay=training.ema, foreach=True)
        self.step, self.seconds = 0, 0.0
        self.saved = -1
        """The step of the last checkpoint."""
        self.curve: list[dict[str, float]] = []
        self.figures: dict[str, float] = {}
        """Of the last validation, beside its loss."""
        self._resume(network, optimizer)
        self.ema.to(self.accelerator.device)
        if recipe.kind in ("image", "video"):
            network = accelerated(network, training.checkpointing)
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.stopped = False

    def _resume(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        found = checkpoints(self.out)
        if not found:
            return
        model, ema, moments, state = load_checkpoint(found[-1], to_document(self.recipe))
        remedy = "give `out` another folder, or restore its vocabulary"
        check_same(state.get("text"), self._words(), f"{found[-1]} was trained on other words", remedy)
        network.load_state_dict(model)
        optimizer.load_state_dict(moments)
        names = [name for name, _ in network.named_parameters()]
        self.ema.load_state_dict(
            {
                **self.ema.state_dict(),
                "optimization_step": state["step"],
                "shadow_params": [ema[name] for name in names],
            }
        )
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]
        self.saved = self.step

    def loop(self) -> bool:
        """True when every step was made, False when a signal stopped it (a checkpoint was written)."""
        training = self.recipe.training
        self.accelerator.init_trackers(self.recipe.name)
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
                    self._log(Progress(self.step, training.steps, loss, lr, rate, validation, figures))
                    losses.clear()
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
        for micro in range(training.accumulate):
            first = (micro * self.accelerator.num_processes + self.accelerator.process_index) * self.part
            batch = self._batch("train", self.step, range(first, first + self.part), training.batch)
            # Gradients cross the processes once a step, with the last part.
            last = micro == training.accumulate - 1
            with nullcontext() if last else self.accelerator.no_sync(self.network):
                with self.accelerator.autocast():
                    loss = self.objective.loss(self.network, batch).mean() / training.accumulate
                self.accelerator.backward(loss)
            total += loss.detach()
        mean = float(self.accelerator.reduce(total, "mean"))
        if not math.isfinite(mean):
            raise TrainingError(
                f"{self.recipe.name}: the loss is {mean} at step {self.step}; the last checkpoint in {self.out} is whole: "
                "resume it with a lower optimiser.lr or a higher optimiser.eps"
            )
        self.accelerator.clip_grad_norm_(self.network.parameters(), self.recipe.optimiser.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.accelerator.unwrap_model(self.network).parameters())
        self.step += 1
        return mean

    def _batch(self, split: Split, step: int, places: range, batch: int) -> dict[str, Tensor]:
        seed = self.recipe.training.seed
        samples = [self.objective.sample(self.sources[split], seed, step, place, batch) for place in places]
        return {
            name: torch.stack([sample[name] for sample in samples]).to(self.accelerator.device)
            for name in samples[0]
        }

    def validate(self) -> float | None:
        """Loss of the moving average on the held-out actors: the same samples each time; None without any. Sets `figures`."""
        if "holdout" not in self.sources:
            return None
        count = VALIDATION_SAMPLES[self.recipe.kind]
        network = self.accelerator.unwrap_model(self.network)
        self.ema.store(network.parameters())
        self.ema.copy_to(network.parameters())
        total: dict[str, float] = {}
        with torch.no_grad(), self.accelerator.autocast():
            for first in range(0, count, self.part):
                places = range(first, min(first + self.part, count))
                batch = self._batch("holdout", HELD_OUT_STEP, places, count)
                found = {"loss": self.objective.loss(network, batch)}
                if isinstance(self.objective, Measures):
                    found |= self.objective.figures(network, batch)
                for name, values in found.items():
                    total[name] = total.get(name, 0.0) + float(values.sum())
        self.ema.restore(network.parameters())
        self.figures = {name: summed / count for name, summed in total.items() if name != "loss"}
        return total["loss"] / count

    def checkpoint(self, validation: float | None = None) -> None:
        """Write the state on the main process; the others wait."""
        if self.accelerator.is_main_process:
            network = self._bare()
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "curve": self.curve,
                "recipe": to_document(self.recipe),
                "validation": validation,
                "text": self._words(),
            }
            save_checkpoint(
                self.out,
                self.step,
                network.state_dict(),
                self._average(network),
                self.optimizer.state_dict(),
                state,
            )
        self.saved = self.step
        self.accelerator.wait_for_everyone()

    def finish(self) -> Path:
        """Write ``final/`` whole."""
        final = self.out / "final"
        if self.accelerator.is_main_process:
            network = self._bare()
            chosen = best(self.out) if self.recipe.training.final == "best" else None
            weights = averages(chosen) if chosen else {**network.state_dict(), **self._average(network)}
            summary: dict[str, Any] = {
                "recipe": to_document(self.recipe),
                "steps": int(chosen.name.rpartition("-")[2]) if chosen else self.step,
                "minutes": self.seconds / 60,
                "curve": self.curve,
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "processes": self.accelerator.num_processes,
                "precision": self.precision,
                "torch": torch.__version__,
                "text": self._words(),
            }
            with whole_folder(final, MARKER, OWNED) as folder:
                save_weights(weights, folder / "model.safetensors")
                write_json(
                    folder / "network.json", {"kind": self.recipe.kind, "options": self.recipe.network}
                )
                write_json(folder / MARKER, summary)
                write_digests(folder)
        self.accelerator.wait_for_everyone()
        return final

    def _bare(self) -> nn.Module:
        return bare(self.accelerator.unwrap_model(self.network))

    def _words(self) -> dict[str, Any] | None:
        """The encoder of known words, without its weights: its numbers mean something in its vocabulary alone."""
        return self.text.config if isinstance(self.text, Words) else None

    def _average(self, network: nn.Module) -> dict[str, Tensor]:
        names = [name for name, _ in network.named_parameters()]
        return {
            name: shadow.detach().clone() for name, shadow in zip(names, self.ema.shadow_params, strict=True)
        }

    def _log(self, progress: Progress) -> None:
        values = {"loss": progress.loss, "lr": progress.lr, "rate": progress.rate}
        if progress.validation is not None:
            values["validation"] = progress.validation
        values.update(progress.figures)
        with _one_line(self.out):
            self.accelerator.log(values, step=progress.step)
        self.curve.append({"step": progress.step, "minutes": round(self.seconds / 60, 3), **values})
        if self.accelerator.is_main_process:
            with _one_line(self.out), (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.curve[-1]) + "\n")
            self.progress(progress)

    def _stop(self, number: int, frame: object) -> None:
        self.stopped = True

    def _any_stopped(self) -> bool:
        # A signal may reach one process only: all must agree before a collective call.
        if self.accelerator.num_processes == 1:
            return self.stopped
        flag = torch.tensor(float(self.stopped), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """A log that cannot be written, as with a full disk, as an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {refused(error)}; free the space, the same command goes on from the last checkpoint"
        ) from error
