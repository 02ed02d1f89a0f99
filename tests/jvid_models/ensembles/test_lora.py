"""LoRA of experts: from files by option, and edits of a pipeline's adapters and weights, which the next call sees."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import jvid
from benchmarks.published import tiny
from jvid.core.conditions import for_expert
from jvid.errors import InputError, MissingDependencyError
from jvid_models.adapters.pipelines.lora import load_loras
from jvid_models.adapters.unet import from_unet
from jvid_models.ensembles.pipelines import pipeline_ensemble

PROMPT, IMAGE = "a red cat", "StableDiffusionPipeline"
SIZE = {"height": 64, "width": 64}
T = torch.tensor(0.5, dtype=torch.float64)


def lora_of(unet: Any, seed: int, encoder: Any = None) -> dict[str, Tensor]:
    """Random LoRA weights of rank 2 for attention and convolutions, under the names of diffusers' files."""
    draws, found = torch.Generator().manual_seed(seed), {}
    for prefix, part in (("unet", unet), ("text_encoder", encoder)):
        for name, module in part.named_modules() if part is not None else ():
            if not name.endswith(("to_q", "to_k", "to_v", "conv1", "downsamplers.0.conv", "q_proj")):
                continue
            rows, columns, *kernel = module.weight.shape
            down = torch.randn(2, columns, *kernel, generator=draws)
            up = torch.randn(rows, 2, *(1 for _ in kernel), generator=draws)
            found[f"{prefix}.{name}.lora_A.weight"] = 0.3 * down
            found[f"{prefix}.{name}.lora_B.weight"] = 0.3 * up
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lora")
    pipe = tiny.build(IMAGE).pipe
    pipe.save_pretrained(place / "sd")
    for seed, name in enumerate(("one", "two")):
        save_file(lora_of(pipe.unet, seed, pipe.text_encoder), place / f"{name}.safetensors")
    save_file({"unet.nothing.weight": torch.zeros(1)}, place / "other.safetensors")
    return place


@torch.no_grad()
def predicted(made: jvid.Ensemble, cond: Any = None) -> Tensor:
    x = torch.randn((1, *made.shape), generator=torch.Generator().manual_seed(3))
    cond = made.condition([PROMPT]) if cond is None else cond
    wrappers = made.member("image").wrappers
    denoiser = made.denoiser("image")
    return (jvid.Guided(denoiser, wrappers[0].options["scale"]) if wrappers else denoiser)(x, T, cond)


def off(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def ways(pipe: Any) -> tuple[jvid.Ensemble, jvid.Ensemble]:
    """The ensemble by the fast native adapter, and by the pipeline's own call."""
    return pipeline_ensemble(pipe, **SIZE), pipeline_ensemble(pipe, native=False, **SIZE)


def test_weights_edited_in_place_are_seen_by_the_next_call() -> None:
    pipe = tiny.build(IMAGE).pipe
    native, own = ways(pipe)
    conds = native.condition([PROMPT]), own.condition([PROMPT])
    before = predicted(native, conds[0])
    assert off(predicted(own, conds[1]), before) < 1e-5
    for weight in pipe.unet.parameters():
        weight.data.mul_(1.05)
    after = predicted(own, conds[1])
    assert off(after, before) > 1e-3
    assert off(predicted(native, conds[0]), after) < 1e-5


def test_an_edited_text_encoder_is_seen_by_the_next_run() -> None:
    pipe = tiny.build(IMAGE).pipe
    own = pipeline_ensemble(pipe, native=False, **SIZE)
    x, cond = torch.randn((1, *own.shape)), own.condition([PROMPT])
    times = torch.tensor([0.9, 0.3], dtype=torch.float64)
    before = [own.denoiser("image")(x, t, cond) for t in times]
    for weight in pipe.text_encoder.parameters():
        weight.data.mul_(1.5)
    after = own.denoiser("image")(x, times[0], cond)
    assert off(after, before[0]) > 1e-4
    assert torch.equal(after, own.denoiser("image")(x, times[0], own.condition([PROMPT])))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lora": "none.safetensors"}, MissingDependencyError, "no file 'none.safetensors'"),
        ({"lora": "weights.bin"}, InputError, r"expected a file that ends in \.safetensors"),
        ({"lora": 3}, InputError, "lora 3: expected the path of a file"),
        ({"lora_scale": 0.5}, InputError, "lora_scale 0.5 without lora"),
        ({"lora": ["{one}"], "lora_scale": "1+2"}, InputError, "got 2 for 1 files"),
        ({"lora": "{one}", "lora_scale": "much"}, InputError, "expected a number"),
        ({"lora_2": "{one}"}, InputError, "no second transformer"),
        ({"lora": "{other}"}, InputError, "LoRA"),
    ],
)
def test_a_wrong_lora_is_one_line(folder: Path, options: Any, error: type[Exception], message: str) -> None:
    places = {name: str(folder / f"{name}.safetensors") for name in ("one", "other")}
    filled = {
        key: [each.format(**places) for each in value] if isinstance(value, list)
        else value.format(**places) if isinstance(value, str) else value
        for key, value in options.items()
    }  # fmt: skip
    with pytest.raises(error, match=message) as caught:
        pipeline_ensemble(folder / "sd", **filled)
    assert "\n" not in str(caught.value)


def test_what_takes_no_lora_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="takes no LoRA"):
        load_loras(object(), folder / "one.safetensors")
    with pytest.raises(InputError, match="load it there"):
        pipeline_ensemble(tiny.build(IMAGE).pipe, lora=folder / "one.safetensors")


def test_a_missing_peft_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tiny.build(IMAGE).pipe
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        MissingDependencyError, match=r"^peft is not installed: pip install 'jvid\[models\]'$"
    ):
        load_loras(pipe, folder / "one.safetensors")


def test_files_are_adapters_with_their_scales(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers

    monkeypatch.chdir(folder)
    stock = diffusers.DiffusionPipeline.from_pretrained(folder / "sd")
    plain = predicted(pipeline_ensemble(stock, native=False, **SIZE))
    for name in ("one", "two"):
        stock.load_lora_weights(str(folder), weight_name=f"{name}.safetensors", adapter_name=name)
    stock.set_adapters(["one", "two"], [0.8, 0.5])
    expected = predicted(pipeline_ensemble(stock, native=False, **SIZE))
    assert off(expected, plain) > 1e-3
    text = "sd:height=64,width=64,lora=one.safetensors+two.safetensors,lora_scale=0.8+0.5"
    made = [jvid.load("ensemble", image=source) for source in (text, f"{text},native=false")]
    assert [off(predicted(each), expected) < 1e-5 for each in made] == [True, True]
    # Another expert of the same folder has none.
    pair = jvid.load("ensemble", image="sd:height=64,width=64,native=false", other=text)
    assert off(predicted(pair, for_expert(pair.condition([PROMPT]), "image")), plain) < 1e-5
    stock.set_adapters(["one"], [0.8])
    assert off(predicted(pipeline_ensemble(stock, native=False, **SIZE)), expected) > 1e-4


def test_adapters_that_are_scaled_swapped_fused_and_unfused(folder: Path) -> None:
    pipe = tiny.build(IMAGE).pipe
    native, own = ways(pipe)
    slow = jvid.Ensemble(
        {
            "image": attrs.evolve(
                native.member("image"), denoiser=from_unet(pipe.unet, pipe.scheduler, fast=False)
            )
        },
        native.shape,
    )
    plain = predicted(native)
    for name in ("one", "two"):
        pipe.load_lora_weights(str(folder), weight_name=f"{name}.safetensors", adapter_name=name)
    seen = []
    steps: list[Any] = [
        lambda: pipe.set_adapters(["one"], [1.0]),
        lambda: pipe.set_adapters(["one"], [0.4]),
        lambda: pipe.set_adapters(["two"], [1.0]),
        lambda: pipe.fuse_lora(adapter_names=["two"], lora_scale=0.7),
        lambda: pipe.unfuse_lora(),
    ]
    for step in steps:
        step()
        both = predicted(native), predicted(own)
        assert off(*both) < 1e-5
        assert off(predicted(slow), both[1]) < 1e-5
        seen.append(both[0])
    for one, other in itertools.pairwise([plain, *seen[:4]]):
        assert off(one, other) > 1e-3
    assert off(seen[4], seen[3]) < 1e-4  # unfused it is an adapter of the scale that it was fused with
    pipe.unload_lora_weights()
    assert off(predicted(native), plain) < 1e-4


def test_each_of_two_transformers_has_its_own_lora(tmp_path: Path) -> None:
    made = tiny.build("WanPipeline:2.2")
    made.pipe.save_pretrained(tmp_path / "wan")
    draws = torch.Generator().manual_seed(0)
    shapes = {"lora_A.weight": (2, 24), "lora_B.weight": (24, 2)}
    weights = {
        f"transformer.blocks.0.attn1.to_q.{name}": torch.randn(shape, generator=draws)
        for name, shape in shapes.items()
    }
    save_file(weights, tmp_path / "wan.safetensors")
    options = {"height": 32, "width": 48, "num_frames": 5, "max_sequence_length": 32}
    x = torch.randn((1, 16, 2, 4, 6), generator=torch.Generator().manual_seed(0))
    seen = []
    for loras in ({}, {"lora": tmp_path / "wan.safetensors"}, {"lora_2": tmp_path / "wan.safetensors"}):
        both = pipeline_ensemble(tmp_path / "wan", **options, **loras)
        cond = both.condition([PROMPT])
        seen.append([both.denoiser(name)(x, T, for_expert(cond, name)) for name in ("high", "low")])
    (high, low), first, second = seen
    assert off(first[0], high) > 1e-4
    assert torch.equal(first[1], low)
    assert torch.equal(second[0], high)
    assert off(second[1], low) > 1e-4
