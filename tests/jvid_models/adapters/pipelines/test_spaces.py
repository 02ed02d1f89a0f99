"""Spaces that are measured on pipelines, and those of their autoencoders' configs: two ways to the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.published.tiny import build
from jvid.core.spaces import same_space
from jvid.errors import InputError
from jvid_models.adapters.pipelines import from_pipeline
from jvid_models.adapters.pipelines.entry import autoencoder_of
from jvid_models.adapters.space_configs import space_of_autoencoder

FAMILIES = (
    ("StableVideoDiffusionPipeline", "StableDiffusionPipeline"),
    ("WanPipeline", "QwenImagePipeline"),
)
OTHERS = ("LTXPipeline", "MochiPipeline", "StableDiffusion3Pipeline")


@pytest.fixture(scope="module")
def denoisers():
    return {name: _denoiser(name) for pair in (*FAMILIES, OTHERS) for name in pair}


def _denoiser(name):
    tiny = build(name)
    options = {
        key: value for key, value in tiny.arguments.items() if key not in ("prompt", "num_inference_steps")
    }
    return from_pipeline(tiny.pipe, untested=True, **options)


@pytest.mark.parametrize("name", [name for pair in (*FAMILIES, OTHERS) for name in pair])
def test_the_measured_space_is_that_of_the_autoencoder(denoisers, name):
    vae = autoencoder_of(denoisers[name].pipe)
    assert denoisers[name].space == space_of_autoencoder(vae)


def test_the_path_of_an_autoencoder_is_not_of_its_space():
    tiny = build("WanPipeline")
    vae = autoencoder_of(tiny.pipe)
    stated = space_of_autoencoder(vae)
    vae.register_to_config(_name_or_path=Path("models/wan"))
    assert space_of_autoencoder(vae) == stated


@pytest.mark.parametrize("pair", FAMILIES)
def test_pipelines_of_one_encoder_share_a_space(denoisers, pair):
    video, image = (denoisers[name] for name in pair)
    assert type(autoencoder_of(video.pipe)) is not type(autoencoder_of(image.pipe))
    assert same_space({"video": video, "image": image}) == video.space


def test_others_do_not(denoisers):
    named = {name: denoisers[name] for name in ("WanPipeline", "MochiPipeline")}
    with pytest.raises(InputError, match="'WanPipeline' and 'MochiPipeline' do not share"):
        same_space(named)
