"""Published networks in training: what is trained of them, memory for time, and models that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jvid.errors import InputError
from jvid_training.published.model import load_model
from jvid_training.published.network import PublishedNetwork
from tests.jvid_training.published.models import batch_of, gradients, loaded, recipe_of, saved

SD, SD3, CLIPS, TWO = (
    "StableDiffusionPipeline",
    "StableDiffusion3Pipeline",
    "TextToVideoSDPipeline",
    "WanPipeline:2.2",
)
SHORT = {"options": {"max_sequence_length": 32}}


@pytest.mark.parametrize(
    ("name", "sections"), [(SD, {"lora": {"rank": 2}}), (SD, {}), (SD3, {"network": SHORT})]
)
def test_layers_that_are_computed_again_have_the_same_gradients(name, sections, tmp_path_factory) -> None:
    recipe = recipe_of(saved(tmp_path_factory, name), **sections)
    model, network = loaded(recipe)
    batch, objective, _ = batch_of(recipe, model)
    found = []
    for again in (False, True):
        if again:
            network.checkpoint_layers()
        objective.loss(network, batch).mean().backward()
        found.append(dict(gradients(network)))
    for key, gradient in found[0].items():
        torch.testing.assert_close(found[1][key], gradient, rtol=1e-4, atol=1e-6)


def test_the_native_call_is_that_of_the_pipeline(tmp_path_factory) -> None:
    """A batch in one call, and row by row through the pipeline's own."""
    recipe = recipe_of(saved(tmp_path_factory, CLIPS), frames=3)
    model, network = loaded(recipe)
    own = PublishedNetwork(model, recipe, native=False)
    batch, _, _ = batch_of(recipe, model)
    with torch.no_grad():
        one, other = (each(batch["x"], batch["t"], batch["prompt"]) for each in (network, own))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_every_parameter_that_is_trained_has_a_gradient(tmp_path_factory) -> None:
    """Processes wait for the gradients of all of them; the last text layers of Qwen-Image have none."""
    folder = saved(tmp_path_factory, "QwenImagePipeline")
    for lora in (None, {"rank": 2, "targets": ["to_q", "add_q_proj", "to_add_out"]}):
        recipe = recipe_of(folder, network=SHORT, **({} if lora is None else {"lora": lora}))
        model, network = loaded(recipe)
        assert model.unused
        batch, objective, _ = batch_of(recipe, model)
        objective.loss(network, batch).mean().backward()
        trained = {name for name, each in network.named_parameters() if each.requires_grad}
        assert trained == dict(gradients(network)).keys()


def test_a_state_dict_of_adapters_holds_nothing_else(tmp_path_factory) -> None:
    recipe = recipe_of(saved(tmp_path_factory, SD), lora={"rank": 2})
    _, network = loaded(recipe)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert all("lora_" in name or name == "origin" for name in state)
    _, other = loaded(recipe)
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    other.load_state_dict(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({name: state[name] for name in list(state)[1:]})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (SD, {"frames": 8}, "StableDiffusionPipeline makes frames: expected kind = 'image', got 'video'"),
        (SD, {"network": {"expert": "low"}}, "has one network: got expert = 'low'"),
        (SD, {"network": {"options": {"guidance_scale": 3.0}}}, "trained without guidance, leave it out"),
        (SD, {"network": {"options": {"colour": 1}}}, "has no option 'colour'"),
        (SD, {"lora": {"rank": 2, "targets": ["to_x"]}}, "no layer of the UNet2DConditionModel is named 'to_x'"),
        (TWO, {"frames": 5}, "has two transformers: expected expert = 'high' or 'low'"),
        (TWO, {"frames": 6, "network": {"expert": "low"}}, r"frames 6: expected 4k \+ 1"),
        ("StableVideoDiffusionPipeline", {"frames": 3}, "missing 1 required positional argument: 'image'"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_in_one_line(name, changes: Any, message, tmp_path_factory) -> None:
    recipe = recipe_of(saved(tmp_path_factory, name), **changes)
    with pytest.raises(InputError, match=message) as caught:
        PublishedNetwork(load_model(recipe), recipe)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": {"name": "clip"}}, "text beside network.pipeline, which has its own"),
        ({"schedule": {"name": "cosine"}}, "schedule beside network.pipeline"),
        ({"network": {"dtype": "bfloat16"}}, r"network.dtype 'bfloat16' without \[lora\]"),
        ({"network": {"layers": 2}}, "layers: unknown key, expected one of dtype, expert"),
        ({"kind": "decoder"}, "network.pipeline of kind 'decoder'"),
    ],
)  # fmt: skip
def test_wrong_recipes_are_refused_before_a_model_is_read(changes, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        recipe_of(tmp_path, **changes)
