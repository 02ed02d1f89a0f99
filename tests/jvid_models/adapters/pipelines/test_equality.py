"""Denoisers of pipelines against diffusers' own runs on the same weights, with controls that must differ."""

from __future__ import annotations

import pytest
import torch

from benchmarks.published.comparison import compare, prepared_run
from jvid_models.adapters.pipelines.call import UnstatedSteps
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
    "WanVideoToVideoPipeline",  # begins with noise on a clip
    "StableDiffusionControlNetPipeline",
    "FluxControlNetPipeline",
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


def test_a_run_of_a_part_of_its_steps_knows_its_turns():
    """A ControlNet that ends half-way, in a run that begins behind its first steps."""
    name = "StableDiffusionControlNetImg2ImgPipeline:part"
    with pytest.raises(UnstatedSteps, match="does not do the same in each turn"):
        prepared_run(name)
    run = prepared_run(name, stated=True)
    assert len(run.grid) - 1 == run.denoiser.call.steps - run.denoiser.setting.skipped == 2
    assert run.error(run.sampled()) < 1e-5
