"""Each class of published models from a saved folder on the command line, against the loaded pipeline in Python.

The latter equals diffusers' own run (`tests.jvid_models.adapters.pipelines.test_equality`). The tiny HunyuanVideo's template of
prompts, a dictionary, takes the place of the default one: no option of the command line is a dictionary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video
from safetensors.torch import load_file

import jvid
from benchmarks.published import tiny
from jvid.cli import main
from jvid_models.ensembles.pipelines import pipeline_ensemble

PROMPT = "a fox in the snow"
SLOW = (
    "StableDiffusionPipeline:2", "StableDiffusionXLPipeline", "TextToVideoSDPipeline", "AnimateDiffPipeline",
    "StableVideoDiffusionPipeline", "WanPipeline", "WanPipeline:2.2", "WanImageToVideoPipeline:5b", "LTXPipeline",
    "LTXImageToVideoPipeline", "LTX2Pipeline", "CogVideoXPipeline", "HunyuanVideoPipeline", "MochiPipeline", "FluxPipeline",
    "StableDiffusion3Pipeline", "QwenImagePipeline",
)  # fmt: skip
CLASSES = ["StableDiffusionPipeline", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("name", CLASSES)
def test_a_saved_folder_makes_the_latents_of_the_loaded_pipeline(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = tiny.build(name)
    made.pipe.save_pretrained("model")
    given = {k: v for k, v in made.arguments.items() if k not in ("prompt", "num_inference_steps")}
    if (template := given.pop("prompt_template", None)) is not None:
        for key, value in template.items():
            monkeypatch.setitem(pipeline_hunyuan_video.DEFAULT_PROMPT_TEMPLATE, key, value)
    inputs: dict[str, Any] = {
        k: v for k, v in given.items() if not isinstance(v, str | int | float | bool | None)
    }
    options = {k: v for k, v in given.items() if k not in inputs}
    loaded = pipeline_ensemble(made.pipe, inputs=inputs, **options)
    words = ["--ensemble", "model:" + ",".join(f"{k}={v}" for k, v in options.items()), "--steps", "2"]
    for key, picture in inputs.items():
        picture.save(f"{key}.png")
        words += ["--input", f"{loaded.experts[0]}.{key}={key}.png"]
    assert main(["sample", PROMPT, *words, "--seed", "3", "-o", "x.safetensors"]) == 0
    (found,) = load_file("x.safetensors").values()

    composition = jvid.Composition(attrs.evolve(loaded.strategy, steps=2), loaded)

    def latents(prompt: str) -> torch.Tensor:
        return composition.sampler()(loaded.shape, seeds=[3], cond=composition.condition([prompt]))

    expected = latents(PROMPT)
    assert (found.reshape(expected.shape) - expected).abs().max() < 1e-5 * expected.abs().max()
    if name != "StableVideoDiffusionPipeline":
        assert (latents("a car") - expected).abs().max() > 1e-3 * expected.abs().max()
