"""A pair: exported, read back, sampled, and what happens when its files are damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import jvid
import jvid.pair
from jvid.errors import InputError, MissingDependencyError
from jvid.registry import Registry
from jvid.strategy import Strategy
from jvid_models import export as exporting
from jvid_models import plugin
from jvid_models.adapters import from_unet
from jvid_models.export import export_pair
from jvid_models.pair import Pair, actions_64
from jvid_models.paths import shared_root
from jvid_models.table1 import SCHEDULER
from jvid_models.text import EmbeddingTable
from jvid_models.unets import image_unet, video_unet
from jvid_models.video_decoder import VideoDecoder

TINY = {"channels": (16, 32), "layers": 1, "text_width": 12, "groups": 8, "heads": 2}
STRATEGY = Strategy.paper(64).to_dict() | {"steps": 4}


def parts(seed: int = 0):
    torch.manual_seed(seed)
    table = EmbeddingTable(["", "A person running", "A person waving"], torch.randn(3, 5, 12))
    return image_unet(**TINY), video_unet(**TINY), VideoDecoder(channels=(16, 8, 8, 8), blocks=1), table


def meta(**changes):
    return {
        "name": "tiny",
        "schedule": SCHEDULER,
        "latents": {"shape": [4, 3, 8, 8], "mean": [0.1, 0, 0, 0], "std": [1, 1, 2, 1]},
        "fps": 12.5,
        "strategy": STRATEGY,
        "licence": "none",
    } | changes


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "tiny"
    export_pair(folder, *parts(), meta(card="# Tiny\n"))
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """An exported pair that a test may damage."""
    return shutil.copytree(exported, tmp_path / "tiny")


def test_what_goes_in_comes_out(folder):
    image, video, decoder, table = parts()
    pair = Pair(folder)
    assert (pair.name, pair.shape, pair.fps) == ("tiny", (4, 3, 8, 8), 12.5)
    assert pair.prompts == ("A person running", "A person waving")
    assert pair.schedule == pair.image.schedule == pair.video.schedule
    x, t = torch.randn(2, 4, 3, 8, 8), torch.tensor(0.4)
    cond = pair.text_encoder(["a person waving", "A person running"])
    torch.testing.assert_close(cond["text"], table.embeddings[[2, 1]], atol=2e-3, rtol=2e-3)
    half = {"text": cond["text"]}
    with torch.no_grad():
        close = {"atol": 2e-2, "rtol": 1e-2}  # fp16 weights
        torch.testing.assert_close(pair.video(x, t, half), from_unet(video, SCHEDULER)(x, t, half), **close)
        frame = x[:, :, :1]
        torch.testing.assert_close(
            pair.image(frame, t, half), from_unet(image, SCHEDULER)(frame, t, half), **close
        )
        torch.testing.assert_close(pair.codec.decode(x), decoder.eval()(x).clamp(-1, 1), **close)
    assert {path.name for path in folder.iterdir()} == {
        "image.safetensors", "video.safetensors", "decoder.safetensors", "prompts.safetensors", "pair.json", "CARD.md",
    }  # fmt: skip


def test_a_paper_sampler_of_a_pair_runs(folder):
    pair = Pair(folder)
    sampler = jvid.paper.sampler(pair.video, pair.image, resolution=64, steps=4)
    x = sampler(pair.shape, seeds=[1], cond=pair.text_encoder(["a person running"]))
    video = pair.codec.decode(x)
    assert video.shape == (1, 3, 3, 64, 64)
    assert bool(video.isfinite().all())


def test_the_recommended_strategy_composes(folder):
    pair = Pair(folder)
    sampler = pair.strategy.sampler(pair)
    assert sampler.plan() == pair.strategy.plan(pair.schedule)
    assert sampler(pair.shape, seeds=[1], cond=pair.text_encoder([""])).shape == (1, *pair.shape)
    assert [n for n in vars(jvid.pair.Pair) if not n.startswith("_") and not hasattr(Pair, n)] == []


def test_another_strategy_composes_from_the_parts(folder):
    pair = Pair(folder)
    experts = {
        "sharp": jvid.Expert(jvid.Guided(jvid.Framewise(pair.image), 3.0)),
        "steady": jvid.Expert(jvid.Guided(pair.video, 1.0), noise=jvid.SharedNoise(0.5)),
    }
    sampler = jvid.Sampler(
        experts, lambda step, u: {"sharp": 0.3, "steady": 0.7}, jvid.DDIM(), jvid.Trailing(3)
    )
    cond = pair.text_encoder(["a person running", "a person waving"])
    video = pair.codec.decode(sampler(pair.shape, seeds=[1, 2], cond=cond))
    assert video.shape == (2, 3, 3, 64, 64)
    assert bool(video.isfinite().all())
    again = pair.codec.decode(sampler(pair.shape, seeds=[2], cond=pair.text_encoder(["a person waving"])))
    torch.testing.assert_close(again[0], video[1], atol=1e-4, rtol=0)


def test_everybody_may_read_an_exported_pair(folder):
    assert {path.name: path.stat().st_mode & 0o444 for path in folder.iterdir()} == {
        path.name: 0o444 for path in folder.iterdir()
    }


def test_an_installation_without_weights_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("jvid_models.pair.__file__", str(tmp_path / "pair.py"))
    with pytest.raises(MissingDependencyError, match=r"carries no weights of actions-64.*pair of your own"):
        actions_64()


def test_where_shared_files_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("JVID_SHARED", str(tmp_path / "mine"))
    assert shared_root() == tmp_path / "mine"
    monkeypatch.delenv("JVID_SHARED")
    assert shared_root() == Path(__file__).resolve().parents[2] / "shared"
    monkeypatch.setattr(
        "jvid_models.paths.__file__", str(tmp_path / "site-packages" / "jvid_models" / "paths.py")
    )
    monkeypatch.chdir(tmp_path)
    assert shared_root() == tmp_path / "shared"


def test_the_dtype_is_the_networks(folder):
    pair = Pair(folder, dtype="bfloat16")
    x, cond = torch.randn(1, 4, 3, 8, 8), {"text": pair.text_encoder(["a person running"])["text"]}
    assert next(pair.video.network.unet.parameters()).dtype == torch.bfloat16
    assert pair.video(x, torch.tensor(0.5), cond).dtype == torch.float32
    with pytest.raises(InputError, match="dtype 'int8'"):
        _ = Pair(folder, dtype="int8").video
    with pytest.raises(InputError, match="decoder='jpeg'"):
        Pair(folder, decoder="jpeg")


def test_reading_what_a_pair_is_loads_no_network(folder):
    for name in ("image", "video", "decoder", "prompts"):
        (folder / f"{name}.safetensors").write_bytes(b"")
    code = (
        "import sys; from jvid_models.pair import Pair; pair = Pair(sys.argv[1]);"
        "pair.name, pair.shape, pair.fps, pair.prompts, repr(pair);"
        "print('torch' in sys.modules);"
        "pair.schedule, pair.strategy.plan();"
        "print('diffusers' in sys.modules)"
    )
    run = [sys.executable, "-c", code, str(folder)]
    root = Path(__file__).parents[1]
    printed = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout
    assert printed.split() == ["False", "False"]


@pytest.mark.parametrize(("which", "use"), [
    ("image", lambda pair: pair.image),
    ("video", lambda pair: pair.video),
    ("decoder", lambda pair: pair.codec),
    ("prompts", lambda pair: pair.text_encoder),
])  # fmt: skip
def test_a_damaged_file_is_told_in_one_line(folder, which, use):
    path = folder / f"{which}.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=which) as caught:
            use(Pair(folder))
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(MissingDependencyError, match=which):
        use(Pair(folder))


def test_weights_of_another_network_are_told(folder):
    (folder / "image.safetensors").write_bytes((folder / "decoder.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"do not fit pair\.json") as caught:
        _ = Pair(folder).image
    assert "\n" not in str(caught.value)


def test_a_damaged_description_is_told(folder, tmp_path):
    described = json.loads((folder / "pair.json").read_text())
    assert described["licence"] == "none"
    (folder / "pair.json").write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        Pair(folder)
    (folder / "pair.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(InputError, match="lacks name"):
        Pair(folder)
    (folder / "pair.json").write_text("{")
    with pytest.raises(InputError, match=r"is not JSON .*export the pair again"):
        Pair(folder)
    with pytest.raises(MissingDependencyError, match=r"no pair\.json"):
        Pair(tmp_path / "nowhere")


def test_an_export_is_whole_or_not_at_all(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(pair):
        raise OSError("no space left")

    monkeypatch.setattr(exporting, "_read_back", fails)
    with pytest.raises(InputError, match=r"cannot write .*: no space left; free the space"):
        export_pair(folder, *parts(1), meta())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    monkeypatch.undo()
    export_pair(folder, *parts(1), meta())
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after["image.safetensors"] != before["image.safetensors"]
    assert after["CARD.md"] == before["CARD.md"]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_parts_that_do_not_fit_are_refused(tmp_path):
    image, video, decoder, table = parts()
    target = tmp_path / "pair"
    wide = image_unet(**(TINY | {"text_width": 16}))
    with pytest.raises(InputError, match="text 16 wide"):
        export_pair(target, wide, video, decoder, table, meta())
    with pytest.raises(InputError, match="lacks fps"):
        export_pair(target, image, video, decoder, table, {k: v for k, v in meta().items() if k != "fps"})
    latents = {"shape": [8, 3, 8, 8], "mean": [0] * 8, "std": [1] * 8}
    with pytest.raises(InputError, match="latents have 8"):
        export_pair(target, image, video, decoder, table, meta(latents=latents))
    with torch.no_grad():
        next(image.parameters()).view(-1)[0] = 1e6
    with pytest.raises(InputError, match="not finite in fp16"):
        export_pair(target, image, video, decoder, table, meta())
    assert not list(tmp_path.iterdir())


def test_the_plugin_registers_and_resolves(folder):
    registry = Registry(entry_points=False)
    registry.add(plugin, "models")
    assert registry.names("pair") == ("actions-64",)
    assert registry.load("pair", str(folder), decoder="video").name == "tiny"
    table = registry.load("text", "table", path=folder / "prompts.safetensors")
    assert len(table.prompts) == 3
    for kind in ("pair", "codec", "text", "denoiser"):
        for component in registry.components(kind):
            assert callable(component.factory()), component


def test_listing_the_plugin_is_light():
    code = "import sys, jvid_models.plugin; print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    run = [sys.executable, "-c", code]
    root = Path(__file__).parents[1]
    assert subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout.strip() == "[]"
