"""jvid's own adapters of Wan's and Qwen-Image's transformers are equal to the pipelines' own runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import diffusers
import pytest
import torch
from torch import Tensor

import jvid
from jvid.denoisers.framewise import Framewise
from jvid.errors import InputError
from jvid_models import JVIDPipeline
from jvid_models.adapters import transformer_network
from jvid_models.ensembles.pipelines import pipeline_ensemble
from tests.jvid_models.ensembles.native import (
    ALL,
    HALF,
    PROMPT,
    QWEN,
    STEPS,
    WAN,
    built,
    ensemble,
    is_native,
    noise,
    off,
    predicted,
    sampled,
    stock,
)


@pytest.mark.parametrize("name", ALL)
def test_a_run_equals_the_pipelines(name: str) -> None:
    pipe, arguments = built(name)
    made = pipeline_ensemble(pipe, **arguments)
    assert is_native(made)
    assert not is_native(pipeline_ensemble(pipe, native=False, **arguments))
    x = noise(made)
    expected = stock(pipe, x, **arguments)
    found = sampled(made, x, [PROMPT])
    assert off(found, expected) < 1e-5
    assert off(sampled(made, x, ["blue dogs run"]), expected) > 1e-3
    assert off(sampled(made, x, [PROMPT], grid="by-angle"), expected) > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_a_run_from_a_folder_equals_the_pipelines(name: str, tmp_path: Path) -> None:
    pipe, arguments = built(name)
    pipe.save_pretrained(tmp_path)
    made = jvid.load("ensemble", str(tmp_path), **arguments)
    assert is_native(made)
    x = noise(made)
    assert off(sampled(made, x, [PROMPT]), stock(pipe, x, **arguments)) < 1e-5
    assert made.codec.decode(x).shape[1] == 3


EULER = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
SOLVER = diffusers.DPMSolverMultistepScheduler(
    use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=2.0
)


@pytest.mark.parametrize(("name", "scheduler"), [(WAN, EULER), (WAN, SOLVER), (QWEN, EULER)])
def test_other_schedulers_of_flow(name: str, scheduler: Any) -> None:
    pipe, arguments = built(name)
    pipe.scheduler = scheduler
    made = pipeline_ensemble(pipe, **arguments)
    assert is_native(made)
    x = noise(made)
    assert off(sampled(made, x, [PROMPT]), stock(pipe, x, **arguments)) < 1e-5


@pytest.mark.parametrize("name", ALL)
def test_batches_of_prompts_of_several_lengths_and_times(name: str) -> None:
    native, own = ensemble(name), ensemble(name, native=False)
    prompts = [PROMPT, "a", "a bird over a grey sea in the evening"]
    x = noise(native, 3)
    together = predicted(native, prompts, x)
    assert off(together, predicted(own, prompts, x)) < 1e-5
    times = torch.tensor([0.9, 0.2, 0.9], dtype=torch.float64)
    mixed = predicted(native, prompts, x, times)
    for i, prompt in enumerate(prompts):
        assert off(predicted(native, [prompt], x[i : i + 1]), together[i : i + 1]) < 1e-5
        assert off(mixed[i : i + 1], predicted(native, [prompt], x[i : i + 1], times[i])) < 1e-5


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each call of a transformer of this module's ensembles."""
    rows: list[int] = []
    for name in (WAN, QWEN):
        made = ensemble(name)
        transformer = made.denoiser(made.experts[0]).network.transformer
        forward = transformer.forward

        def called(x: Tensor, *args: Any, own: Any = forward, **kwargs: Any) -> Any:
            rows.append(len(x))
            return own(x, *args, **kwargs)

        monkeypatch.setitem(vars(transformer), "forward", called)
    return rows


@pytest.mark.parametrize("name", [WAN, QWEN])
def test_short_rows_are_one_call_and_long_ones_one_each(
    name: str, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ensemble(name)
    x = noise(made, 2)
    together = predicted(made, [PROMPT, "a"], x)
    assert calls == [4]
    monkeypatch.setattr(transformer_network, "MOST", 1)
    calls.clear()
    assert off(predicted(made, [PROMPT, "a"], x), together) < 1e-5
    assert calls == [1, 1, 1, 1]


def test_frames_are_one_batch(calls: list[int]) -> None:
    made = ensemble(QWEN)
    c, _, h, w = made.shape
    x, cond = torch.randn(1, c, 3, h, w), made.condition([PROMPT])
    with torch.no_grad():
        together = Framewise(made.denoiser("image"))(x, HALF, cond)
        assert calls == [6]
        for i in range(3):
            assert off(made.denoiser("image")(x[:, :, [i]], HALF, cond), together[:, :, [i]]) < 1e-5


def test_guidance_of_wan_is_a_wrapper_and_that_of_qwen_image_its_own() -> None:
    pipe, arguments = built(WAN)
    made = ensemble(WAN)
    x = noise(made)
    guided = attrs.evolve(made.strategy, steps=STEPS, experts={"*": jvid.ExpertStrategy(("guided:scale=2",))})
    expected = stock(pipe, x, **{**arguments, "guidance_scale": 2.0})
    assert off(sampled(made, x, [PROMPT], experts=guided.experts), expected) < 1e-5
    with pytest.raises(InputError, match="guided already, with scale 3"):
        jvid.Guided(Framewise(ensemble(QWEN).denoiser("image")), 2.0)
    pipe, arguments = built(QWEN)
    for options in ({"true_cfg_scale": 1.0}, {"negative_prompt": None}):
        plain, own = pipeline_ensemble(pipe, **{**arguments, **options}), {**arguments, **options}
        x = noise(plain)
        assert off(sampled(plain, x, [PROMPT]), stock(pipe, x, **own)) < 1e-5
        guided = jvid.Guided(Framewise(plain.denoiser("image")), 2.0)(x, HALF, plain.condition([PROMPT]))
        assert off(guided, predicted(plain, [PROMPT], x)) > 1e-4


def test_a_pipeline_of_diffusers_with_scales_of_its_calls() -> None:
    pipe, arguments = built(QWEN)
    options = {key: value for key, value in arguments.items() if key != "true_cfg_scale"}
    whole = JVIDPipeline(pipe)
    x = noise(ensemble(QWEN))
    c, _, h, w = x.shape[1:]
    made = whole(
        PROMPT, height=8 * h, width=8 * w, negative_prompt="grey", guidance_scale=2.0, num_inference_steps=STEPS,
        latents=pipe._pack_latents(x[:, :, 0], 1, c, h, w), output_type="latent",
    ).frames  # fmt: skip
    assert off(torch.as_tensor(made), stock(pipe, x, **{**options, "true_cfg_scale": 2.0})) < 1e-5


@pytest.mark.parametrize("name", [WAN, QWEN])
def test_half_precision_is_as_near_as_the_pipelines_own_call(name: str) -> None:
    exact = predicted(ensemble(name), [PROMPT], x := noise(ensemble(name)))
    pipe, arguments = built(name)
    pipe.to(torch.bfloat16)
    native, own = (pipeline_ensemble(pipe, native=each, **arguments) for each in (True, False))
    assert is_native(native)
    found = predicted(native, [PROMPT], x)
    assert found.dtype == torch.float32
    assert off(found, exact) < max(1e-3, 1.5 * off(predicted(own, [PROMPT], x), exact))


@pytest.mark.parametrize("name", [WAN, QWEN])
def test_wrong_latents_and_conditions_are_one_line(name: str) -> None:
    made = ensemble(name)
    denoiser, x, cond = made.denoiser(made.experts[0]), noise(made), made.condition([PROMPT])
    with pytest.raises(InputError, match="latents of shape"):
        denoiser(x[..., 1:], HALF, cond)
    with pytest.raises(InputError, match="latents of shape"):
        denoiser(x[:, 1:], HALF, cond)
    with pytest.raises(InputError, match="needs the condition 'text'"):
        denoiser(x, HALF, {})
    with pytest.raises(
        InputError, match=r"the condition 'text' is shape \(1, 4, 7\): this transformer takes"
    ):
        denoiser(x, HALF, {**cond, "text": torch.zeros(1, 4, 7)})
