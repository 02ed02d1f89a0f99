"""Tiny pipelines of the census: every class of the installed diffusers is built or named, and what is built matters."""

from __future__ import annotations

import pytest
import torch

from benchmarks.published import tiny
from benchmarks.published.tiny.classes import published
from benchmarks.published.tiny.runs import flaw, run
from jvid.errors import InputError


def test_every_class_of_the_installed_diffusers_is_built_or_named() -> None:
    assert set(tiny.names()) | set(tiny.missing()) == published()
    assert set(tiny.names()) & set(tiny.missing()) == set()
    assert [name for name, reason in tiny.missing().items() if reason == "has no recipe"] == []


def test_classes_of_other_work_are_not_counted() -> None:
    assert {"FluxPipeline", "WanImageToVideoPipeline", "StableVideoDiffusionPipeline"} <= published()
    assert {
        "WanVideoToVideoPipeline",
        "FluxControlNetPipeline",
        "StableDiffusionImg2ImgPipeline",
    } <= published()
    others = {"StableDiffusionInpaintPipeline", "FluxKontextPipeline", "AudioLDM2Pipeline", "DDIMPipeline"}
    assert others & published() == set()


def test_variants_are_of_classes_with_a_recipe() -> None:
    assert {name.partition(":")[0] for name in tiny.recipes()} <= set(tiny.recipes())
    assert {recipe.kind for recipe in tiny.recipes().values()} == {
        "text-to-image",
        "text-to-video",
        "image-to-video",
        "image-to-image",
        "video-to-video",
        "control-to-image",
        "control-to-video",
    }


@pytest.fixture(scope="module")
def flux() -> tiny.Tiny:
    return tiny.build("FluxPipeline")


def test_pipelines_are_drawn_from_the_seed_alone(flux: tiny.Tiny) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    same, other = tiny.build("FluxPipeline"), tiny.build("FluxPipeline", seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(run(same), run(flux))
    assert not torch.equal(run(other), run(flux))


@pytest.mark.parametrize(
    "name", ["FluxPipeline", "StableDiffusionPipeline:2", "WanPipeline:2.2", "LTXPipeline"]
)
def test_results_are_finite_and_depend_on_the_prompt(name: str) -> None:
    assert flaw(tiny.build(name)) is None


def test_results_that_do_not_depend_on_the_prompt_are_found(flux: tiny.Tiny) -> None:
    for encoder in (flux.pipe.text_encoder, flux.pipe.text_encoder_2):
        for parameter in encoder.parameters():
            parameter.zero_()
    assert flaw(flux) == "the same values for another prompt"


def test_results_that_do_not_depend_on_a_control_are_found() -> None:
    made = tiny.build("StableDiffusionControlNetPipeline")
    assert flaw(made) is None
    for parameter in made.pipe.controlnet.controlnet_cond_embedding.parameters():
        parameter.zero_()
    assert flaw(made) == "the same values for another image"


def test_two_networks_of_one_pipeline_differ() -> None:
    pipe = tiny.build("WanPipeline:2.2").pipe
    first, second = pipe.transformer.state_dict(), pipe.transformer_2.state_dict()
    assert first.keys() == second.keys()
    assert not any(torch.equal(value, second[name]) for name, value in first.items())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="'WanPipeline:3' has no tiny pipeline: expected one of"):
        tiny.build("WanPipeline:3")


def test_equal_parts_have_equal_weights_in_every_pipeline() -> None:
    wan, qwen = (tiny.build(name).pipe.vae for name in ("WanPipeline", "QwenImagePipeline"))
    assert wan.config.latents_mean == qwen.config.latents_mean
    weights = qwen.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in wan.state_dict().items())
