"""A clip expert that is trained on stills too, as clips of one frame.

    a step of clips      b clips of f frames
    a step of stills     b f clips of one frame, each with its own noise, time and caption

(Joint training on videos and images, Ho et al. 2022, *Video Diffusion Models*, section 3.2.) Both steps evaluate the network on
as many frames. Which of the two a step is depends on the recipe's seed and the step alone, so all processes agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import torch
from torch import Tensor, nn

from jvid.documents import check_same
from jvid.errors import InputError
from jvid_training.data.encoder_weights import check_same_encoder
from jvid_training.data.manifest import Manifest, load_manifest
from jvid_training.data.streams import generator
from jvid_training.data.windows import HELD_OUT_STEP, Windows
from jvid_training.recipe import Recipe
from jvid_training.train.objectives import PredictNoise, first

__all__ = ["Jointly", "manifests_of"]

_CHOICE = (1 << 40) + 1
"""The place in a batch of the number that decides what a step is of; no sample has it."""


def manifests_of(recipe: Recipe, main: Manifest) -> tuple[Manifest, ...]:
    """The manifests that a run draws samples of: that of its latents, and that of ``training.stills`` where a recipe names them.

    Raises:
        InputError: the recipe is not of clips, or the stills are not single frames of the clips' latent space.
    """
    folder = recipe.training.stills
    if not folder:
        return (main,)
    if recipe.kind != "video":
        raise InputError(
            f"training.stills: got a recipe of kind {recipe.kind!r}, expected 'video'; leave it out"
        )
    manifest = load_manifest(Path(folder))
    if manifest.frames != 1:
        raise InputError(
            f"training.stills: {folder} holds windows of up to {manifest.frames} frames, expected 1; encode with data.frames = 1"
        )
    here, there = (
        {"codec": each.key["codec"], "size": each.key["data"]["size"], "mean": each.mean, "std": each.std}
        for each in (main, manifest)
    )
    check_same(
        there,
        here,
        f"training.stills: {folder} is of another latent space",
        "encode both with one autoencoder, and data.statistics",
    )
    check_same_encoder(
        manifest.encoder,
        main.encoder,
        f"training.stills: {folder} holds latents of other weights than {recipe.data.latents}",
        "encode both with one autoencoder",
    )
    return main, manifest


@attrs.frozen(eq=False)
class Jointly:
    """The objective of a clip expert over clips and stills; see the module's head."""

    clips: PredictNoise
    stills: Windows
    share: float

    @classmethod
    def of(cls, objective: PredictNoise) -> Jointly:
        """The joint objective of a recipe whose ``training.stills`` is set."""
        training = objective.recipe.training
        return cls(objective, Windows(Path(training.stills)), training.stills_share)

    def is_of_stills(self, seed: int, step: int) -> bool:
        """Whether a step is of stills; held-out samples are of clips."""
        return step != HELD_OUT_STEP and float(generator(seed, step, _CHOICE).random()) < self.share

    def sample(self, windows: Windows, seed: int, step: int, place: int, batch: int) -> dict[str, Tensor]:
        """The keys of `PredictNoise.sample`; in a step of stills each has a leading axis of f clips of one frame."""
        return first(self.samples(windows, seed, step, [place], batch))

    def samples(
        self, windows: Windows, seed: int, step: int, places: Sequence[int], batch: int
    ) -> dict[str, Tensor]:
        """See `jvid_training.data.loading.MakesBatches`."""
        if not self.is_of_stills(seed, step):
            return self.clips.samples(windows, seed, step, places, batch)
        count = windows.length
        every = [place * count + row for place in places for row in range(count)]
        found = self.clips.samples(self.stills, seed, step, every, batch * count)
        return {name: values.unflatten(0, (len(places), count)) for name, values in found.items()}

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error of eps, per sample; of stills ``(b, f)``, of each of its f frames."""
        if batch["n"].ndim == 1:
            return self.clips.loss(network, batch)
        flat = {name: values.flatten(0, 1) for name, values in batch.items()}
        return self.clips.loss(network, flat).unflatten(0, batch["n"].shape)

    def table(self, device: torch.device) -> Tensor | None:
        """That of `PredictNoise.table`."""
        return self.clips.table(device)

    def times(self, batch: Mapping[str, Tensor]) -> Tensor:
        """t of each loss."""
        return self.clips.times(batch)
