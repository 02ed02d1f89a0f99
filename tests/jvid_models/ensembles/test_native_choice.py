"""When jvid's own adapters of transformers are chosen, and what they see: edits, LoRA, weights that are away."""

from __future__ import annotations

import importlib.util
from typing import Any

import attrs
import diffusers
import pytest
import torch

import jvid
from jvid.errors import InputError
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import decoded, make
from jvid.pipeline.offload import Offload
from jvid.pipeline.record import Clip
from jvid_models.ensembles.pipelines import pipeline_ensemble
from tests.jvid_models.ensembles.native import (
    PROMPT,
    QWEN,
    STEPS,
    TWO,
    WAN,
    built,
    ensemble,
    is_native,
    noise,
    off,
    predicted,
    sampled,
)
from tests.jvid_models.ensembles.test_offload import Spoiled


class Other(diffusers.WanPipeline):
    """Another class of pipeline, which may do anything."""


def other_transformer(transformer: Any) -> Any:
    kind = type("Other", (type(transformer),), {})
    found = kind.from_config(transformer.config).eval()
    found.load_state_dict(transformer.state_dict())
    return found


def seeing(pipe: Any) -> None:
    pipe.transformer.register_to_config(added_kv_proj_dim=24)


def cached(pipe: Any) -> None:
    pipe.transformer.enable_cache(diffusers.FirstBlockCacheConfig(threshold=0.1))


def hooked(pipe: Any) -> None:
    pipe.transformer.blocks[0].register_forward_hook(lambda *given: None)


def replaced(pipe: Any) -> None:
    pipe.transformer = other_transformer(pipe.transformer)


def of_eps(pipe: Any) -> None:
    pipe.scheduler = diffusers.UniPCMultistepScheduler()


@pytest.mark.parametrize("change", [cached, hooked, replaced, of_eps, seeing])
def test_what_the_adapter_does_not_do_is_the_pipelines_own_call(change: Any) -> None:
    pipe, arguments = built(WAN)
    change(pipe)
    assert not is_native(pipeline_ensemble(pipe, **arguments))


def test_options_and_classes_that_are_not_known_are_the_pipelines_own_call() -> None:
    pipe, arguments = built(WAN)
    assert not is_native(pipeline_ensemble(pipe, attention_kwargs={"scale": 0.5}, **arguments))
    assert is_native(pipeline_ensemble(pipe, **arguments))
    parts = {**pipe.components, "transformer_2": None, "boundary_ratio": None, "expand_timesteps": False}
    assert not is_native(pipeline_ensemble(Other(**parts), untested=True, **arguments))


def test_a_cache_behind_the_ensemble_is_refused() -> None:
    pipe, arguments = built(WAN)
    made = pipeline_ensemble(pipe, **arguments)
    cached(pipe)
    with pytest.raises(InputError, match="cache was enabled in a WanTransformer3DModel behind its ensemble"):
        predicted(made, [PROMPT], noise(made))


@pytest.mark.parametrize("name", [WAN, QWEN])
def test_edited_weights_are_seen(name: str) -> None:
    pipe, arguments = built(name)
    native, own = (pipeline_ensemble(pipe, native=each, **arguments) for each in (True, False))
    x = noise(native)
    before = predicted(native, [PROMPT], x)
    for weight in pipe.transformer.parameters():
        weight.data.mul_(1.05)
    after = predicted(native, [PROMPT], x)
    assert off(after, before) > 1e-3
    assert off(after, predicted(own, [PROMPT], x)) < 1e-5
    for weight in pipe.text_encoder.parameters():
        weight.data.mul_(1.5)
    encoded = predicted(native, [PROMPT], x)
    assert off(encoded, after) > 1e-5
    assert off(encoded, predicted(own, [PROMPT], x)) < 1e-5


@pytest.mark.parametrize("name", [WAN, TWO, QWEN])
@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
def test_lora_is_seen(name: str) -> None:
    pipe, arguments = built(name)
    native, own = (pipeline_ensemble(pipe, native=each, **arguments) for each in (True, False))
    x = noise(native)
    before = predicted(native, [PROMPT], x)
    block = "transformer_blocks.0.attn" if name == QWEN else "blocks.0.attn1"
    width = pipe.transformer.get_submodule(f"{block}.to_q").in_features
    draws = torch.Generator().manual_seed(0)
    shapes = {"lora_A": (2, width), "lora_B": (width, 2)}
    weights = {
        f"transformer.{block}.to_q.{part}.weight": torch.randn(shape, generator=draws)
        for part, shape in shapes.items()
    }
    pipe.load_lora_weights(weights, adapter_name="one")
    for change in (
        lambda: None,
        lambda: pipe.set_adapters(["one"], [0.4]),
        lambda: pipe.fuse_lora(adapter_names=["one"]),
    ):
        change()
        assert off(found := predicted(native, [PROMPT], x), before) > 1e-4
        assert off(found, predicted(own, [PROMPT], x)) < 1e-5
        assert is_native(pipeline_ensemble(pipe, **arguments))


def test_two_experts_encode_their_prompts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, arguments = built(TWO)
    made = pipeline_ensemble(pipe, **arguments)
    seen: list[Any] = []
    forward = pipe.text_encoder.forward
    monkeypatch.setitem(
        vars(pipe.text_encoder), "forward", lambda *a, **k: (seen.append(len(a[0])), forward(*a, **k))[1]
    )
    sampled(made, noise(made, 2), [PROMPT, "a"])
    assert seen.count(2) == 2  # the prompts, and the null ones; others are of the grid


@pytest.mark.parametrize("mode", ["plan", "sequential"])
@pytest.mark.parametrize("name", [TWO, QWEN])
def test_nothing_uses_weights_that_are_away(name: str, mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ensemble(name)
    strategy = attrs.evolve(made.strategy, steps=STEPS)
    clips = [Clip(PROMPT, 0)]
    expected = make(made, strategy, clips, Batching(1)).latents
    movers: list[Spoiled] = []
    monkeypatch.setattr(
        "jvid.machine.on_demand._transfers", lambda *given: movers.append(Spoiled(*given)) or movers[-1]
    )
    try:
        with Offload(jvid.Composition(strategy, made), mode) as offload:
            found = make(made, strategy, clips, Batching(1), offload=offload).latents
            (pixels,) = decoded(made, found)
    finally:
        (mover,) = movers
        for unit in mover.units:
            mover.fetch(unit, False)
    assert torch.equal(found, expected)
    assert pixels.isfinite().all()
    assert any("transformer" in unit for unit in mover.units)
