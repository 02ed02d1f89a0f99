"""Pipelines with conditions of their own as experts: pictures and clips in Python, by files, and made again."""

from __future__ import annotations

import importlib
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import jvid
from benchmarks.published import tiny
from benchmarks.published.comparison import RESERVED, with_first_order
from jvid.cli import main
from jvid.core.state import start
from jvid.errors import InputError
from jvid.media import read_metadata
from jvid.media.given import read_given

STEPS = 3
PROMPT = "a red cat"
WAN, I2V, SVD = "WanPipeline", "WanImageToVideoPipeline", "StableVideoDiffusionPipeline"
CHANGING = "WanVideoToVideoPipeline"
CONTROLLED = "StableDiffusionControlNetPipeline"
GIVEN = {
    CHANGING: ("video", "video", "clip.gif"),
    CONTROLLED: ("image", "image", "drawing.png"),
    "FluxControlNetPipeline": ("image", "control_image", "drawing.png"),
}
"""By class: its expert, the argument, and a file for it."""

FOLDER = "i2v:height=32,width=48,num_frames=5,guidance_scale=4,max_sequence_length=32"


def picture(seed: int, width: int = 48, height: int = 32) -> Image.Image:
    draws = np.random.default_rng(seed)
    return Image.fromarray(draws.integers(0, 255, (height, width, 3), dtype=np.uint8))


@cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    """A tiny pipeline and its options, without its pictures and what a run brings."""
    made = tiny.build(name)
    with_first_order(made.pipe)
    plain = str | int | float
    return made.pipe, {k: v for k, v in made.arguments.items() if k not in RESERVED and isinstance(v, plain)}


def of(pipeline: tuple[Any, dict[str, Any]], **inputs: Any) -> jvid.Ensemble:
    pipe, options = pipeline
    return jvid.load("ensemble", "pipeline", pipe=pipe, inputs=inputs, **options)


def sampled(made: jvid.Ensemble, *prompts: str, **run: Any) -> Tensor:
    composition = jvid.Composition(attrs.evolve(made.strategy, steps=STEPS), made)
    prompts = prompts or (PROMPT,)
    seeds = list(range(len(prompts)))
    return composition.sampler()(made.shape, seeds=seeds, cond=composition.condition(prompts), **run)


def off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def test_a_picture_is_one_experts_condition() -> None:
    one, other = of(built(I2V), image=picture(0)), of(built(I2V), image=picture(1))
    plain = jvid.load("ensemble", "pipeline", pipe=built(WAN)[0], **built(WAN)[1])
    assert off(sampled(one), sampled(other)) > 1e-3
    pair = jvid.load("ensemble", first=one, video=plain)
    strategy = jvid.Strategy("cycle:experts=first+video", "euler", "native", steps=STEPS)
    composition = jvid.Composition(strategy, pair)
    mixed = composition.sampler()(pair.shape, seeds=[0], cond=composition.condition([PROMPT]))
    assert off(mixed, sampled(one)) > 1e-3


def test_a_control_net_follows_its_picture_for_each_prompt_of_a_batch() -> None:
    made = of(built(CONTROLLED), image=picture(0, 64, 64))
    assert made.experts == ("image",)
    x = torch.randn((2, *made.shape), generator=torch.Generator().manual_seed(5))
    pipe, options = built(CONTROLLED)
    stock = torch.cat(
        [
            pipe(
                prompt, image=picture(0, 64, 64), latents=x[i : i + 1, :, 0], num_inference_steps=STEPS,
                output_type="latent", **options,
            )[0]
            for i, prompt in enumerate((PROMPT, "a green bird"))
        ]
    )  # fmt: skip
    assert off(sampled(made, PROMPT, "a green bird", x=x)[:, :, 0], stock) < 1e-5
    other = of(built(CONTROLLED), image=picture(1, 64, 64))
    assert off(sampled(other, PROMPT, "a green bird", x=x)[:, :, 0], stock) > 1e-3


def test_a_run_that_changes_a_clip_begins_with_noise_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = [picture(i) for i in range(5)]
    made = of(built(CHANGING), video=clip)
    assert (made.experts, made.frame_experts) == (("video",), ())
    pipe, options = built(CHANGING)
    first = jvid.compose(attrs.evolve(made.strategy, steps=STEPS), made).plan().steps[0].start
    assert first.t < 0.95  # the steps before the strength are skipped
    z = start(made.shape, [0], first) / (first.alpha**2 + first.sigma**2) ** 0.5
    module = importlib.import_module(type(pipe).__module__)
    with monkeypatch.context() as patch:
        patch.setattr(module, "randn_tensor", lambda *args, **kwargs: z)
        stock = pipe(clip, PROMPT, num_inference_steps=STEPS, output_type="latent", **options)[0]
    assert off(sampled(made), stock) < 1e-5
    assert off(sampled(of(built(CHANGING), video=clip[::-1])), stock) > 1e-3
    # In a mixture too.
    pair = jvid.load("ensemble", plain=of(built(WAN)), changed=made)
    assert pair.changes_a_clip
    assert torch.equal(pair.clean, made.clean)
    assert pair.times(STEPS) == made.times(STEPS)


def test_a_pipeline_without_prompts_has_an_empty_condition() -> None:
    made = of(built(SVD), image=picture(0, 64, 64))
    composition = jvid.Composition(attrs.evolve(made.strategy, steps=2), made)
    cond = composition.condition([PROMPT])
    assert cond == {}
    x = composition.sampler()(made.shape, seeds=[0], cond=cond)
    assert torch.isfinite(x).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("inputs")
    built(I2V)[0].save_pretrained(place / "i2v")
    for name in GIVEN:
        built(name)[0].save_pretrained(place / name)
    picture(0).save(place / "first.png")
    picture(1).save(place / "other.png")
    picture(2, 64, 64).save(place / "drawing.png")
    first, *others = [picture(seed) for seed in range(5)]
    first.save(place / "clip.gif", save_all=True, append_images=others)
    return place


def words_of(name: str, *more: str) -> list[str]:
    """A command that samples of one saved pipeline alone."""
    expert, options = GIVEN[name][0], ",".join(f"{k}={v}" for k, v in built(name)[1].items())
    solver = ["--selector", f"always:name={expert}", "--solver", "ddim", "--grid", "native"]
    return ["sample", PROMPT, "--expert", f"{expert}={name}:{options}", *more, *solver, "--steps", str(STEPS)]


@pytest.mark.parametrize("name", GIVEN)
def test_clips_and_drawings_by_file_are_those_of_python(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    expert, argument, file = GIVEN[name]
    words = words_of(name, "--input", f"{expert}.{argument}={file}")
    assert main([*words, "-o", "a.safetensors"]) == 0
    latents = load_file("a.safetensors")["latents"]
    wanted = sampled(of(built(name), **{argument: read_given(file)}))
    assert off(latents.reshape(wanted.shape), wanted) < 1e-5


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_input_is_named_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
) -> None:
    monkeypatch.chdir(folder)
    assert main([*words_of(name), "-o", "x.safetensors"]) == 2
    expert, argument, _ = GIVEN[name]
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"expert '{expert}': " in line
    assert f"{name} got no {argument}, and cannot be called" in line
    assert f"--input NAME.{argument}=FILE" in line
    assert not Path("x.safetensors").exists()


def test_a_file_on_the_command_line_and_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(folder)
    words = ["sample", PROMPT, "--expert", f"video={FOLDER}", "--input", "video.image=first.png"]
    words += ["--selector", "always:name=video", "--solver", "euler", "--grid", "native", "--steps", "2"]
    assert main([*words, "-o", "a.safetensors"]) == 0
    stated = read_metadata("a.safetensors")["ensemble"]["inputs"]["video"]["image"]
    assert (stated["path"], len(stated["sha256"])) == ("first.png", 64)
    assert main(["sample", "--again", "a.safetensors", "-o", "b.safetensors"]) == 0
    changed = ["--again", "a.safetensors", "--input", "video.image=other.png"]
    assert main(["sample", *changed, "-o", "c.safetensors"]) == 0
    a, b, c = (load_file(f"{name}.safetensors")["latents"] for name in "abc")
    assert torch.equal(a, b)
    assert off(c, a) > 1e-3
    before = Path("first.png").read_bytes()
    assert main([*words, "-o", "first.png"]) == 2
    assert "output 'first.png' is read, too: it would be replaced" in capsys.readouterr().err
    assert Path("first.png").read_bytes() == before
    shutil.copy("other.png", "first.png")
    capsys.readouterr()
    assert main(["sample", "--again", "a.safetensors", "-o", "d.safetensors"]) == 2
    assert "'first.png' has changed" in capsys.readouterr().err.splitlines()[-1]
    picture(0).save("first.png")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("video.image=none.png", "input video.image: no file 'none.png'"),
        ("vidoe.image=first.png", "inputs for expert 'vidoe': expected one of video"),
        ("video.picture=first.png", "no option 'picture': expected one of image, "),
        ("video.image=i2v", "'i2v' ends in ''"),
        ("video=first.png", "expected NAME.ARGUMENT=FILE"),
    ],
)
def test_a_wrong_input_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, given: str, message: str
) -> None:
    monkeypatch.chdir(folder)
    words = ["sample", PROMPT, "--expert", f"video={FOLDER}", "--input", given]
    assert main([*words, "--selector", "always:name=video", "-o", "x.safetensors"]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_inputs_of_what_is_loaded_already() -> None:
    given = {"image": {"image": picture(0, 64, 64)}}
    made = jvid.load("ensemble", image=built(CONTROLLED)[0], inputs=given)
    assert made.denoiser("image").options == given["image"]
    with pytest.raises(InputError, match="expert 'image': got a Ensemble with inputs"):
        jvid.load("ensemble", image=made, inputs=given)
