"""The video decoder: it learns, and features of the codec's encoder reach it alone."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

import jvid
from jvid.errors import InputError
from jvid_models.codecs import ImageCodec
from jvid_training.data.features import EncoderFeatures
from jvid_training.train.trainer import train
from tests.training_tools import prepare


def test_the_decoder_learns(tmp_path: Path) -> None:
    recipe = prepare(tmp_path, "decoder", steps=40, batch=2, checkpoint_every=20)
    recipe = attrs.evolve(recipe, optimiser=attrs.evolve(recipe.optimiser, lr=3e-3))
    losses: list[float] = []
    train(recipe, lambda progress: losses.append(progress.loss))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def tiny_autoencoder() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny(encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8))


def test_features_distinguish_a_blur_from_the_frames_and_reach_only_the_decoder() -> None:
    features = EncoderFeatures(ImageCodec(tiny_autoencoder()))
    random = np.random.Generator(np.random.Philox(1))
    target = torch.from_numpy(random.uniform(-1, 1, (2, 3, 4, 16, 16)).astype(np.float32))
    blurred = torch.nn.functional.avg_pool3d(target, (1, 3, 3), 1, (0, 1, 1)).requires_grad_()
    assert features.distance(target, target).tolist() == [0.0, 0.0]
    distance = features.distance(blurred, target)
    assert (distance > 0.1).all()
    distance.sum().backward()
    assert blurred.grad is not None
    assert blurred.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in features.parameters())
    alone = features.distance(blurred[:1], target[:1])
    assert alone.shape == (1,)
    with pytest.raises(InputError, match="needs a codec over AutoencoderTiny"):
        EncoderFeatures(object())


def test_the_decoder_trains_on_features(tmp_path: Path, monkeypatch) -> None:
    recipe = prepare(tmp_path, "decoder", steps=2, batch=2, perceptual=1.0)
    plain = attrs.evolve(
        recipe, out=str(tmp_path / "plain"), training=attrs.evolve(recipe.training, perceptual=0.0)
    )
    real = jvid.load

    def load(kind: str, name: str, **options: object) -> object:
        return ImageCodec(tiny_autoencoder()) if kind == "codec" else real(kind, name, **options)

    monkeypatch.setattr(jvid, "load", load)
    losses: dict[str, list[float]] = {"run": [], "plain": []}
    train(recipe, lambda progress: losses["run"].append(progress.loss))
    train(plain, lambda progress: losses["plain"].append(progress.loss))
    assert losses["run"][0] > losses["plain"][0]
