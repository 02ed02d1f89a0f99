"""Denoisers of pipelines against diffusers' own runs on the same weights, with controls that must differ."""

from __future__ import annotations

import pytest
import torch

from benchmarks.published.comparison import compare, prepared_run
from jvid_models.adapters.pipelines.compared import COMPARED

STREAMS = ("LTX2Pipeline",)
CLASSES = (
    "StableDiffusionPipeline",
    "StableDiffusionPipeline:2",  # v with zero terminal SNR
    "StableDiffusionXLPipeline",
    "TextToVideoSDPipeline",
    "AnimateDiffPipeline",
    "StableVideoDiffusionPipeline",
    "WanPipeline",
    "WanPipeline:2.2",  # two networks
    "WanImageToVideoPipeline",
    "WanImageToVideoPipeline:5b",  # a time for each token, a first frame that is given
    "LTXPipeline",
    "LTXImageToVideoPipeline",
    "LTX2Pipeline",
    "CogVideoXPipeline",
    "CogVideoXImageToVideoPipeline",
    "HunyuanVideoPipeline",
    "MochiPipeline",
    "FluxPipeline",
    "StableDiffusion3Pipeline",
    "QwenImagePipeline",
    "CogView4Pipeline",  # timesteps before the shift
    "Cosmos2TextToImagePipeline",  # flow that explodes
)


@pytest.mark.parametrize("name", CLASSES)
def test_a_run_equals_the_pipelines_own(name):
    run = prepared_run(name)
    found = compare(run)
    assert run.denoiser.call.who in COMPARED
    assert found.error < 1e-5
    assert found.shifted > 1e-3
    assert found.prompt is None or found.prompt > 1e-3
    assert found.streams == (name in STREAMS)
    assert torch.isfinite(run.stock).all()
