"""Ensembles of diffusers' pipelines: in Python, from folders and on the command line, equal to the pipelines' own runs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import diffusers
import pytest
import torch
from torch import Tensor

import jvid
from benchmarks.published import tiny
from jvid.cli import main
from jvid.denoisers.framewise import Framewise
from jvid.errors import InputError, JvidWarning
from jvid.media import read_metadata
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import make
from jvid.pipeline.record import Clip, Record
from jvid.pipeline.write import targets, write_clips
from jvid_models.ensembles.pipelines import pipeline_ensemble
from jvid_models.ensembles.schedulers import solver_of

STEPS = 3
PROMPT = "a red cat"
IMAGE, VIDEO, WAN, TWO, QWEN = (
    "StableDiffusionPipeline", "TextToVideoSDPipeline", "WanPipeline", "WanPipeline:2.2", "QwenImagePipeline"
)  # fmt: skip


@cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    made = tiny.build(name)
    return made.pipe, {k: v for k, v in made.arguments.items() if k not in ("prompt", "num_inference_steps")}


@cache
def ensemble(name: str, **options: Any) -> jvid.Ensemble:
    pipe, arguments = built(name)
    return pipeline_ensemble(pipe, **arguments, **options)


def sampled(made: jvid.Ensemble, strategy: jvid.Strategy, x: Tensor) -> Tensor:
    composition = jvid.Composition(strategy, made)
    return composition.sampler()(made.shape, seeds=[0], x=x, cond=composition.condition([PROMPT]))


def own_run(name: str, x: Tensor) -> Tensor:
    """What the pipeline itself makes of the same noise, by its own scheduler."""
    pipe, arguments = built(name)
    latents = x[:, :, 0] if "num_frames" not in arguments else x
    made = pipe(
        PROMPT, num_inference_steps=STEPS, latents=latents.clone(), output_type="latent", **arguments
    )[0]
    return made.reshape(x.shape)


def noise(made: jvid.Ensemble) -> Tensor:
    return torch.randn((1, *made.shape), generator=torch.Generator().manual_seed(5))


def off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", [IMAGE, VIDEO, WAN, TWO])
def test_the_recommended_strategy_is_the_pipelines_own_run(name: str, native: bool) -> None:
    made = ensemble(name, native=native)
    x = noise(made)
    strategy = attrs.evolve(made.strategy, steps=STEPS)
    expected = own_run(name, x)
    assert off(sampled(made, strategy, x), expected) < 1e-5
    # It is no accident: other times give other latents.
    assert off(sampled(made, attrs.evolve(strategy, grid="by-angle"), x), expected) > 1e-3


def test_two_transformers_are_two_experts_with_the_boundary_and_scales_of_the_folder() -> None:
    made = ensemble(TWO)
    assert made.experts == ("high", "low")
    assert made.strategy.selector == jvid.Choice(
        "boundary", {"experts": "high+low", "at": 0.875, "by": "noise"}
    )
    assert [made.member(name).wrappers[0].options["scale"] for name in made.experts] == [4.0, 3.0]
    own = ensemble(TWO, native=False)
    assert [own.denoiser(name).own_guidance for name in own.experts] == [4.0, 3.0]
    assert jvid.Composition(attrs.evolve(made.strategy, steps=4), made).plan().counts == {"high": 2, "low": 2}


@pytest.mark.parametrize("name", [IMAGE, VIDEO])
def test_jvids_own_adapter_is_chosen_and_does_the_same(name: str) -> None:
    native, own = ensemble(name), ensemble(name, native=False)
    expert = native.experts[0]
    assert type(native.denoiser(expert)).__name__ == "Parameterized"
    assert type(own.denoiser(expert)).__name__ == "PipelineDenoiser"
    strategy, x = attrs.evolve(native.strategy, steps=STEPS), noise(native)
    assert off(sampled(native, strategy, x), sampled(own, strategy, x)) < 1e-5
    # Frames alike, and guidance that the pipeline does not know of.
    assert native.member(expert).wrappers == (jvid.Choice("guided", {"scale": 5.0}),)
    assert own.member(expert).wrappers == ()


def test_guidance_is_not_applied_twice() -> None:
    made = ensemble(IMAGE, native=False)
    with pytest.raises(InputError, match="guided already, with scale 5"):
        jvid.Guided(Framewise(made.denoiser("image")), 3.0)
    alone = pipeline_ensemble(built(IMAGE)[0], native=False, height=64, width=64, guidance_scale=1.0)
    guided = attrs.evolve(
        alone.strategy, steps=STEPS, experts={"*": jvid.ExpertStrategy(("guided:scale=5",))}
    )
    x = noise(made)
    assert off(sampled(alone, guided, x), sampled(made, attrs.evolve(made.strategy, steps=STEPS), x)) < 1e-5


def test_experts_of_two_pipelines_in_one_ensemble() -> None:
    """Text widths of their own, and the same latents."""
    pair = jvid.load("ensemble", video=built(VIDEO)[0], image=ensemble(IMAGE))
    assert (pair.experts, pair.frame_experts) == (("video", "image"), ("image",))
    both = pair.condition([PROMPT])
    assert isinstance(both, jvid.PerExpert)
    pair = jvid.load("ensemble", image=ensemble(IMAGE), video=ensemble(VIDEO))
    assert pair.shape == ensemble(VIDEO).shape  # of the clips, whatever comes first
    strategy = jvid.Strategy("cycle:experts=video+image", "ddim", "native", steps=4)
    x_0 = sampled(pair, strategy, noise(pair))
    assert pair.codec.decode(x_0).shape == (1, 3, 3, 64, 64)
    only = attrs.evolve(strategy, selector=jvid.Choice("always", {"name": "video"}))
    assert off(x_0, sampled(pair, only, noise(pair))) > 1e-3


def test_a_picture_is_requested_only_where_a_latent_frame_is_one() -> None:
    pair = jvid.load("ensemble", video=ensemble(WAN), image=ensemble(QWEN))
    strategy = jvid.Strategy("always:name=image", "euler", "native", steps=2)
    with pytest.raises(InputError, match=r"'image' denoises single pictures.*first-frame:others=video"):
        jvid.compose(strategy, pair)
    wrapped = attrs.evolve(strategy, experts={"image": jvid.ExpertStrategy(("first-frame:others=video",))})
    x = noise(pair)
    video = sampled(pair, attrs.evolve(strategy, selector="always:name=video"), x)
    mixed = sampled(pair, wrapped, x)
    assert off(mixed[:, :, :1], video[:, :, :1]) > 1e-3


def test_a_folders_space_is_that_of_the_loaded_pipeline(tmp_path: Path) -> None:
    built(QWEN)[0].save_pretrained(tmp_path)
    loaded = jvid.load("ensemble", str(tmp_path), **{k: built(QWEN)[1][k] for k in ("height", "width")})
    assert loaded.space == ensemble(QWEN).space == ensemble(WAN).space
    assert loaded.space.frames == 4


def test_spaces_that_differ_are_refused() -> None:
    pair = jvid.load("ensemble", video=ensemble(WAN), image=ensemble(IMAGE))
    with pytest.raises(InputError, match="and 'image' do not share a latent space: AutoencoderKLWan"):
        jvid.compose(jvid.Strategy("cycle:experts=video+image", steps=2), pair)


def test_a_clip_model_at_one_frame_is_an_expert_of_pictures() -> None:
    pipe, arguments = built(WAN)
    single = pipeline_ensemble(pipe, **{**arguments, "num_frames": 1})
    assert (single.experts, single.frame_experts, single.shape[1]) == (("image",), ("image",), 1)
    pair = jvid.load("ensemble", video=ensemble(WAN), image=single)
    assert pair.frame_experts == ("image",)
    with pytest.raises(InputError, match=r"'image' denoises single pictures"):
        jvid.compose(jvid.Strategy("always:name=image", "euler", "native", steps=2), pair)


@pytest.mark.parametrize(
    ("name", "frames", "expected"),
    [
        (WAN, 6, r"frames 6: expected 4k \+ 1, such as 5 or 9"),
        (WAN, 0, "frames 0: expected a whole number of frames, 1 or more"),
        (WAN, -3, "frames -3: expected a whole number"),
        (WAN, 5.0, r"frames 5\.0: expected a whole number"),
        (VIDEO, 0, "frames 0: expected a whole number"),
        (TWO, 7, r"frames 7: expected 4k \+ 1, such as 5 or 9"),
    ],
)
def test_frames_that_a_pipeline_would_round_are_refused(name: str, frames: Any, expected: str) -> None:
    pipe, arguments = built(name)
    options = {**arguments, "num_frames": frames}
    with pytest.raises(InputError, match=rf"^{type(pipe).__name__}: {expected}") as caught:
        pipeline_ensemble(pipe, **options)
    assert "\n" not in str(caught.value)


def test_an_expert_of_such_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    built(WAN)[0].save_pretrained("wan")
    text = "wan:height=32,width=48,num_frames={}"
    line = "expert 'video': ensemble 'wan': WanPipeline: frames 6: expected 4k + 1, such as 5 or 9"
    with pytest.raises(InputError) as caught:
        jvid.load("ensemble", video=text.format(6))
    assert str(caught.value) == line
    assert main(["plan", "--expert", f"video={text.format(6)}"]) == 2
    assert line in capsys.readouterr().err
    assert jvid.load("ensemble", video=text.format(9)).shape[1] == 3


def test_a_scheduler_that_clips_x_0_is_seen() -> None:
    """diffusers' DDIM keeps the eps of before: no x_0 says that."""
    pipe, arguments = built(IMAGE)
    before = pipe.scheduler
    pipe.scheduler = diffusers.DDIMScheduler.from_config(before.config, clip_sample=True)
    try:
        with pytest.warns(JvidWarning, match="clips x_0 and keeps the eps of the network"):
            made = pipeline_ensemble(pipe, **arguments)
        denoiser = made.denoiser("image")
        assert type(denoiser).__name__ == "PipelineDenoiser"
        x_0 = denoiser(noise(made), torch.tensor(0.5, dtype=torch.float64), made.condition([PROMPT]))
        assert x_0.abs().max() <= 1.0
    finally:
        pipe.scheduler = before


@pytest.mark.parametrize(
    ("scheduler", "options", "stated"),
    [
        (
            "DDIMScheduler",
            {"timestep_spacing": "linspace", "clip_sample": False},
            "levels that it does not visit next",
        ),
        ("DEISMultistepScheduler", {}, "has no equal solver, and euler takes its place"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, "draws noise"),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, "has no equal solver"),
    ],
)
def test_a_scheduler_without_an_equal_solver_is_warned_of(
    scheduler: str, options: dict[str, Any], stated: str
) -> None:
    with pytest.warns(JvidWarning, match=f"Pipe: its {scheduler} .*{stated}.*not diffusers' own run"):
        solver_of(getattr(diffusers, scheduler)(**options), "Pipe")


@pytest.mark.parametrize("native", [True, False])
def test_threads_use_a_pipeline_in_turn(native: bool) -> None:
    made = ensemble(TWO, native=native)
    strategy, x = attrs.evolve(made.strategy, steps=STEPS), noise(made)
    composition = jvid.Composition(strategy, made)
    alone = [
        composition.sampler()(made.shape, seeds=[0], x=x, cond=made.condition([p]))
        for p in ("a cat", "a dog")
    ]
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(
                lambda p: jvid.compose(strategy, made)(made.shape, seeds=[0], x=x, cond=made.condition([p])),
                ("a cat", "a dog"),
            )
        )
    for one, other in zip(alone, both, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert off(*alone) > 1e-3
    assert "forward" not in vars(built(TWO)[0].transformer)


def test_times_of_another_size_are_warned_of() -> None:
    pipe, arguments = built("FluxPipeline")
    before = pipe.scheduler
    shift = {"use_dynamic_shifting": True, "base_image_seq_len": 4, "max_image_seq_len": 64, "max_shift": 2.5}
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**shift)
    try:
        made = pipeline_ensemble(pipe, **arguments)
        c, f, h, w = made.shape
        cond = made.condition([PROMPT])
        with pytest.warns(JvidWarning, match=r"FluxPipeline visits other times at .*'height': 128"):
            made.denoiser("image")(torch.zeros(1, c, f, 2 * h, w), torch.tensor(0.5), cond)
    finally:
        pipe.scheduler = before


def test_folders_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (VIDEO, IMAGE):
        built(name)[0].save_pretrained(tmp_path / name)
    words = ["--expert", f"video={VIDEO}:height=64,width=64,num_frames=3,guidance_scale=5"]
    words += ["--expert", f"image={IMAGE}:guidance_scale=5", "--selector", "cycle:experts=video+image"]
    words += ["--solver", "ddim", "--grid", "native", "--steps", "2"]
    assert main(["sample", PROMPT, *words, "-o", "pair.mp4", "-o", "pair.safetensors"]) == 0
    assert read_metadata(tmp_path / "pair.mp4")["ensemble"]["experts"]["image"] == f"{IMAGE}:guidance_scale=5"
    pair = jvid.load("ensemble", video=ensemble(VIDEO), image=ensemble(IMAGE))
    strategy = jvid.Strategy("cycle:experts=video+image", "ddim", "native", steps=2)
    composition = jvid.Composition(strategy, pair)
    expected = composition.sampler()(pair.shape, seeds=[0], cond=composition.condition([PROMPT]))
    from safetensors.torch import load_file

    (latents,) = load_file(tmp_path / "pair.safetensors").values()
    assert off(latents.reshape(expected.shape), expected) < 1e-5
    assert main(["plan", *words]) == 0
    assert "video 1, image 1" in capsys.readouterr().out


class OwnPipeline(diffusers.StableDiffusionPipeline):
    """A class that no census has seen."""


def test_a_class_that_was_not_compared_is_named_in_the_clip(tmp_path: Path) -> None:
    own = OwnPipeline(**built(IMAGE)[0].components, requires_safety_checker=False)
    with pytest.raises(InputError, match=r"OwnPipeline was never compared.*untested=True"):
        pipeline_ensemble(own, height=64, width=64)
    for native in (True, False):
        alone = pipeline_ensemble(own, height=64, width=64, untested=True, native=native)
        assert alone.untested == {"image": "OwnPipeline"}
    strategy = jvid.Strategy("cycle:experts=video+image", "ddim", "native", steps=2)
    source = jvid.Source(experts={"video": VIDEO, "image": "OwnPipeline"})
    clips = [Clip(PROMPT, 0)]
    found = {}
    for name, image in (("own", alone), ("stock", ensemble(IMAGE))):
        pair = jvid.load("ensemble", video=ensemble(VIDEO), image=image)
        done = make(pair, strategy, clips, Batching(1))
        files = targets([tmp_path / f"{name}.mp4", tmp_path / f"{name}.safetensors"], 1)
        record = Record(source, tuple(clips), strategy, batches=done.batches)
        write_clips(pair, record, done, files)
        found[name] = [read_metadata(path) for path, _ in files]
    for metadata in found["own"]:
        assert metadata["untested"] == {"image": "OwnPipeline"}
        assert Record.read(metadata).clips == tuple(clips)
    assert [metadata for metadata in found["stock"] if "untested" in metadata] == []


def test_what_is_no_pipeline_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "AmusedPipeline"}))
    with pytest.raises(InputError, match="AmusedPipeline, which was never compared"):
        jvid.load("ensemble", str(tmp_path))
    with pytest.raises(
        InputError, match="expert 'height' is 32: expected a folder, a pipeline or a denoiser"
    ):
        jvid.load("ensemble", video=built(WAN)[0], height=32)
    with pytest.raises(InputError, match="got a object: expected a DiffusionPipeline"):
        jvid.load("ensemble", video=object())
    with pytest.raises(InputError, match="no name of a solver"):
        jvid.load("solver")
