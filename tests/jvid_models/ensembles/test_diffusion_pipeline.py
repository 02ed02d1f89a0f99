"""An ensemble as a diffusers pipeline: its clips are those of the pipelines that it holds, its calls are those of diffusers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
import torch

import jvid
from jvid.errors import InputError
from jvid_models import JVIDPipeline
from jvid_models.diffusion_pipeline import output
from tests.jvid_models.ensembles.diffusion_pipelines import (
    IMAGE,
    PROMPT,
    STEPS,
    SVD,
    TURNS,
    TWO,
    VIDEO,
    WAN,
    alone,
    built,
    latents_of,
    off,
    own_run,
    pair,
    seeded,
)


@pytest.mark.parametrize("name", [IMAGE, SVD, WAN])
def test_a_pipeline_alone_makes_its_own_clip_of_the_same_generator(name: str) -> None:
    """SVD takes no prompt, and draws noise on its picture first."""
    found, expected = latents_of(alone(name)), own_run(name)
    assert off(found, expected) < 1e-5
    assert off(latents_of(alone(name), seed=8), expected) > 1e-2  # another clip of another generator


@pytest.mark.parametrize(
    "name",
    [
        "LTXImageToVideoPipeline",  # samples the encoded picture, which is then its first frame
        "HunyuanVideoFramepackPipeline",
        "WanImageToVideoPipeline:5b",
    ],
)
def test_a_pipeline_with_a_frame_of_its_own_makes_its_own_clip(name: str) -> None:
    pipe, arguments = built(name)
    given = {"num_inference_steps": STEPS, "output_type": "np"}
    expected = pipe(prompt=PROMPT, generator=seeded(), **given, **arguments)[0]
    assert off(alone(name)(PROMPT, generator=seeded(), **given).frames, expected) < 1e-5
    assert off(alone(name)(PROMPT, generator=seeded(8), **given).frames, expected) > 1e-2


def test_a_generator_goes_on_from_call_to_call_as_with_diffusers() -> None:
    pipe, generator, own = alone(WAN), seeded(), seeded()
    first, second = (latents_of(pipe, generator=generator) for _ in range(2))
    assert off(first, own_run(WAN, generator=own)) < 1e-5
    assert off(second, own_run(WAN, generator=own)) < 1e-5
    assert off(second, first) > 1e-2
    torch.manual_seed(3)
    unseeded = latents_of(pipe, generator=None)
    assert not torch.equal(latents_of(pipe, generator=None), unseeded)
    torch.manual_seed(3)
    assert torch.equal(latents_of(pipe, generator=None), unseeded)


def test_a_generator_for_each_clip_of_a_batch() -> None:
    pipe, prompts = alone(WAN), [PROMPT, "a blue bird"]

    def draws() -> list[torch.Generator]:
        return [seeded(1), seeded(2)]

    both = pipe(prompts, num_inference_steps=STEPS, generator=draws(), output_type="latent").frames
    assert off(both, own_run(WAN, prompt=prompts, generator=draws())) < 1e-5
    assert off(both[:1], latents_of(pipe, seed=1)) < 1e-5  # a clip does not depend on the others
    with pytest.raises(
        InputError, match=r"got 1 generators for 2 clips, expected one torch\.Generator, or a list"
    ):
        pipe(prompts, generator=[seeded()])


def test_options_of_a_call_are_those_of_the_pipeline() -> None:
    pipe = alone(WAN)
    given: dict[str, Any] = {
        "num_frames": 9,
        "height": 32,
        "width": 32,
        "guidance_scale": 2.0,
        "negative_prompt": "grey",
    }
    found = latents_of(pipe, **given)
    assert off(found, own_run(WAN, **given)) < 1e-5
    assert found.shape == (1, 16, 3, 4, 4)
    start = torch.randn(1, 16, 2, 4, 6, generator=seeded(5))
    assert off(latents_of(pipe, latents=start), own_run(WAN, latents=start)) < 1e-5
    with pytest.raises(InputError, match=r"frames 6: expected 4k \+ 1, such as 5 or 9"):
        pipe(PROMPT, num_frames=6)


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.5, 0.0, -2.0])
def test_the_guidance_of_a_call_reaches_jvids_own_adapter_too(scale: float) -> None:
    pipe = alone(IMAGE)
    given: dict[str, Any] = {"guidance_scale": scale, "negative_prompt": "grey"}
    assert type(pipe.ensemble.denoiser("image")).__name__ == "Parameterized"
    assert off(latents_of(pipe, **given), own_run(IMAGE, **given)) < 1e-5


def test_two_transformers_have_a_scale_each() -> None:
    found = latents_of(alone(TWO), guidance_scale={"high": 2.0, "low": 6.0})
    assert off(found, own_run(TWO, guidance_scale=2.0, guidance_scale_2=6.0)) < 1e-5


def test_experts_of_two_pipelines() -> None:
    """The same as `jvid.compose` of the same ensemble from the same first latents."""
    pipe = pair()
    found = latents_of(pipe, num_inference_steps=2)
    made = jvid.load("ensemble", video=alone(VIDEO).ensemble, image=alone(IMAGE).ensemble)
    composition = jvid.Composition(TURNS, made)
    x = torch.randn((1, *made.shape), generator=seeded())
    expected = composition.sampler()(made.shape, seeds=[0], x=x, cond=composition.condition([PROMPT]))
    assert off(found, expected) < 1e-5
    assert pipe.experts.names == ("video", "image")
    scaled = latents_of(pipe, num_inference_steps=2, guidance_scale={"image": 1.0})
    assert off(scaled, found) > 1e-4


def test_a_solver_that_draws_noise_draws_it_of_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = pair()
    monkeypatch.setattr(pipe, "strategy", attrs.evolve(TURNS, solver="ddpm"))
    start = torch.randn(1, 4, 3, 8, 8, generator=seeded())
    found = [latents_of(pipe, seed=seed, num_inference_steps=2, latents=start) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert off(found[0], found[2]) > 1e-2


def test_callbacks_see_and_replace_latents() -> None:
    pipe, steps = alone(WAN), []

    def watch(of: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        assert of is pipe
        steps.append((step, float(timestep)))
        return given

    def change(of: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {"latents": 0.5 * given["latents"]} if step == 1 else {}

    plain = latents_of(pipe)
    assert torch.equal(latents_of(pipe, callback_on_step_end=watch), plain)
    seen = list(steps)
    own: list[tuple[int, float]] = []

    def own_watch(of: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        own.append((step, float(timestep)))
        return given

    own_run(WAN, callback_on_step_end=own_watch)
    assert [step for step, _ in seen] == [0, 1, 2]
    assert seen == [(step, pytest.approx(n, rel=1e-5)) for step, n in own]
    changed = latents_of(pipe, callback_on_step_end=change)
    assert off(changed, own_run(WAN, callback_on_step_end=change)) < 1e-5
    assert off(changed, plain) > 1e-3
    with pytest.raises(InputError, match="names 'prompt_embeds': expected 'latents' alone"):
        pipe(PROMPT, callback_on_step_end=watch, callback_on_step_end_tensor_inputs=["prompt_embeds"])


def test_a_run_is_interrupted_after_a_step() -> None:
    pipe, seen = alone(WAN), []

    def stop(of: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        seen.append(given["latents"])
        of._interrupt = step == 1
        return given

    assert torch.equal(latents_of(pipe, callback_on_step_end=stop), seen[-1])
    assert len(seen) == 2
    assert off(latents_of(pipe), seen[-1]) > 1e-3  # the next run is whole


def test_frames_have_diffusers_formats(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipe = pair()
    arguments: dict[str, Any] = {"num_inference_steps": 2}

    made = pipe(PROMPT, generator=seeded(), **arguments)
    array, latents = made.frames, latents_of(pipe, **arguments)
    tensor, pictures = (output.as_frames(pipe.ensemble, latents, kind) for kind in ("pt", "pil"))
    assert array.shape == (1, 3, 64, 64, 3)
    assert array.min() >= 0.0
    assert array.max() <= 1.0
    assert torch.equal(tensor, torch.from_numpy(array).movedim(-1, 2))
    assert [np.asarray(one).tolist() for one in pictures[0]] == (255 * array[0]).round().astype(
        "uint8"
    ).tolist()
    own = pipe.ensemble.codec.decode(latents)
    assert off(tensor, (own.movedim(1, 2) / 2 + 0.5).clamp(0, 1)) < 1e-6
    assert isinstance(pipe(PROMPT, return_dict=False, output_type="latent", **arguments), tuple)
    with pytest.raises(InputError, match="output_type 'gif': expected one of np, pt, pil, latent"):
        pipe(PROMPT, output_type="gif")

    from diffusers.utils import export_utils

    written: list[Any] = []

    class Writer:
        def __init__(self, path: str, fps: float, **_: Any) -> None:
            written.append((path, fps))

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *_: object) -> None: ...

        def append_data(self, frame: Any) -> None:
            written.append(frame)

    fake = SimpleNamespace(get_writer=Writer, plugins=SimpleNamespace(ffmpeg=SimpleNamespace(get_exe=str)))
    monkeypatch.setattr(export_utils, "is_imageio_available", lambda: True)
    monkeypatch.setitem(sys.modules, "imageio", fake)
    export_utils.export_to_video(made.frames[0], str(tmp_path / "a.mp4"), fps=made.fps)
    assert written[0] == (str(tmp_path / "a.mp4"), 8.0)
    assert np.array_equal(np.stack(written[1:]), (array[0] * 255).astype("uint8"))


def test_devices_and_offloading_are_those_of_the_pipelines() -> None:
    pipe = pair()
    plain = latents_of(pipe, num_inference_steps=2)
    assert (pipe.device, pipe.dtype) == (torch.device("cpu"), torch.float32)
    assert pipe.components["image.unet"] is built(IMAGE)[0].unet
    pipe.enable_vae_tiling()
    assert pipe.pipelines["image"].vae.use_tiling
    pipe.disable_vae_tiling()
    assert type(pipe.ensemble.denoiser("image")).__name__ == "Parameterized"
    pipe.enable_model_cpu_offload(device="cpu")
    hooked = sorted(name for name, part in pipe.components.items() if hasattr(part, "_hf_hook"))
    assert hooked == [
        f"{name}.{part}" for name in ("image", "video") for part in ("text_encoder", "unet", "vae")
    ]
    assert off(latents_of(pipe, num_inference_steps=2), plain) < 1e-5
    # jvid's own adapter would not move weights.
    assert type(pipe.ensemble.denoiser("image")).__name__ == "PipelineDenoiser"
    pipe.remove_all_hooks()
    assert not any(hasattr(part, "_hf_hook") for part in pipe.components.values())
    assert type(pipe.ensemble.denoiser("image")).__name__ == "Parameterized"


def test_a_pipeline_of_another_precision_is_learned_anew() -> None:
    pipe = alone(WAN)
    assert pipe.to(torch.float64) is pipe
    try:
        assert built(WAN)[0].transformer.dtype == torch.float64
        assert off(latents_of(pipe), own_run(WAN)) < 1e-5
    finally:
        pipe.to(torch.float32)


def test_what_is_wrong_is_one_line() -> None:
    video, image = built(VIDEO)[0], built(IMAGE)[0]
    both = {"video": video, "image": image}
    for given, strategy, more, message in (
        (
            both,
            None,
            {},
            r"strategy None for the experts video, image: expected one, such as jvid.Strategy\('cycle",
        ),
        (both, "cycle:experts=video", {}, "no file 'cycle:experts=video'"),
        (
            both,
            jvid.Strategy("always:name=other", "ddim"),
            {},
            "selects expert 'other': expected video, image",
        ),
        ({}, TURNS, {}, "no experts: expected at least one"),
        (3, None, {}, "got 3: expected a pipeline of diffusers or its folder"),
        (both, TURNS, {"sizes": 3}, "unknown key 'sizes'"),
        (both, TURNS, {"options": {"other": {}}}, "options of expert 'other': expected video, image"),
        (
            both,
            TURNS,
            {"options": {"image": {"sizes": 3}}},
            "expert 'image': StableDiffusionPipeline has no option 'sizes'",
        ),
    ):
        with pytest.raises(InputError, match=message):
            JVIDPipeline(given, strategy, **more)
    with pytest.raises(InputError, match="guidance_scale names 'other': expected video, image"):
        pair()(PROMPT, guidance_scale={"other": 2.0})
    with pytest.raises(InputError, match="num_frames: no expert's pipeline takes it"):
        alone(IMAGE)(PROMPT, num_frames=3)
    assert output.JVIDPipelineOutput(1, 2.0).frames == 1
