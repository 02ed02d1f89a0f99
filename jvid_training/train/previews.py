"""Sheets of samples while a run goes on: ``out/samples/STEP.png``, and to the trackers that take pictures.

    image, video          each prompt: the expert alone; mixed with the other experts of an ensemble, where the recipe names one
    published models      each prompt: the pipeline's own run (`jvid_training.published.sampling`)
    decoder, autoencoder  each held-out clip or frame: as it is, and decoded

Weights are the moving average's, and noise is that of the seeds: sheets differ in the weights alone. What does not fit is refused
before the run; a sheet that fails later is a warning, and the run goes on.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

import jvid
from jvid import paper
from jvid.core.protocols import Condition
from jvid.ensemble import Composition, Deferred, Ensemble, Member
from jvid.errors import InputError, JvidWarning, one_line
from jvid.files import whole_file
from jvid.media.frames import to_frames
from jvid.strategy.simple import alone, simple
from jvid.strategy.strategy import Strategy
from jvid_models.adapters.unet import from_unet
from jvid_models.ensembles.folder import EnsembleFolder, is_ensemble_folder
from jvid_training.contact_sheet import sample_rows, sheet_picture
from jvid_training.data.manifest import Manifest
from jvid_training.data.prompts import sentences_of
from jvid_training.data.streams import generator
from jvid_training.data.windows import HELD_OUT_STEP, Split
from jvid_training.published.model import PublishedModel
from jvid_training.published.sampling import sampled_ensemble
from jvid_training.recipe import Recipe
from jvid_training.train.batches import Batches
from jvid_training.train.networks import unet_of

__all__ = ["Previews"]

FOLDER = "samples"
_COUNT = 4
"""Prompts, clips or frames of a sheet where the recipe names none."""
_DENOISES: Mapping[str, Any] = {"image": "frames", "video": "clips"}


class Previews:
    """The sheets of a run.

    Args:
        recipe: of the run, with ``training.samples_every`` above 0.
        batches: of the run.
        text: the encoder of its prompts; None for decoders and autoencoders.

    Raises:
        InputError: an ensemble, an expert, a strategy or prompts that do not fit the run.
    """

    def __init__(self, recipe: Recipe, batches: Batches, text: Any) -> None:
        self._recipe, self._batches, self._text = recipe, batches, text
        self._folder = Path(recipe.out) / FOLDER
        self._of_prompts = recipe.kind in _DENOISES
        if not self._of_prompts:
            return
        self._manifest: Manifest = batches.sources["train"].manifest
        self._prompts = recipe.samples.prompts or self._first_prompts()
        self._published: Ensemble | None = None
        if recipe.published is not None:
            self._published = self._own_pipeline(text)
            return
        self._schedule = jvid.load("schedule", recipe.schedule.name, **recipe.schedule.options)
        self._base = _folder(recipe.samples.ensemble) if recipe.samples.ensemble else None
        self._name = self._expert()
        self._check_space()
        trained = getattr(text, "network", nn.Identity())
        training = trained.training
        for strategy in self._rows(ensemble := self._ensemble(None)).values():
            composition = Composition(strategy, ensemble)
            composition.check()
            composition.condition(self._prompts)
        trained.train(training)

    def _own_pipeline(self, model: PublishedModel) -> Ensemble:
        samples = self._recipe.samples
        for name in ("ensemble", "expert", "strategy"):
            if getattr(samples, name):
                raise InputError(
                    f"samples.{name} of a published model, which samples by its pipeline's own run; leave it out"
                )
        ensemble = sampled_ensemble(model, self._recipe)
        if ensemble.strategy is None:
            raise InputError(
                f"training.samples_every: {type(model.whole.pipe).__name__} has no run of its own to sample by; set it to 0"
            )
        (strategy,) = self._rows(ensemble).values()
        composition = Composition(strategy, ensemble)
        composition.check()
        composition.condition(self._prompts)
        return ensemble

    def write(self, step: int, network: nn.Module) -> np.ndarray | None:
        """Write the sheet of a step; returns it ``(H, W, 3)`` uint8, None where it failed, with a warning.

        ``network`` owns the parameters, which have the averaged values.
        """
        training = network.training
        try:
            with torch.no_grad():
                picture = self._clips(network) if self._of_prompts else self._decoded(network)
            self._save(picture, step)
        except Exception as error:  # whatever it is, of a network, a codec or the disk
            warnings.warn(
                f"no samples at step {step}, the run goes on: {one_line(error, typed=True)}",
                JvidWarning,
                stacklevel=2,
            )
            return None
        finally:
            network.train(training)
        return picture

    def _save(self, picture: np.ndarray, step: int) -> None:
        from PIL import Image

        with whole_file(self._folder / f"{step:08d}.png") as part:
            Image.fromarray(picture).save(part, format="PNG")

    def _clips(self, network: nn.Module) -> np.ndarray:
        if self._published is not None:
            network.eval()
            self._text.whole.pipe.to(self._batches.device)
        ensemble = self._published or self._ensemble(network)
        rows, first = self._rows(ensemble), self._recipe.samples.seed
        seeds = [first + number for number in range(len(self._prompts))]
        device = str(self._batches.device)
        made = sample_rows(ensemble, self._prompts, rows, seeds, lambda row: None, device)
        return _stacked(
            {
                f"{prompt or 'no prompt'} (seed {seed})": {label: made[label][number] for label in rows}
                for number, (prompt, seed) in enumerate(zip(self._prompts, seeds, strict=True))
            }
        )

    def _decoded(self, network: nn.Module) -> np.ndarray:
        split: Split = "holdout" if "holdout" in self._batches.sources else "train"
        places = self._batches.first_alike(split, _COUNT)
        batch = self._batches.batch(split, HELD_OUT_STEP, places, _COUNT)
        network.eval()
        if self._recipe.kind == "decoder":
            true, found = (to_frames(video.float().cpu()) for video in (batch["target"], network(batch["x"])))
            return _stacked(
                {f"clip {k + 1}": {"true clip": true[k], "decoded": found[k]} for k in range(_COUNT)}
            )
        frames, _ = network(batch["x"], torch.zeros_like(batch["noise"]))
        # Frames side by side, as if they were a clip's.
        true, found = (to_frames(_row(each))[0] for each in (batch["x"], frames))
        return _stacked(
            {"held-out frames" if split == "holdout" else "frames": {"true": true, "decoded": found}}
        )

    def _rows(self, ensemble: Ensemble) -> dict[str, Strategy]:
        steps = self._recipe.samples.steps
        if self._recipe.published is not None:
            assert ensemble.strategy is not None
            return {self._recipe.name: attrs.evolve(ensemble.strategy, steps=steps)}
        if self._base is None:
            return {self._name: attrs.evolve(simple((self._name,)), steps=steps)}
        file = self._recipe.samples.strategy
        stated = Strategy.load(file) if file else ensemble.strategy or simple(ensemble.experts)
        mixture = attrs.evolve(stated, steps=steps)
        return {f"{self._name} alone": alone(mixture, self._name), "mixture": mixture}

    def _ensemble(self, network: nn.Module | None) -> Ensemble:
        """This expert, in the place of one of the ensemble's; without a network it cannot be sampled."""
        recipe, device = self._recipe, self._batches.device

        def denoiser() -> Any:
            unet: Any = unet_of(network)  # type: ignore[arg-type]
            return from_unet(unet, self._schedule)

        def conditioner(prompts: Sequence[str]) -> Condition:
            # Not the encoder's own call: it keeps the empty sentence's embedding, which changes where the encoder is trained.
            text, null = (self._text.embed(each).to(device) for each in (list(prompts), [""]))
            return {"text": text, "null": {"text": null.expand_as(text).contiguous()}}

        wrappers = (f"guided:scale={paper.GUIDANCE}",)
        own = Member(Deferred(denoiser), _DENOISES[recipe.kind], conditioner, wrappers, self._schedule)
        if self._base is None:
            shape = self._shape()
            return Ensemble(
                {self._name: own},
                shape,
                fps=recipe.data.fps,
                codec=Deferred(self._codec),
                schedule=self._schedule,
            )
        base = EnsembleFolder(self._base.folder, device=device).ensemble()
        return Ensemble(
            {name: own if name == self._name else member for name, member in base.members.items()},
            base.shape,
            fps=base.fps,
            codec=Deferred(lambda: base.codec),
            schedule=Deferred(lambda: base.schedule),
            strategy=base.strategy,
            name=base.name,
            # Compared before the run; the network here has none of its own.
            same_space=True,
        )

    def _shape(self) -> tuple[int, int, int, int]:
        """Of a clip in latents: the shape of an ensemble that is exported, or of the first bucket that has clips."""
        windows = self._batches.sources["train"]
        if shapes := windows.shapes():
            return (len(self._manifest.mean), *shapes[min(shapes)])
        c, _, h, w = windows.latents(windows.draw(generator(0, 0, 0)), 0).shape
        return c, self._recipe.data.frames, h, w

    def _codec(self) -> Any:
        choice = self._recipe.codec
        codec = jvid.load("codec", choice.name, **choice.options)
        return _Normalised(codec, self._manifest, self._batches.device)

    def _expert(self) -> str:
        samples, kind = self._recipe.samples, self._recipe.kind
        if self._base is None:
            for name in ("expert", "strategy"):
                if getattr(samples, name):
                    raise InputError(
                        f"samples.{name} without samples.ensemble: name its folder, or leave it out"
                    )
            return kind
        described = self._base.meta["experts"]
        same = [name for name, each in described.items() if each["denoises"] == _DENOISES[kind]]
        if samples.expert in same:
            return samples.expert
        if samples.expert or len(same) != 1:
            raise InputError(
                f"samples.expert: got {samples.expert!r}, expected one of those of {samples.ensemble} that denoise "
                f"{_DENOISES[kind]}, {', '.join(same) or 'of which there are none'}"
            )
        return same[0]

    def _first_prompts(self) -> tuple[str, ...]:
        return tuple(sentences_of([self._manifest], self._recipe.data)[1 : _COUNT + 1])

    def _check_space(self) -> None:
        """Refuse an ensemble of other latents; statistics to a thousandth, as an export compares them."""
        if self._base is None:
            return
        latents = self._base.meta["latents"]
        for name in ("mean", "std"):
            own = getattr(self._manifest, name)
            if len(own) != len(latents[name]) or not np.allclose(own, latents[name], rtol=1e-3, atol=1e-3):
                raise InputError(
                    f"samples.ensemble: {self._recipe.samples.ensemble} is of other latents than {self._recipe.data.latents} "
                    f"({name}: {latents[name]} there, {list(own)} here); export it from runs of the same encoding"
                )


def _folder(path: str) -> EnsembleFolder:
    if not is_ensemble_folder(path):
        raise InputError(
            f"samples.ensemble: no ensemble in {path}, expected a folder that `jvid export` wrote"
        )
    return EnsembleFolder(path)


class _Normalised:
    """A codec of latents in units of the training latents' deviation."""

    def __init__(self, codec: Any, manifest: Manifest, device: torch.device) -> None:
        self._codec = codec.to(device) if hasattr(codec, "to") else codec
        self._mean, self._std = (
            torch.tensor(values, device=device)[:, None, None, None]
            for values in (manifest.mean, manifest.std)
        )

    def encode(self, video: Tensor) -> Tensor:
        """Frames ``(b 3 f H W)`` -> latents ``(b c f h w)``."""
        return (self._codec.encode(video) - self._mean) / self._std

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``(b c f h w)`` -> frames ``(b 3 f H W)``."""
        return self._codec.decode(latents * self._std + self._mean)


def _row(frames: Tensor) -> Tensor:
    """Frames ``(n 3 H W)`` as a clip ``(1 3 n H W)``."""
    return frames.float().cpu().transpose(0, 1)[None]


def _stacked(sheets: Mapping[str, Mapping[str, np.ndarray]]) -> np.ndarray:
    """Sheets by their titles, one below the other."""
    return np.concatenate([np.asarray(sheet_picture(title, rows)) for title, rows in sheets.items()])
