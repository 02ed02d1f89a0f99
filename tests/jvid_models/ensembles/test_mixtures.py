"""Mixtures of pipelines that share a latent space, as published models do, to decoded frames."""

from __future__ import annotations

import re

import pytest

from benchmarks.published.mixtures import ITSELF, PAGE, Mixture, mixture, pairs

PAIRS = {
    "an EDM and a table": ("Stable Diffusion", "StableVideoDiffusionPipeline", "StableDiffusionPipeline"),
    "v with zero terminal SNR and eps": (
        "Stable Diffusion", "AnimateDiffPipeline", "StableDiffusionPipeline:2",
    ),
    "texts of other widths": ("Stable Diffusion", "TextToVideoSDPipeline", "PixArtAlphaPipeline"),
    "two networks and a picture": ("Wan 2.1", "WanPipeline:2.2", "QwenImagePipeline"),
    "flow that explodes": ("Wan 2.1", "WanPipeline", "Cosmos2TextToImagePipeline"),
    "text and a picture of the first frame": ("Wan 2.1", "WanPipeline", "WanImageToVideoPipeline"),
    "Wan and itself at one frame": ("Wan 2.1", "WanPipeline", ITSELF),
    "two families of clips": ("HunyuanVideo", "HunyuanVideoPipeline", "Kandinsky5T2VPipeline"),
    "LTX and itself": ("LTX", "LTXPipeline", ITSELF),
}  # fmt: skip


@pytest.mark.parametrize("pair", [pytest.param(each, id=name) for name, each in PAIRS.items()])
def test_two_pipelines_of_one_space_make_a_clip(pair: tuple[str, str, str]) -> None:
    found = mixture(Mixture(*pair))
    assert found.reason == ""
    assert found.frames is not None
    assert found.frames[2] > 1
    assert found.change > 1e-4


def test_the_page_has_each_pair() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| (\w+Pipeline[:.\w]*) \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.M
    )
    assert rows == [(each.space, each.video, each.image) for each in pairs()]


def test_two_that_share_no_space_are_refused() -> None:
    found = mixture(Mixture("none", "WanPipeline", "StableDiffusionPipeline"))
    assert found.frames is None
    assert "do not share a latent space" in found.reason
