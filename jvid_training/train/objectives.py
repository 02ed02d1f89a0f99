"""What each kind of network learns.

    image, video   x_t = alpha_t x_0 + sigma_t eps,   L = w_t |eps - eps_theta(x_t, t, y)|^2  (equation 3, with w_t = 1)
                   of a published model, eps, v, x_0 or a flow in the place of eps: as its scheduler has it
    decoder        L = |v - D(z + noise)|_1 + |grad v - grad D|_1                            (pixels in [-1, 1])
                       + w sum_l |phi_l(v) - phi_l(D)|_1 / mean |phi_l(v)|

phi_l are features of the codec's own image encoder, its latents last: L1 alone averages what the latents leave
open into a blur, which another encoding distinguishes from the real frames.

Noise offset: eps = z + offset * z', z' one number per sample and channel (the paper's 0.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

import attrs
import numpy as np
import torch
from torch import Tensor, nn

import jvid
from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid_models.adapters.scheduler_clocks import Clock
from jvid_models.adapters.scheduler_levels import SchedulerLevels
from jvid_models.adapters.scheduler_outputs import OutputKind
from jvid_models.text import EmbeddingTable
from jvid_models.words import Words
from jvid_training.data.embedded import StoredTable
from jvid_training.data.features import EncoderFeatures
from jvid_training.data.prompts import draw_prompt
from jvid_training.data.streams import generator, generators
from jvid_training.data.windows import Windows
from jvid_training.published.latents import unnormalised
from jvid_training.published.model import PublishedModel
from jvid_training.published.prompts import PromptRows
from jvid_training.recipe import Recipe
from jvid_training.train.noising import Noised, Noising

FEATURE_FRAMES = 4


class Objective(Protocol):
    """Makes samples on the CPU and a loss on any device."""

    def sample(self, windows: Any, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """One training sample, a function of its arguments alone."""
        ...

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Per-sample loss ``(b,)``."""
        ...


@runtime_checkable
class Measures(Protocol):
    """An objective with further figures of held-out samples."""

    def figures(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Values per sample ``(b,)``, by name."""
        ...


def in_memory(text: object) -> TypeGuard[EmbeddingTable]:
    """Whether an encoder is a table that a device can hold."""
    return isinstance(text, EmbeddingTable) and not isinstance(text, StoredTable)


@attrs.frozen(eq=False)
class PredictNoise:
    """Equation (3) over latents of single frames or of clips."""

    recipe: Recipe
    noising: Noising
    text: EmbeddingTable | Words
    _tables: dict[torch.device, Tensor] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, recipe: Recipe, schedule: NoiseSchedule, text: EmbeddingTable | Words) -> PredictNoise:
        """The objective on a schedule.

        Raises:
            InputError: it has no timesteps, or noise levels that do not fit.
        """
        if not isinstance(schedule, TabulatedSchedule):
            raise InputError(
                f"schedule.name: {recipe.schedule.name} has no table of timesteps; the eps objective needs a tabulated schedule"
            )
        levels = SchedulerLevels(schedule, OutputKind("eps"), Clock("index", schedule.timesteps))
        return cls(recipe, Noising.of(recipe, levels), text)

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Keys: ``x`` (c f h w), ``target`` the same, ``n`` () timestep, ``text`` () row of prompts, ``weight`` () if any.

        Where prompts have no table, ``text`` is an embedding (tokens, width), or token numbers (tokens) of a text network that
        is trained too.
        """
        return first(self.samples(windows, seed, step, [place], batch))

    def samples(
        self, windows: Windows, seed: int, step: int, places: Sequence[int], batch: int
    ) -> dict[str, Tensor]:
        """See `jvid_training.data.loading.MakesBatches`."""
        found, prompts = draw_latents(self.noising, windows, seed, step, places, batch)
        n = torch.tensor([self.noising.timestep(t) for t in found.t])
        return {**as_batch(self.recipe, found), "n": n, "text": self._given(prompts)}

    def _given(self, prompts: Sequence[str]) -> Tensor:
        """What samples hold of their prompts; rows of a table are embedded where the network is, and not copied there."""
        if isinstance(self.text, Words) and self.text.trained:
            return self.text.vocabulary.rows(prompts)
        if in_memory(self.text):
            return torch.tensor([self.text.row(prompt) for prompt in prompts])
        return torch.cat([self.text.embed([prompt]) for prompt in prompts])

    def embedded(self, text: Tensor) -> Tensor:
        """What the network takes of the ``text`` of a batch."""
        table = self.table(text.device)
        return text if table is None else table[text]

    def table(self, device: torch.device) -> Tensor | None:
        """The embeddings of all prompts ``(n, tokens, width)``, which the device holds from then on; None without a table."""
        if not in_memory(self.text):
            return None
        if device not in self._tables:
            self._tables[device] = self.text.embeddings.to(device, torch.float32)
        return self._tables[device]

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error of eps, per sample."""
        x, target = batch["x"], batch["target"]
        if self.recipe.kind == "image":
            x, target = x[:, :, 0], target[:, :, 0]
        eps = network(x, batch["n"], self.embedded(batch["text"])).sample
        return weighted((eps.float() - target).square().flatten(1).mean(1), batch)

    def times(self, batch: Mapping[str, Tensor]) -> Tensor:
        """t of each sample; timestep n of T is (n + 1) / T."""
        return (batch["n"] + 1) / self.noising.levels.clock.T


@attrs.frozen(eq=False)
class PredictOutput:
    """The output of a published model's network, as its scheduler has it: eps, v, x_0 or a flow."""

    recipe: Recipe
    noising: Noising
    prompts: PromptRows

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Keys: ``x`` (c f h w), ``target`` the same, ``t`` (), ``prompt`` (bytes), ``weight`` () if there is one."""
        return first(self.samples(windows, seed, step, [place], batch))

    def samples(
        self, windows: Windows, seed: int, step: int, places: Sequence[int], batch: int
    ) -> dict[str, Tensor]:
        """See `jvid_training.data.loading.MakesBatches`."""
        found, prompts = draw_latents(self.noising, windows, seed, step, places, batch)
        t = torch.tensor(found.t, dtype=torch.float64)
        rows = torch.stack([self.prompts(prompt) for prompt in prompts])
        return {**as_batch(self.recipe, found), "t": t, "prompt": rows}

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error of the output, per sample."""
        output = network(batch["x"], batch["t"], batch["prompt"])
        return weighted((output.float() - batch["target"]).square().flatten(1).mean(1), batch)

    def times(self, batch: Mapping[str, Tensor]) -> Tensor:
        """t of each sample."""
        return batch["t"].float()


def draw_latents(
    noising: Noising, windows: Windows, seed: int, step: int, places: Sequence[int], batch: int
) -> tuple[Noised, list[str]]:
    """One window, or one of its frames, at a random level, and the prompt, for each place; all of one shape.

    Each is a function of the seed, the step and its place alone. A sample draws its numbers in turn; what follows from them is
    read and computed for all samples at once.
    """
    recipe = noising.recipe
    drawn, frames, times, prompts = list[Any](), list[int](), list[float](), list[str]()
    eps = np.empty(0, np.float32)
    for random, place in zip(generators(seed, step, places), places, strict=True):
        window = windows.draw(random, windows.bucket(seed, step, place))
        if recipe.kind == "image":
            frames.append(int(random.integers(window.length)))
        if not drawn:
            shape = windows.shape(window, frames[0] if frames else None)
            eps = np.empty((len(places), *shape), np.float32)
        times.append(noising.time(random, seed, step, place, batch))
        noising.draw(random, eps[len(drawn)])
        prompts.append(draw_prompt(window.action, recipe.data, recipe.training.drop, random, window.captions))
        drawn.append(window)
    x_0 = windows.stacked_latents(drawn, frames if recipe.kind == "image" else None)
    if recipe.published is not None:  # a model's own scale
        x_0 = unnormalised(windows, x_0)
    return noising.noised(x_0, times, eps), prompts


def first(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The first sample of a batch."""
    return {name: values[0] for name, values in batch.items()}


def as_batch(recipe: Recipe, found: Noised) -> dict[str, Tensor]:
    """The keys of samples that all networks of latents take."""
    weights = {} if recipe.noise.weighting == "none" else {"weight": torch.tensor(found.weight)}
    return {"x": found.x, "target": found.target, **weights}


def weighted(errors: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Errors ``(b,)`` times the weights of the batch, where it has some."""
    return errors * batch["weight"] if "weight" in batch else errors


@attrs.frozen(eq=False)
class Reconstruct:
    """The video decoder: latents of real clips back to their pixels."""

    recipe: Recipe
    features: EncoderFeatures | None = None

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Keys: ``x`` (c f h w) latents with a little noise, ``target`` (3 f H W), ``first`` () frame for features."""
        random = generator(seed, step, place)
        window = windows.draw(random, windows.bucket(seed, step, place))
        x = windows.latents(window)
        noise = torch.from_numpy(random.standard_normal(tuple(x.shape), np.float32))
        # Between none and the full deviation: clean latents must stay in the decoder's experience.
        x = x + self.recipe.training.latent_noise * float(random.random()) * noise
        # Features of one stretch of frames a step cost a quarter of those of all.
        first = int(random.integers(max(window.length - FEATURE_FRAMES, 0) + 1))
        return {"x": x, "target": windows.video(window), "first": torch.tensor(first)}

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """L1 of pixels and of their differences in h, w and f, per sample."""
        frames, target = network(batch["x"]).float(), batch["target"]
        error = frames - target
        loss = error.abs().flatten(1).mean(1)
        for axis in (-1, -2, -3):
            if error.shape[axis] > 1:
                loss = loss + error.diff(dim=axis).abs().flatten(1).mean(1)
        if self.features is not None:
            starts = batch["first"].tolist()
            chosen = [
                torch.stack([clip[:, s : s + FEATURE_FRAMES] for clip, s in zip(clips, starts, strict=True)])
                for clips in (frames, target)
            ]
            loss = loss + self.recipe.training.perceptual * self.features.distance(*chosen)
        return loss


def objective_of(
    recipe: Recipe, text: EmbeddingTable | Words | PublishedModel | None, device: torch.device
) -> Objective:
    """What a recipe's network learns, with the encoder of its prompts; a decoder has none.

    Raises:
        InputError: a schedule without timesteps, noise levels that do not fit, or features of a codec that has none.
    """
    if text is None:
        return Reconstruct(recipe, _features(recipe, device))
    if isinstance(text, PublishedModel):
        return PredictOutput(recipe, Noising.of(recipe, text.levels, text.shift), text.prompts)
    schedule = jvid.load("schedule", recipe.schedule.name, **recipe.schedule.options)
    return PredictNoise.of(recipe, schedule, text)


def _features(recipe: Recipe, device: torch.device) -> EncoderFeatures | None:
    if not recipe.training.perceptual:
        return None
    return EncoderFeatures(jvid.load("codec", recipe.codec.name, **recipe.codec.options)).to(device)
