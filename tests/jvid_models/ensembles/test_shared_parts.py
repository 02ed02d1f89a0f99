"""Experts of folders that hold equal parts: loaded once, and the same clips as of parts that are loaded apart."""

from __future__ import annotations

import gc
import json
import os
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import jvid
from benchmarks.published import tiny
from jvid.cli import main
from jvid.machine.managed import place_of
from jvid.machine.on_demand import computing_on
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import make
from jvid.pipeline.offload import Offload
from jvid.pipeline.record import Clip
from jvid.pipeline.weights import Weights
from jvid_models.adapters.pipelines import shared as shared_module
from jvid_models.adapters.pipelines import turns
from jvid_models.diffusion_pipeline import JVIDPipeline
from jvid_models.ensembles.native import pipeline_of

WAN, SD, ZEROSCOPE = "WanPipeline", "StableDiffusionPipeline", "TextToVideoSDPipeline"
SIZE = "height=32,width=48,num_frames=5"
PARTS = {"text_encoder", "tokenizer", "vae"}
TURNS = jvid.Strategy("cycle:experts=video+other", "euler", "native", steps=4)


def perturbed(module: nn.Module) -> None:
    for weight in module.parameters():
        weight.data.mul_(1.05)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """wan-a and wan-b, which differ in their transformers; sd and zeroscope, whose classes differ and not their autoencoders."""
    place = tmp_path_factory.mktemp("saved")
    wan, sd, video = (tiny.build(name).pipe for name in (WAN, SD, ZEROSCOPE))
    video.vae = sd.vae
    sd.save_pretrained(place / "sd")
    video.save_pretrained(place / "zeroscope")
    wan.save_pretrained(place / "wan-a")
    perturbed(wan.transformer)
    wan.save_pretrained(place / "wan-b")
    shapes = {"lora_A.weight": (2, 24), "lora_B.weight": (24, 2)}
    draws = torch.Generator().manual_seed(0)
    names = {f"transformer.blocks.0.attn1.to_q.{key}": shape for key, shape in shapes.items()}
    save_file({n: torch.randn(s, generator=draws) for n, s in names.items()}, place / "wan.safetensors")
    return place


@pytest.fixture
def folders(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of those, which is the working folder."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pair(video: str = f"wan-a:{SIZE}", other: str = f"wan-b:{SIZE}", **options: Any) -> jvid.Ensemble:
    return jvid.load("ensemble", video=video, other=other, **options)


def pipes(models: jvid.Ensemble) -> list[Any]:
    return [pipeline_of(member).pipe for member in models.members.values()]  # type: ignore[union-attr]


def in_common(models: jvid.Ensemble) -> set[str]:
    one, other = (pipe.components for pipe in pipes(models))
    return {name for name in one if one[name] is not None and one[name] is other.get(name)}


def sampled(models: jvid.Ensemble, strategy: jvid.Strategy = TURNS) -> Tensor:
    return make(models, strategy, [Clip("a red cat", 0)], Batching(1)).latents


def apart(native: bool = True) -> jvid.Ensemble:
    """The experts of the two folders, each loaded by itself."""
    text = f"{SIZE},native={native}".lower()
    alone = [jvid.load("ensemble", video=f"{name}:{text}") for name in ("wan-a", "wan-b")]
    return jvid.load("ensemble", video=alone[0], other=alone[1])


def test_a_pipeline_of_two_folders_shares_what_lora_does_not_change(folders: Path) -> None:
    """LoRA may come later: equal transformers are two, and one changes without the other."""
    size = {"height": 32, "width": 48, "num_frames": 5}
    (folders / "wan-c").symlink_to(folders / "wan-a")
    names = {"video": "wan-a", "other": "wan-c"}
    pipe = JVIDPipeline(names, TURNS, options=dict.fromkeys(names, size))
    one, other = (pipe.pipelines[name].components for name in names)
    common = {name for name in one if one[name] is not None and one[name] is other[name]}
    assert common == PARTS


@pytest.mark.parametrize("native", [True, False])
def test_equal_parts_are_one_object_and_the_clip_is_the_same(folders: Path, native: bool) -> None:
    text = f"{SIZE},native={native}".lower()
    together, alone = pair(f"wan-a:{text}", f"wan-b:{text}"), apart(native)
    assert in_common(together) == PARTS
    assert in_common(alone) == set()
    latents = sampled(together)
    torch.testing.assert_close(latents, sampled(alone), rtol=0, atol=0)
    only = attrs.evolve(TURNS, selector="always:name=video")
    assert (latents - sampled(together, only)).abs().max() > 1e-3


def test_a_whole_pipeline_that_is_named_twice_is_loaded_once(folders: Path) -> None:
    made = pair(other=f"wan-a:{SIZE},guidance_scale=3")
    assert in_common(made) == {*PARTS, "transformer"}
    video, other = pipes(made)
    assert video.scheduler is not other.scheduler
    alone = [jvid.load("ensemble", video=f"wan-a:{SIZE}{more}") for more in ("", ",guidance_scale=3")]
    expected = sampled(jvid.load("ensemble", video=alone[0], other=alone[1]))
    torch.testing.assert_close(sampled(made), expected, rtol=0, atol=0)


def test_ensembles_that_are_loaded_apart_share_nothing(folders: Path) -> None:
    one, other = (jvid.load("ensemble", video=f"wan-a:{SIZE}") for _ in range(2))
    assert not {id(part) for part in pipes(one)[0].components.values() if part is not None} & {
        id(part) for part in pipes(other)[0].components.values() if part is not None
    }


def test_one_other_byte_is_another_part(folders: Path) -> None:
    file = folders / "wan-b" / "text_encoder" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert in_common(pair()) == PARTS - {"text_encoder"}


def test_origin_and_version_are_no_difference_and_values_are(folders: Path) -> None:
    configs = {name: folders / "wan-b" / name / "config.json" for name in ("text_encoder", "vae")}
    values = {name: json.loads(file.read_text()) for name, file in configs.items()}
    values["text_encoder"] |= {"_name_or_path": "google/umt5-xxl", "transformers_version": "4.40.0"}
    values["vae"] |= {"_diffusers_version": "0.30.0"}
    for name, file in configs.items():
        file.write_text(json.dumps(dict(reversed(values[name].items()))))
    assert in_common(pair()) == PARTS
    configs["vae"].write_text(json.dumps(values["vae"] | {"latents_mean": [0.5] * 16}))
    assert in_common(pair()) == PARTS - {"vae"}


def test_files_of_other_sizes_and_links_are_not_read(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    compare = shared_module._same_bytes

    def watched(one: Path, other: Path, whole: bool) -> bool:
        with monkeypatch.context() as patch:
            opened = Path.open
            patch.setattr(Path, "open", lambda self, *a: (read.append(self.name), opened(self, *a))[1])
            return compare(one, other, whole)

    monkeypatch.setattr(shared_module, "_same_bytes", watched)
    weights = {"text_encoder": "model.safetensors", "vae": "diffusion_pytorch_model.safetensors"}
    for (part, name), link in zip(weights.items(), (os.symlink, os.link), strict=True):
        file = folders / "wan-b" / part / name
        file.unlink()
        link(folders / "wan-a" / part / name, file)
    shutil.rmtree("wan-b/transformer")
    shutil.copytree("wan-a/transformer", "wan-b/transformer")
    (folders / "wan-b" / "transformer" / "more.txt").write_text("a file that the other lacks")
    assert in_common(pair()) == PARTS
    assert [name for name in read if name.endswith(".safetensors")] == []


@pytest.mark.parametrize("first", [True, False])
def test_what_lora_changes_is_loaded_on_its_own(folders: Path, first: bool) -> None:
    texts = [f"wan-a:{SIZE},lora=wan.safetensors,lora_scale=3", f"wan-a:{SIZE}"]
    made = pair(*(texts if first else reversed(texts)))
    assert in_common(made) == PARTS
    plain = "other" if first else "video"
    only = attrs.evolve(TURNS, selector=f"always:name={plain}")
    alone = jvid.load("ensemble", **{plain: f"wan-a:{SIZE}"})
    torch.testing.assert_close(sampled(made, only), sampled(alone, only), rtol=0, atol=0)
    changed = attrs.evolve(TURNS, selector="always:name=" + ("video" if first else "other"))
    assert (sampled(made, changed) - sampled(made, only)).abs().max() > 1e-4


def test_lora_of_a_text_encoder_keeps_it_apart(folders: Path) -> None:
    unet = pipes(jvid.load("ensemble", image="sd:height=64,width=64"))[0].unet
    name, module = next((n, m) for n, m in unet.named_modules() if n.endswith("to_q"))
    rows, columns = module.weight.shape
    lora = {"lora_A.weight": torch.ones(2, columns), "lora_B.weight": torch.ones(rows, 2)}
    save_file({f"unet.{name}.{key}": value for key, value in lora.items()}, "sd.safetensors")
    made = pair("sd:height=64,width=64", "sd:height=64,width=64,lora=sd.safetensors")
    assert {"vae"} <= in_common(made)
    assert not in_common(made) & {"unet", "text_encoder"}


def test_parts_of_another_precision_are_apart(folders: Path) -> None:
    assert in_common(pair(other=f"wan-b:{SIZE},dtype=bfloat16")) == set()


def test_another_class_of_pipelines_shares_no_tokenizer_and_casts_its_own_autoencoder(folders: Path) -> None:
    text = "height=64,width=64,guidance_scale=5"
    experts = {"video": f"zeroscope:{text},num_frames=3", "other": f"sd:{text}"}
    shutil.rmtree("sd/tokenizer")
    shutil.copytree("zeroscope/tokenizer", "sd/tokenizer")
    assert in_common(pair(**experts)) == {"vae"}
    assert in_common(pair(**experts, dtype="bfloat16")) == set()


def test_a_part_that_was_cast_or_hooked_is_not_handed_out(folders: Path) -> None:
    from accelerate.hooks import CpuOffload, add_hook_to_module

    index = json.loads(Path("wan-a/model_index.json").read_text())
    files = shared_module.files_of_parts(Path("wan-a"), index, torch.float32, ("cpu", False))
    assert set(files) == {*PARTS, "transformer"}
    known, (pipe,) = shared_module.SharedParts(), pipes(jvid.load("ensemble", video=f"wan-a:{SIZE}"))
    known.add(files, pipe)
    assert known.equal(files).keys() == files.keys()
    pipe.text_encoder.to(torch.bfloat16)
    add_hook_to_module(pipe.vae, CpuOffload("cpu"))
    assert known.equal(files).keys() == {"tokenizer", "transformer"}


def test_a_part_is_dropped_with_the_ensemble(folders: Path) -> None:
    made = pair()
    references = [weakref.ref(part) for part in pipes(made)[0].components.values() if part is not None]
    del made
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)


def test_damaged_folders_are_one_line_as_before(folders: Path) -> None:
    Path("wan-b/text_encoder/config.json").write_text("{")
    with pytest.raises(jvid.errors.InputError, match=r"expert 'other'.*cannot load a pipeline from") as error:
        pair()
    assert "\n" not in str(error.value)


def test_a_shared_part_is_counted_and_moved_once(folders: Path, capsys: Any) -> None:
    models = pair()
    composition = jvid.Composition(TURNS, models)
    weights = Weights(composition)
    units = ["codec.vae", "other.transformer", "video.text_encoder", "video.transformer"]
    assert sorted(weights.modules) == units
    with Offload(composition, "plan") as offload:
        made = make(models, TURNS, [Clip("a red cat", 0)], Batching(1), offload=offload)
    assert torch.equal(made.latents, sampled(models))
    moved = [move.into for move in offload.moves if move.unit == "video.text_encoder"]
    assert moved == [True, False]
    words = ["--expert", f"video=wan-a:{SIZE}", "--expert", f"other=wan-b:{SIZE}"]
    words += ["--selector", "cycle:experts=video+other"]
    words += ["--solver", "euler", "--grid", "native", "--steps", "4"]
    assert main(["plan", *words, "--json"]) == 0
    memory = json.loads(capsys.readouterr().out)["memory"]
    assert memory["experts"]["video"]["encoders"] > 0
    assert memory["experts"]["other"]["encoders"] == 0
    pipe, other = pipes(models)
    parts = (pipe.transformer, other.transformer, pipe.text_encoder, pipe.vae)
    tensors = [t for part in parts for t in (*part.parameters(), *part.buffers())]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    assert memory["at_once"]["none"] == sum(storages.values())


def test_threads_use_pipelines_that_share_a_part_in_turn(folders: Path) -> None:
    """Their autoencoders differ: the text encoder alone is shared."""
    file = folders / "wan-b" / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    models = pair(f"wan-a:{SIZE},native=false", f"wan-b:{SIZE},native=false")
    assert in_common(models) == PARTS - {"vae"}
    one, other = (turns._locks_of(pipe) for pipe in pipes(models))
    in_both = [lock for lock in one if lock in other]
    assert len(in_both) == 2  # of the text encoder and the tokenizer
    assert in_both == [lock for lock in other if lock in one]
    strategies = [attrs.evolve(TURNS, selector=f"always:name={name}") for name in ("video", "other")]
    alone = [sampled(models, strategy) for strategy in strategies]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            both = list(pool.map(lambda strategy: sampled(models, strategy), strategies))
            for one, expected in zip(both, alone, strict=True):
                torch.testing.assert_close(one, expected, rtol=0, atol=0)
    assert "forward" not in vars(pipes(models)[0].text_encoder)


def test_what_is_on_the_host_computes_beside_what_is_on_the_device() -> None:
    """A pipeline that has no room on a GPU may share parts with one that is there."""
    there, here = nn.Linear(2, 2, device="meta"), nn.Linear(2, 2)
    with computing_on({"there": there, "here": here}, "meta"):
        place = place_of(here)
        assert place is not None
        assert place.device == torch.device("meta")
        assert place_of(there) is None
    assert place_of(here) is None
    with computing_on({"there": there}, "meta"), computing_on({"here": here}, "cpu"):
        assert place_of(there) is None
        assert place_of(here) is None
