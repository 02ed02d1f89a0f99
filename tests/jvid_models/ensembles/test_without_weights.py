"""Plans of pipelines' folders without their weights: equal to those with them, and no file of weights is read."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import jvid
from benchmarks.published import tiny
from benchmarks.published.planned import write_configurations
from jvid.cli import main
from jvid.ensemble.source import Source
from jvid.errors import InputError, JvidWarning
from jvid.pipeline.memory import memory_of
from jvid_models.adapters.pipelines import shared as shared_module
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.weightless import NeedsWeights, model_without_weights
from jvid_models.ensembles.native import pipeline_of
from jvid_models.ensembles.pipelines import pipeline_ensemble

WAN, TWO, LTX, FLUX, SD, MOE = (
    "WanPipeline", "WanPipeline:2.2", "LTXPipeline", "FluxPipeline", "StableDiffusionPipeline", "HiDreamImagePipeline"
)  # fmt: skip
FEW = (WAN, SD)
SLOW = (
    TWO, LTX, FLUX, "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "QwenImagePipeline", "CogVideoXPipeline",
    "HunyuanVideoPipeline", "MochiPipeline", "StableVideoDiffusionPipeline", "AnimateDiffPipeline", "TextToVideoSDPipeline",
    "WanImageToVideoPipeline", "LTXImageToVideoPipeline", "Flux2Pipeline",
)  # fmt: skip
EVERY = [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
SIZE = "height=32,width=48,num_frames=5"


def saved(name: str, folder: Path) -> dict[str, Any]:
    """Save a tiny pipeline; its call's arguments as options of an ensemble."""
    made = tiny.build(name)
    made.pipe.save_pretrained(folder)
    given = {k: v for k, v in made.arguments.items() if k not in ("prompt", "num_inference_steps")}
    inputs = {k: v for k, v in given.items() if not isinstance(v, str | int | float | bool | None)}
    return {**{k: v for k, v in given.items() if k not in inputs}, "inputs": inputs}


def facts(made: jvid.Ensemble) -> dict[str, Any]:
    """What a plan has of an ensemble."""
    composition = jvid.Composition(attrs.evolve(made.strategy, steps=4), made)
    plan = composition.plan()
    return {
        "ensemble": repr(made),
        "space": made.space,
        "frames": made.frames,
        "wrappers": dict(made.default_wrappers),
        "frame experts": made.frame_experts,
        "denoisers": [type(made.denoiser(name)).__name__ for name in made.experts],
        "schedules": [made.denoiser(name).schedule for name in made.experts],
        "changes a clip": made.changes_a_clip,
        "strategy": made.strategy,
        "plan": plan.to_dict(),
        "memory": memory_of(composition, plan),
    }


def parts(made: jvid.Ensemble) -> dict[str, nn.Module]:
    """The modules of the first expert's pipeline; the second of two transformers is the other expert's."""
    pipe = pipeline_of(next(iter(made.members.values())))
    assert pipe is not None
    found = modules_of(pipe.pipe)
    return {"transformer_2": found["transformer"], **found} if len(made.members) > 1 else found


def spoil(folder: Path, modules: Mapping[str, nn.Module] | None = None) -> int:
    """Overwrite the files of weights in a folder, but for the buffers of these modules. Returns how many files there were."""
    files = list(folder.rglob("*.safetensors"))
    for file in files:
        buffers = dict(modules[file.parent.name].named_buffers()) if modules else {}
        kept = {name: value for name, value in load_file(file).items() if name in buffers}
        assert sum(value.nbytes for value in kept.values()) < 100_000
        if kept:
            save_file(kept, file)
        else:
            file.write_bytes(b"no weights")
    return len(files)


@pytest.mark.parametrize("name", EVERY)
def test_plans_are_equal_and_no_weights_are_read(name: str, tmp_path: Path) -> None:
    options = saved(name, tmp_path)
    whole = pipeline_ensemble(tmp_path, **options)
    expected = facts(whole)
    assert spoil(tmp_path, parts(whole)) > 1
    made = pipeline_ensemble(tmp_path, weights=False, **options)
    assert facts(made) == expected
    modules = parts(made)
    assert {weight.device.type for module in modules.values() for weight in module.parameters()} == {"meta"}
    buffers = [
        buffer for module in modules.values() for buffer in module.buffers() if buffer.device.type != "meta"
    ]
    assert sum(buffer.nbytes for buffer in buffers) < 1_000_000
    with pytest.raises(InputError, match="cannot load"):
        pipeline_ensemble(tmp_path, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_each_weight_has_the_shape_and_precision_that_it_is_loaded_with(dtype: str, tmp_path: Path) -> None:
    """Wan keeps some weights in float32, and T5 one of them beside float16."""
    options = saved(WAN, tmp_path)
    whole, bare = (
        parts(pipeline_ensemble(tmp_path, dtype=dtype, weights=each, **options)) for each in (True, False)
    )
    assert whole.keys() == bare.keys()
    for name, module in whole.items():
        for group in ("named_parameters", "named_buffers"):
            one, other = (
                {
                    key: (value.shape, value.dtype, value.requires_grad)
                    for key, value in getattr(each, group)()
                }
                for each in (module, bare[name])
            )
            assert one == other
    dtypes = {weight.dtype for weight in whole["transformer"].parameters()}
    assert len(dtypes) == (1 if dtype == "float32" else 2)


@pytest.fixture
def wan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``wan``, in the working one."""
    monkeypatch.chdir(tmp_path)
    saved(WAN, tmp_path / "wan")
    return tmp_path


def plan_of(capsys: Any, *words: str) -> dict[str, Any]:
    assert main(["plan", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_reads_no_weights_but_to_measure_seconds(wan: Path, capsys: Any) -> None:
    words = ["--ensemble", f"wan:{SIZE}", "--steps", "3"]
    assert main(["plan", *words, "--time", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "jvid: --time measures calls of networks, with their weights loaded\n" in err
    measured = json.loads(out)
    spoil(wan)
    found = plan_of(capsys, *words)
    assert found["seconds"] is None
    assert found["memory"] == measured["memory"]
    assert found["strategy"] == measured["strategy"]
    assert main(["plan", *words, "--time"]) == 2
    assert "cannot load" in capsys.readouterr().err


def test_nothing_is_evaluated_without_weights(wan: Path, capsys: Any) -> None:
    for native in (True, False):
        made = pipeline_ensemble("wan", weights=False, height=32, width=48, num_frames=5, native=native)
        composition = jvid.Composition(attrs.evolve(made.strategy, steps=2), made)
        refused = r"a \w+ was loaded without its weights, for a plan alone: load it with weights=True"
        with pytest.raises(InputError, match=refused) as error:
            composition.sampler()(made.shape, seeds=[0], cond=composition.condition(["a cat"]))
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=refused):
            made.codec.decode(torch.zeros(1, *made.shape))
    assert main(["sample", "a cat", "--ensemble", f"wan:{SIZE},weights=false", "-o", "a.png"]) == 2
    assert "loaded without its weights" in capsys.readouterr().err


def test_a_folder_of_configurations_alone_has_a_plan(wan: Path, capsys: Any) -> None:
    """Some layers of the published sizes of Wan 2.1 14B, whose plan `benchmarks.published.planned` shows."""
    write_configurations(wan / "large", layers=8, encoder_layers=4)
    found = plan_of(capsys, "--ensemble", "large:height=64,width=64,num_frames=5,dtype=bfloat16")
    assert found["experts"]["video"]["steps"] == 50
    bytes_of = found["memory"]["experts"]["video"]
    # A layer has 8 matrices of attention and 2 behind it, the whole 7 d^2 of times and 47 million of texts; in bfloat16, but
    # for norms and the embedding of times.
    wide, inner = 40 * 128, 13824
    layers = 2 * 8 * (8 * wide**2 + 2 * wide * inner)
    assert layers + 0.45e9 < bytes_of["networks"] < layers + 0.6e9
    encoder = 2 * (4 * (4 * 4096**2 + 3 * 4096 * 10240) + 256384 * 4096)
    assert encoder < bytes_of["encoders"] < 1.001 * encoder


def edit(part: Path, **values: Any) -> None:
    file = part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_numbers_of_the_latent_space_are_read_from_the_weights(tmp_path: Path) -> None:
    options = saved(LTX, tmp_path)
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["latents_mean"] = torch.arange(len(weights["latents_mean"])).float()
    save_file(weights, file)
    space = pipeline_ensemble(tmp_path, weights=False, **options).space
    assert space is not None
    assert space.shift == tuple(range(len(weights["latents_mean"])))
    spoil(tmp_path)
    with pytest.raises(InputError, match=r"cannot read .*vae.*fetch the folder again") as error:
        pipeline_ensemble(tmp_path, weights=False, **options)
    assert "\n" not in str(error.value)


def test_a_mixture_of_experts_that_counts_the_tokens_of_each_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = diffusers.HiDreamImagePipeline
    own = kind.__init__

    @functools.wraps(own)
    def small(self: Any, *args: Any, **kwargs: Any) -> None:
        own(self, *args, **kwargs)
        self.default_sample_size = 8

    monkeypatch.setattr(kind, "__init__", small)
    options = saved(MOE, tmp_path)
    expected = facts(pipeline_ensemble(tmp_path, **options))
    assert spoil(tmp_path) > 1
    assert facts(pipeline_ensemble(tmp_path, weights=False, **options)) == expected


def test_weights_are_loaded_where_shapes_depend_on_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = saved(WAN, tmp_path)
    kind = diffusers.WanTransformer3DModel
    own = kind.forward

    @functools.wraps(own)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        (output,) = own(self, *args, **kwargs)
        return (output[:, :, : 2 - int(output.isnan().any())],)

    monkeypatch.setattr(kind, "forward", forward)
    with pytest.warns(
        JvidWarning,
        match="WanPipeline's transformer answers in a form that depends on values.*its weights are loaded",
    ) as warned:
        made = pipeline_ensemble(tmp_path, weights=False, **options, native=False)
    assert "\n" not in str(warned[0].message)
    assert {weight.device.type for module in parts(made).values() for weight in module.parameters()} == {
        "cpu"
    }


def test_a_wrong_option_is_refused_without_loading_weights(wan: Path) -> None:
    spoil(wan)
    with pytest.raises(InputError, match=r"frames 6: expected 4k \+ 1"):
        pipeline_ensemble("wan", weights=False, num_frames=6)
    with pytest.raises(InputError, match="divisible by 16"):
        pipeline_ensemble("wan", weights=False, height=30, width=48, num_frames=5)


def test_a_quantised_part_is_loaded(wan: Path) -> None:
    edit(wan / "wan/text_encoder", quantization_config={"quant_method": "none"})
    with pytest.raises(NeedsWeights, match="a umt5 is quantised"):
        model_without_weights(
            type(tiny.build(WAN).pipe.text_encoder), wan / "wan/text_encoder", torch.float32
        )


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 100 bytes are large."""
    for name, value in (("_CHUNK", 100), ("_SAMPLE", 4), ("_APART", 100)):
        monkeypatch.setattr(shared_module, name, value)


def test_equal_parts_are_counted_once_and_compared_in_samples(wan: Path, chunks: None, capsys: Any) -> None:
    shutil.copytree("wan", "other")
    words = ["--expert", f"video=wan:{SIZE}", "--expert", f"other=other:{SIZE}"]
    words += [
        "--selector",
        "cycle:experts=video+other",
        "--solver",
        "euler",
        "--grid",
        "native",
        "--steps",
        "4",
    ]
    whole = Source(experts={"video": f"wan:{SIZE}", "other": f"other:{SIZE}"}).load()
    bare = Source(experts={"video": f"wan:{SIZE}", "other": f"other:{SIZE}"}).load(weights=False)
    assert facts_of_two(bare) == facts_of_two(whole)
    memory = plan_of(capsys, *words)["memory"]["experts"]
    assert (memory["other"]["networks"], memory["other"]["encoders"]) == (0, 0)
    file = wan / "other" / "transformer" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[1002] ^= 1
    file.write_bytes(content)
    assert plan_of(capsys, *words)["memory"]["experts"]["other"]["networks"] > 0


def facts_of_two(made: jvid.Ensemble) -> Any:
    strategy = jvid.Strategy("cycle:experts=video+other", "euler", "native", steps=4)
    composition = jvid.Composition(strategy, made)
    return made.space, made.shape, memory_of(composition, composition.plan())


def test_lora_counts_and_its_base_is_not_read(wan: Path) -> None:
    names = {"lora_A.weight": (2, 24), "lora_B.weight": (24, 2)}
    weights = {f"transformer.blocks.0.attn1.to_q.{name}": torch.ones(shape) for name, shape in names.items()}
    save_file(weights, wan / "ink.safetensors")
    options: dict[str, Any] = {"height": 32, "width": 48, "num_frames": 5, "lora": "ink.safetensors"}
    expected = facts(pipeline_ensemble("wan", **options))
    spoil(wan / "wan")
    found = facts(pipeline_ensemble("wan", weights=False, **options))
    assert found == expected
    plain = facts(pipeline_ensemble("wan", weights=False, height=32, width=48, num_frames=5))
    assert found["memory"].rows[0].networks - plain["memory"].rows[0].networks == 4 * 2 * (24 + 24)


def test_a_folder_of_a_joint_pipeline_has_the_same_plan(wan: Path, capsys: Any) -> None:
    from jvid_models import JVIDPipeline

    pipe = tiny.build(WAN).pipe
    strategy = jvid.Strategy("always:name=video", "euler", "native", steps=3)
    JVIDPipeline(
        {"video": pipe}, strategy, options={"video": {"height": 32, "width": 48, "num_frames": 5}}
    ).save_pretrained("joint")
    expected = facts(Source("joint").load())
    assert spoil(wan / "joint") > 1
    assert facts(Source("joint").load(weights=False)) == expected
