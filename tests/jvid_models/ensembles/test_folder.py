"""An ensemble's folder: exported, read back, sampled, of the older format, and what happens when its files are damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import torch

import jvid
from jvid import paper
from jvid.errors import InputError, MissingDependencyError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import Registry
from jvid_models import plugin
from jvid_models.adapters.unet import from_unet
from jvid_models.ensembles.bundled import actions_64
from jvid_models.ensembles.export import ExportedExpert, export_ensemble
from jvid_models.ensembles.folder import EnsembleFolder, load_ensemble
from jvid_models.networks.table1 import SCHEDULER
from jvid_models.networks.unets import image_unet, video_unet
from jvid_models.paths import shared_root
from tests.jvid_models.ensembles.exported import GUIDED, TINY, as_format_1, meta, parts, sampled


def test_what_goes_in_comes_out(folder):
    experts, decoder, table = parts()
    ensemble = load_ensemble(folder)
    assert (ensemble.name, ensemble.shape, ensemble.fps) == ("tiny", (4, 3, 8, 8), 12.5)
    assert (ensemble.experts, ensemble.frame_experts) == (("video", "image"), ("image",))
    assert {ensemble.member(name).wrappers for name in ensemble.experts} == {
        (Choice("guided", {"scale": 2.0}),)
    }
    assert ensemble.prompts == ("A person running", "A person waving")
    assert {ensemble.denoiser(name).schedule for name in ensemble.experts} == {ensemble.schedule}
    x, t = torch.randn(2, 4, 3, 8, 8), torch.tensor(0.4)
    cond = ensemble.condition(["a person waving", "A person running"])
    torch.testing.assert_close(cond["text"], table.embeddings[[2, 1]], atol=2e-3, rtol=2e-3)
    half = {"text": cond["text"]}
    close = {"atol": 2e-2, "rtol": 1e-2}  # fp16 weights
    with torch.no_grad():
        for name, each in (("video", x), ("image", x[:, :, :1])):
            given = from_unet(experts[name].network, SCHEDULER)
            torch.testing.assert_close(ensemble.denoiser(name)(each, t, half), given(each, t, half), **close)
        torch.testing.assert_close(ensemble.codec.decode(x), decoder.eval()(x).clamp(-1, 1), **close)
    assert {path.name for path in folder.iterdir()} == {
        "image.safetensors", "video.safetensors", "decoder.safetensors", "prompts.safetensors", "ensemble.json",
        "CARD.md",
    }  # fmt: skip


def test_experts_of_any_names_and_number(tmp_path):
    torch.manual_seed(3)
    _, decoder, table = parts()
    experts = {
        "high": ExportedExpert(video_unet(**TINY), wrappers=("guided:scale=3.0", "windowed:size=2,stride=1")),
        "low": ExportedExpert(video_unet(**TINY)),
        "still": ExportedExpert(image_unet(**TINY), "frames"),
    }
    strategy = jvid.Strategy("boundary:experts=high+low,at=0.5", steps=2)
    made = export_ensemble(tmp_path / "three", experts, decoder, table, meta(strategy=strategy.to_dict()))
    assert (made.experts, made.frame_experts) == (("high", "low", "still"), ("still",))
    assert [tuple(map(str, made.member(name).wrappers)) for name in made.experts] == [
        ("guided:scale=3.0", "windowed:size=2,stride=1"), (), (),
    ]  # fmt: skip
    assert made.strategy == strategy
    assert sampled(made, ["a person running"]).shape == (1, 4, 3, 8, 8)
    other = jvid.Strategy("cycle:experts=still+high", experts={"*": jvid.ExpertStrategy(())}, steps=2)
    assert bool(sampled(made, ["a person running"], strategy=other).isfinite().all())


def test_an_ensemble_may_recommend_no_strategy(tmp_path):
    made = export_ensemble(tmp_path / "plain", *parts(), meta(strategy=None))
    assert made.strategy is None
    assert load_ensemble(tmp_path / "plain").strategy is None


def test_a_folder_of_format_1_is_the_same_ensemble(exported, folder):
    new, old = load_ensemble(exported), load_ensemble(as_format_1(folder))
    assert not (folder / "ensemble.json").exists()
    for each in (new, old):
        assert each.strategy == attrs.evolve(paper.strategy(64), steps=4)
    for what in ("name", "shape", "fps", "prompts", "experts", "frame_experts", "schedule", "strategy"):
        assert getattr(old, what) == getattr(new, what), what
    assert [old.member(name).wrappers for name in old.experts] == [
        new.member(name).wrappers for name in new.experts
    ]
    assert torch.equal(sampled(old, ["a person running"]), sampled(new, ["a person running"]))
    meta_ = EnsembleFolder(folder).meta
    assert (meta_["format"], list(meta_["experts"])) == (2, ["video", "image"])


def test_the_guides_of_format_1_are_experts(tmp_path):
    torch.manual_seed(5)
    experts, decoder, table = parts()
    early = ExportedExpert(video_unet(**TINY), wrappers=GUIDED)
    new = export_ensemble(tmp_path / "new", {**experts, "early": early}, decoder, table, meta())
    old = load_ensemble(as_format_1(shutil.copytree(tmp_path / "new", tmp_path / "old")))
    assert old.experts == ("video", "image", "early")
    against = jvid.Strategy(
        "always:name=video",
        experts={"video": jvid.ExpertStrategy(("guided:scale=2,against=early",))},
        steps=2,
    )
    one, other = (sampled(each, ["a person waving"], strategy=against) for each in (new, old))
    assert torch.equal(one, other)
    alone = sampled(new, ["a person waving"], strategy=jvid.Strategy("always:name=video", steps=2))
    assert not torch.equal(one, alone)


def test_a_folder_of_format_1_is_replaced_by_one_of_today(folder):
    as_format_1(folder)
    export_ensemble(folder, *parts(1), meta())
    assert {path.name for path in folder.iterdir()} == {
        "image.safetensors", "video.safetensors", "decoder.safetensors", "prompts.safetensors", "ensemble.json",
        "CARD.md",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ensemble.json", "pair.json"])
def test_a_folder_of_a_newer_format_is_refused_in_one_line(folder, name):
    if name == "pair.json":
        as_format_1(folder)
    values = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(values | {"format": 5}))
    with pytest.raises(InputError, match=rf"{name} is of format 5: .*(update jvid|export)") as caught:
        load_ensemble(folder)
    assert "\n" not in str(caught.value)


def test_a_paper_sampler_of_its_experts_runs(folder):
    ensemble = load_ensemble(folder)
    sampler = paper.sampler(ensemble.denoiser("video"), ensemble.denoiser("image"), resolution=64, steps=4)
    x = sampler(ensemble.shape, seeds=[1], cond=ensemble.condition(["a person running"]))
    video = ensemble.codec.decode(x)
    assert video.shape == (1, 3, 3, 64, 64)
    assert bool(video.isfinite().all())


def test_the_recommended_strategy_composes(folder):
    ensemble = load_ensemble(folder)
    sampler = jvid.compose(ensemble.strategy, ensemble)
    assert sampler.plan() == jvid.Composition(ensemble.strategy).plan()
    assert sampler(ensemble.shape, seeds=[1], cond=ensemble.condition([""])).shape == (1, *ensemble.shape)


def test_another_strategy_composes_from_the_parts(folder):
    ensemble = load_ensemble(folder)
    experts = {
        "sharp": jvid.Expert(jvid.Guided(jvid.Framewise(ensemble.denoiser("image")), 3.0)),
        "steady": jvid.Expert(jvid.Guided(ensemble.denoiser("video"), 1.0), noise=jvid.SharedNoise(0.5)),
    }
    sampler = jvid.Sampler(
        experts, lambda step, u: {"sharp": 0.3, "steady": 0.7}, jvid.DDIM(), jvid.Trailing(3)
    )
    cond = ensemble.condition(["a person running", "a person waving"])
    video = ensemble.codec.decode(sampler(ensemble.shape, seeds=[1, 2], cond=cond))
    assert video.shape == (2, 3, 3, 64, 64)
    assert bool(video.isfinite().all())
    cond = ensemble.condition(["a person waving"])
    again = ensemble.codec.decode(sampler(ensemble.shape, seeds=[2], cond=cond))
    torch.testing.assert_close(again[0], video[1], atol=1e-4, rtol=0)


def test_everybody_may_read_an_exported_ensemble(folder):
    assert {path.name: path.stat().st_mode & 0o444 for path in folder.iterdir()} == {
        path.name: 0o444 for path in folder.iterdir()
    }


def test_an_installation_without_weights_reports_it(tmp_path, monkeypatch):
    monkeypatch.setattr("jvid_models.ensembles.bundled.__file__", str(tmp_path / "ensembles" / "bundled.py"))
    with pytest.raises(
        MissingDependencyError, match=r"carries no weights of actions-64.*ensemble of your own"
    ):
        actions_64()


def test_where_shared_files_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("JVID_SHARED", str(tmp_path / "mine"))
    assert shared_root() == tmp_path / "mine"
    monkeypatch.delenv("JVID_SHARED")
    assert shared_root() == Path(__file__).resolve().parents[4] / "shared"
    monkeypatch.setattr(
        "jvid_models.paths.__file__", str(tmp_path / "site-packages" / "jvid_models" / "paths.py")
    )
    monkeypatch.chdir(tmp_path)
    assert shared_root() == tmp_path / "shared"


def test_the_dtype_is_the_networks(folder):
    ensemble = load_ensemble(folder, dtype="bfloat16")
    x, cond = torch.randn(1, 4, 3, 8, 8), {"text": ensemble.condition(["a person running"])["text"]}
    video = ensemble.denoiser("video")
    assert next(video.network.unet.parameters()).dtype == torch.bfloat16
    assert video(x, torch.tensor(0.5), cond).dtype == torch.float32
    with pytest.raises(InputError, match="dtype 'int8'"):
        load_ensemble(folder, dtype="int8").denoiser("video")
    with pytest.raises(InputError, match="decoder='jpeg'"):
        load_ensemble(folder, decoder="jpeg")


def test_reading_what_an_ensemble_is_loads_no_network(folder):
    for name in ("image", "video", "decoder", "prompts"):
        (folder / f"{name}.safetensors").write_bytes(b"")
    code = (
        "import sys; from jvid_models.ensembles.folder import load_ensemble; it = load_ensemble(sys.argv[1]);"
        "it.name, it.shape, it.fps, it.prompts, it.experts, repr(it);"
        "print('torch' in sys.modules);"
        "from jvid import Composition; it.schedule, Composition(it.strategy, it).plan();"
        "print('diffusers' in sys.modules)"
    )
    run = [sys.executable, "-c", code, str(folder)]
    root = Path(__file__).parents[3]
    printed = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout
    assert printed.split() == ["False", "False"]


def test_the_plugin_registers_and_resolves(folder):
    registry = Registry(entry_points=False)
    registry.add(plugin, "models")
    assert registry.names("ensemble") == ("actions-64", "sprites-64", "pipeline")
    assert registry.load("ensemble", str(folder), decoder="video").name == "tiny"
    assert registry.load("ensemble", str(as_format_1(folder))).experts == ("video", "image")
    table = registry.load("text", "table", path=folder / "prompts.safetensors")
    assert len(table.prompts) == 3
    for kind in ("ensemble", "codec", "text", "denoiser"):
        for component in registry.components(kind):
            assert callable(component.factory()), component


def test_listing_the_plugin_is_light():
    code = "import sys, jvid_models.plugin; print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    run = [sys.executable, "-c", code]
    root = Path(__file__).parents[3]
    assert subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout.strip() == "[]"
