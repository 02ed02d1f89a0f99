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
from jvid_models.ensembles import export as exporting
from jvid_models.ensembles.bundled import actions_64
from jvid_models.ensembles.export import ExportedExpert, export_ensemble
from jvid_models.ensembles.folder import EnsembleFolder, load_ensemble
from jvid_models.networks.table1 import SCHEDULER
from jvid_models.networks.unets import image_unet, video_unet
from jvid_models.networks.video_decoder import VideoDecoder
from jvid_models.paths import shared_root
from jvid_models.text import EmbeddingTable

TINY = {"channels": (16, 32), "layers": 1, "text_width": 12, "groups": 8, "heads": 2}
STRATEGY = paper.strategy(64).to_dict() | {"steps": 4}
GUIDED = ("guided:scale=2.0",)


def parts(seed: int = 0):
    """A video and an image expert, their decoder and prompts."""
    torch.manual_seed(seed)
    table = EmbeddingTable(["", "A person running", "A person waving"], torch.randn(3, 5, 12))
    image, video = image_unet(**TINY), video_unet(**TINY)
    experts = {
        "video": ExportedExpert(video, "clips", GUIDED),
        "image": ExportedExpert(image, "frames", GUIDED),
    }
    return experts, VideoDecoder(channels=(16, 8, 8, 8), blocks=1), table


def meta(**changes):
    return {
        "name": "tiny",
        "schedule": SCHEDULER,
        "latents": {"shape": [4, 3, 8, 8], "mean": [0.1, 0, 0, 0], "std": [1, 1, 2, 1]},
        "fps": 12.5,
        "strategy": STRATEGY,
        "licence": "none",
    } | changes


def as_format_1(folder):
    """The folder as version 0.1 wrote it: pair.json, further models under "guides", the strategy of that time."""
    path = folder / "ensemble.json"
    values = json.loads(path.read_text())
    experts = values.pop("experts")
    values |= {
        "format": 1,
        "video": experts.pop("video")["network"],
        "image": experts.pop("image")["network"],
    }
    if experts:
        values["guides"] = {name: described["network"] for name, described in experts.items()}
    for name in experts:
        (folder / f"{name}.safetensors").rename(folder / f"guide-{name}.safetensors")
    if values["strategy"] == STRATEGY:
        values["strategy"] = {
            "selector": {
                "name": "piecewise-affine",
                "options": {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.3},
            },
            "solver": {"name": "ddpm", "options": {}},
            "grid": {"name": "leading", "options": {}},
            "steps": 4,
            "guidance": 2.0,
            "noise": {"image": {"gamma": 0.02, "ratio": 0.0}},
            "smoothing": {"name": "temporal", "options": {"threshold": 2.0}},
            "plan_seed": 0,
            "overlap": 4,
        }
    path.unlink()
    (folder / "pair.json").write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles") / "tiny"
    export_ensemble(folder, *parts(), meta(card="# Tiny\n"))
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """An exported ensemble that a test may damage."""
    return shutil.copytree(exported, tmp_path / "tiny")


def sampled(ensemble, prompts, seeds=(1,), strategy=None):
    strategy = strategy or ensemble.strategy
    composition = jvid.Composition(strategy, ensemble)
    return composition.sampler()(ensemble.shape, seeds=seeds, cond=composition.condition(prompts))


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
    (folder / name).write_text(json.dumps(values | {"format": 4}))
    with pytest.raises(InputError, match=rf"{name} is of format 4: .*(update jvid|export)") as caught:
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


def test_an_installation_without_weights_says_so(tmp_path, monkeypatch):
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


@pytest.mark.parametrize(("which", "use"), [
    ("image", lambda ensemble: ensemble.denoiser("image")),
    ("video", lambda ensemble: ensemble.denoiser("video")),
    ("decoder", lambda ensemble: ensemble.codec),
    ("prompts", lambda ensemble: ensemble.condition([""])),
])  # fmt: skip
def test_a_damaged_file_is_reported_in_one_line(folder, which, use):
    path = folder / f"{which}.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=which) as caught:
            use(load_ensemble(folder))
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(MissingDependencyError, match=which):
        use(load_ensemble(folder))


def test_weights_of_another_network_are_reported(folder):
    (folder / "image.safetensors").write_bytes((folder / "decoder.safetensors").read_bytes())
    with pytest.raises(InputError, match="do not fit the ensemble's document") as caught:
        load_ensemble(folder).denoiser("image")
    assert "\n" not in str(caught.value)


def test_a_damaged_document_is_reported(folder, tmp_path):
    path = folder / "ensemble.json"
    described = json.loads(path.read_text())
    assert described["licence"] == "none"
    path.write_text(json.dumps({"format": 2}))
    with pytest.raises(InputError, match="lacks name"):
        load_ensemble(folder)
    path.write_text(json.dumps(described | {"experts": {"video": {"denoises": "clips"}}}))
    with pytest.raises(InputError, match="expert 'video' lacks network, weights"):
        load_ensemble(folder)
    path.write_text("{")
    with pytest.raises(InputError, match="expected the document of an ensemble"):
        load_ensemble(folder)
    with pytest.raises(MissingDependencyError, match=r"no ensemble\.json"):
        load_ensemble(tmp_path / "nowhere")


def test_an_export_is_whole_or_not_at_all(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(written):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_read_back", fails)
    with pytest.raises(InputError, match="No space left"):
        export_ensemble(folder, *parts(1), meta())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    monkeypatch.undo()
    export_ensemble(folder, *parts(1), meta())
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after["image.safetensors"] != before["image.safetensors"]
    assert after["CARD.md"] == before["CARD.md"]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("held", ["thesis.tex", "data/clip.avi", "weights.safetensors"])
def test_only_an_export_is_replaced(tmp_path, held):
    mine = tmp_path / "mine"
    (mine / held).parent.mkdir(parents=True)
    (mine / held).write_text("mine")
    with pytest.raises(
        InputError, match="only a folder with nothing but what this command writes is replaced"
    ):
        export_ensemble(mine, *parts(), meta())
    assert (mine / held).read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file: expected the name of a new folder"):
        export_ensemble(tmp_path / "file", *parts(), meta())


def test_parts_that_do_not_fit_are_refused(tmp_path):
    experts, decoder, table = parts()
    target = tmp_path / "ensemble"
    wide = ExportedExpert(image_unet(**(TINY | {"text_width": 16})), "frames")
    with pytest.raises(InputError, match="the image UNet takes text 16 wide"):
        export_ensemble(target, {**experts, "image": wide}, decoder, table, meta())
    with pytest.raises(InputError, match="lacks fps"):
        export_ensemble(target, experts, decoder, table, {k: v for k, v in meta().items() if k != "fps"})
    latents = {"shape": [8, 3, 8, 8], "mean": [0] * 8, "std": [1] * 8}
    with pytest.raises(InputError, match="latents have 8"):
        export_ensemble(target, experts, decoder, table, meta(latents=latents))
    with pytest.raises(InputError, match="image UNet denoises frames: got denoises='clips'"):
        export_ensemble(target, {"image": ExportedExpert(experts["image"].network)}, decoder, table, meta())
    for name in ("decoder", "prompts", "a b", "../up", ""):
        with pytest.raises(InputError, match="expected letters, digits"):
            export_ensemble(target, {**experts, name: experts["video"]}, decoder, table, meta())
    with pytest.raises(InputError, match="no experts"):
        export_ensemble(target, {}, decoder, table, meta())
    with pytest.raises(InputError, match=r"names expert 'video': expected those of ensemble 'tiny', image"):
        export_ensemble(target, {"image": experts["image"]}, decoder, table, meta())
    with torch.no_grad():
        next(experts["image"].network.parameters()).view(-1)[0] = 1e6
    with pytest.raises(InputError, match="not finite in fp16"):
        export_ensemble(target, experts, decoder, table, meta())
    assert not list(tmp_path.iterdir())


def test_the_plugin_registers_and_resolves(folder):
    registry = Registry(entry_points=False)
    registry.add(plugin, "models")
    assert registry.names("ensemble") == ("actions-64", "pipeline")
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
