"""What each kind of network learns.

    image, video   x_t = alpha_t x_0 + sigma_t eps,   L = |eps - eps_theta(x_t, t, y)|^2      (equation 3)
    decoder        L = |v - D(z + noise)|_1 + |grad v - grad D|_1                            (pixels in [-1, 1])
                       + w sum_l |phi_l(v) - phi_l(D)|_1 / mean |phi_l(v)|

phi_l are features of the codec's own image encoder, its latents last: L1 alone averages what the latents leave
open into a blur, which another encoding distinguishes from the real frames.

Noise offset: eps = z + offset * z', z' one number per sample and channel (the paper's 0.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np
import torch
from torch import Tensor, nn

import jvid
from jvid.core.protocols import NoiseSchedule
from jvid.errors import InputError
from jvid_models.text import EmbeddingTable
from jvid_models.words import Words
from jvid_training.data.features import EncoderFeatures
from jvid_training.data.prompts import draw_prompt
from jvid_training.data.windows import Windows, generator
from jvid_training.recipe import Recipe

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


@attrs.frozen(eq=False)
class PredictNoise:
    """Equation (3) over latents of single frames or of clips."""

    recipe: Recipe
    schedule: NoiseSchedule
    timesteps: int
    text: EmbeddingTable | Words

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Keys: ``x`` (c f h w), ``target`` the same, ``n`` () timestep, ``text`` (tokens, width).

        Where the text network is trained too, ``text`` holds token numbers (tokens).
        """
        training = self.recipe.training
        random = generator(seed, step, place)
        window = windows.draw(random)
        frame = int(random.integers(windows.length)) if self.recipe.kind == "image" else None
        x_0 = windows.latents(window, frame)
        u = float(random.random())
        if training.stratified:
            # Sample k takes the k-th of b equal parts of [0, 1), all shifted by one number of the step.
            shift = float(generator(seed, step, 1 << 40).random())
            u = (shift + (place + u) / batch) % 1.0
        n = min(int(u * self.timesteps), self.timesteps - 1)
        eps = torch.from_numpy(random.standard_normal(tuple(x_0.shape), np.float32))
        if training.offset:
            each = torch.from_numpy(random.standard_normal((len(x_0), 1, 1, 1), np.float32))
            eps = eps + training.offset * each
        alpha, sigma = self.schedule(torch.tensor((n + 1) / self.timesteps, dtype=torch.float64))
        clip = window.sequence
        prompt = draw_prompt(clip.action, self.recipe.data, training.drop, random, clip.captions)
        return {
            "x": float(alpha) * x_0 + float(sigma) * eps,
            "target": eps,
            "n": torch.tensor(n),
            "text": self._given(prompt),
        }

    def _given(self, prompt: str) -> Tensor:
        """What the network takes of a prompt: an embedding, or the token numbers of a text network that is trained with it."""
        if isinstance(self.text, Words) and self.text.trained:
            return self.text.vocabulary.rows([prompt])[0]
        return self.text.embed([prompt])[0]

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error of eps, per sample."""
        x, target = batch["x"], batch["target"]
        if self.recipe.kind == "image":
            x, target = x[:, :, 0], target[:, :, 0]
        eps = network(x, batch["n"], batch["text"]).sample
        return (eps.float() - target).square().flatten(1).mean(1)

    def times(self, batch: Mapping[str, Tensor]) -> Tensor:
        """t of each sample; timestep n of T is (n + 1) / T."""
        return (batch["n"] + 1) / self.timesteps


@attrs.frozen(eq=False)
class Reconstruct:
    """The video decoder: latents of real clips back to their pixels."""

    recipe: Recipe
    features: EncoderFeatures | None = None

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """Keys: ``x`` (c f h w) latents with a little noise, ``target`` (3 f H W), ``first`` () frame for features."""
        random = generator(seed, step, place)
        window = windows.draw(random)
        x = windows.latents(window)
        noise = torch.from_numpy(random.standard_normal(tuple(x.shape), np.float32))
        # Between none and the full deviation: clean latents must stay in the decoder's experience.
        x = x + self.recipe.training.latent_noise * float(random.random()) * noise
        # Features of one stretch of frames a step cost a quarter of those of all.
        first = int(random.integers(max(windows.length - FEATURE_FRAMES, 0) + 1))
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


def objective_of(recipe: Recipe, text: EmbeddingTable | Words | None, device: torch.device) -> Objective:
    """What a recipe's network learns, with the encoder of its prompts; a decoder has none.

    Raises:
        InputError: a schedule without timesteps, or features of a codec that has none.
    """
    if text is None:
        return Reconstruct(recipe, _features(recipe, device))
    schedule = jvid.load("schedule", recipe.schedule.name, **recipe.schedule.options)
    timesteps = getattr(schedule, "timesteps", None)
    if timesteps is None:
        raise InputError(
            f"schedule.name: {recipe.schedule.name} has no table of timesteps; the eps objective needs a tabulated schedule"
        )
    return PredictNoise(recipe, schedule, timesteps, text)


def _features(recipe: Recipe, device: torch.device) -> EncoderFeatures | None:
    if not recipe.training.perceptual:
        return None
    return EncoderFeatures(jvid.load("codec", recipe.codec.name, **recipe.codec.options)).to(device)
