"""From three finished runs to a pair, its contact sheets and its curves."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import jvid
from jvid.cli import main
from jvid.errors import InputError
from jvid.strategy.strategy import Strategy
from jvid_training import sheets
from jvid_training.export import export_runs
from jvid_training.search.rows import ablation, printed
from jvid_training.sheets import make_sheets
from jvid_training.train.curves import plot_curves
from jvid_training.train.trainer import train
from tests.training_tools import prepare


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """One step of each kind on the same latents, and a strategy of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    for kind in ("image", "video", "decoder"):
        recipe = prepare(folder, kind, steps=1, batch=2)
        train(attrs.evolve(recipe, name=f"tiny-{kind}", out=str(folder / kind)))
    (folder / "strategy.json").write_text(json.dumps(attrs.evolve(Strategy.paper(64), steps=2).to_dict()))
    return folder


def export(runs: Path, out: Path, order: tuple[str, str, str] = ("image", "video", "decoder")):
    return export_runs(*(runs / kind for kind in order), out, runs / "strategy.json")


def test_a_pair_holds_the_averages_and_samples(runs: Path, tmp_path: Path) -> None:
    export(runs, tmp_path / "pair")
    pair = jvid.load("pair", str(tmp_path / "pair"))
    assert (pair.name, pair.shape, pair.fps) == ("tiny", (4, 8, 4, 4), 12.5)
    assert len(pair.prompts) == 6
    for kind in ("image", "video", "decoder"):
        trained = load_file(runs / kind / "final/model.safetensors")
        shipped = load_file(tmp_path / "pair" / f"{kind}.safetensors")
        assert trained.keys() == shipped.keys()
        for name in trained:
            torch.testing.assert_close(shipped[name], trained[name].half(), rtol=0, atol=0)
    latents = pair.strategy.sampler(pair)(pair.shape, seeds=[1], cond=pair.text_encoder(["A person walk"]))
    assert pair.codec.decode(latents).shape == (1, 3, 8, 32, 32)


def test_runs_that_do_not_belong_together_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a run of kind video: expected image"):
        export(runs, tmp_path / "pair", ("video", "image", "decoder"))
    with pytest.raises(InputError, match="no run in"):
        export_runs(runs / "none", runs / "video", runs / "decoder", tmp_path / "pair")
    other = tmp_path / "other"
    (other / "final").mkdir(parents=True)
    for name in ("model.safetensors", "network.json"):
        (other / "final" / name).write_bytes((runs / "image/final" / name).read_bytes())
    described = json.loads((runs / "image/final/run.json").read_text())
    described["recipe"]["data"]["fps"] = 10.0
    (other / "final/run.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="trained on other latents"):
        export_runs(other, runs / "video", runs / "decoder", tmp_path / "pair")
    assert not (tmp_path / "pair").exists()


def test_parts_of_a_pair_stay(runs: Path, tmp_path: Path) -> None:
    pair = export(runs, tmp_path / "pair")
    (tmp_path / "pair/CARD.md").write_text("mine")
    (tmp_path / "pair/curves.png").write_bytes(b"picture")
    other = export_runs(runs / "image", tmp_path / "pair", tmp_path / "pair", tmp_path / "other")
    assert (other.name, other.strategy) == (pair.name, pair.strategy)
    # In the pair's own place too.
    again = export_runs(tmp_path / "pair", runs / "video", tmp_path / "pair", tmp_path / "pair")
    for kind in ("image", "video", "decoder"):
        weights = {
            folder: (tmp_path / folder / f"{kind}.safetensors").read_bytes() for folder in ("pair", "other")
        }
        assert weights["pair"] == weights["other"]
    assert (again.folder / "CARD.md").read_text() == "mine"
    assert (again.folder / "curves.png").read_bytes() == b"picture"
    with pytest.raises(InputError, match="three pairs and no run"):
        export_runs(*[tmp_path / "pair"] * 3, tmp_path / "none")
    described = json.loads((tmp_path / "pair/pair.json").read_text())
    (tmp_path / "pair/pair.json").write_text(json.dumps(described | {"fps": 25.0}))
    with pytest.raises(
        InputError, match=r"decoder model of the pair in .*pair and the video run differ in fps"
    ):
        export_runs(runs / "image", runs / "video", tmp_path / "pair", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("there", ["run", "home", "file", "pair and notes", "device"])
def test_only_a_pair_is_replaced(runs: Path, tmp_path: Path, there: str, capsys) -> None:
    """A run's own folder, a home folder, a file, a pair with something of the user's beside it, a device."""
    out = tmp_path / "out"
    if there == "run":
        shutil.copytree(runs / "image", out)
    elif there == "home":
        (out / "thesis").mkdir(parents=True)
        (out / "thesis/chapter.tex").write_text("mine")
    elif there == "file":
        out.write_text("mine")
    elif there == "device":
        out.symlink_to(os.devnull)
    else:
        export(runs, out)
        (out / "notes.txt").write_text("mine")
    held = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert (
        main(["export", *(str(runs / kind) for kind in ("image", "video", "decoder")), "-o", str(out)]) == 2
    )
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(out) in told
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == held
    assert Path(os.devnull).is_char_device()
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_pair_that_was_there(runs: Path, tmp_path: Path, capsys) -> None:
    export(runs, tmp_path / "pair")
    held = {path.name: path.read_bytes() for path in (tmp_path / "pair").iterdir()}
    words = ["export", *(str(runs / kind) for kind in ("image", "video", "decoder")), "-o"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        assert [main([*words, str(tmp_path / name)]) for name in ("pair", "new")] == [2, 2]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    first, second = capsys.readouterr().err.splitlines()
    assert "cannot write" in first
    assert "File too large; free the space" in second
    assert {path.name: path.read_bytes() for path in (tmp_path / "pair").iterdir()} == held
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


def test_a_run_that_changed_is_not_exported(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "image", tmp_path / "image")
    weights = tmp_path / "image/final/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(
        InputError, match=r"final is damaged \(model.safetensors: not the bytes that were written"
    ):
        export_runs(tmp_path / "image", runs / "video", runs / "decoder", tmp_path / "pair")
    (tmp_path / "image/final/manifest.json").unlink()  # as an older version wrote it
    export_runs(tmp_path / "image", runs / "video", runs / "decoder", tmp_path / "pair")


class Prompted:
    """A pair that must not be sampled, with prompts that somebody else chose."""

    name, shape, prompts = (
        "tiny",
        (4, 8, 4, 4),
        ("A person ../../up", "A person /abs/x", "A person abs x", "A person .."),
    )
    strategy = Strategy.paper(64)


def test_sheets_stay_in_their_folder_and_are_checked_first(tmp_path: Path, monkeypatch) -> None:
    drawn: list[Path] = []
    rows = ablation(Prompted.strategy)
    clips = dict.fromkeys([*rows, *printed(Prompted.strategy, 32)], np.zeros((4, 8, 8, 8, 3), np.uint8))
    monkeypatch.setattr(sheets, "sample_rows", lambda *_: clips)
    files = make_sheets(Prompted(), tmp_path / "a/b/out", "A person", 0)
    assert [file.name for file in files] == ["up.png", "abs-x.png", "abs-x-2.png", "prompt.png"]
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "a/b/out"}
    assert all(file.is_file() for file in files)

    monkeypatch.setattr(sheets, "sample_rows", lambda *_: drawn.append(Path()))
    (tmp_path / "out/up.png").mkdir(parents=True)
    (tmp_path / "file").write_text("in the way")
    for out, told in ((tmp_path / "out", "up.png' is a folder"), (tmp_path / "file/out", "cannot be made")):
        with pytest.raises(InputError, match=told):
            make_sheets(Prompted(), out, "A person", 0)
    assert not drawn
    assert (tmp_path / "out/up.png").is_dir()


def test_the_rows_of_a_sheet_add_one_part_at_a_time() -> None:
    whole = Strategy.paper(128)
    rows = ablation(whole)
    assert list(rows) == ["video model", "image model", "mixture", "+ reduced entropy", "+ smoothing"]
    assert rows["video model"].selector == Choice("always", {"name": "video"})
    assert rows["image model"].selector == Choice("always", {"name": "image"})
    assert rows["mixture"] == attrs.evolve(whole, noise={}, smoothing=None)
    assert rows["+ reduced entropy"] == attrs.evolve(whole, smoothing=None)
    assert rows["+ smoothing"] == whole
    assert printed(whole, 128) == {}
    assert printed(attrs.evolve(whole, plan_seed=1, steps=7), 100) == {
        "Table 6 at 128": attrs.evolve(Strategy.paper(128), steps=7)
    }
    assert "+ smoothing" not in ablation(attrs.evolve(whole, smoothing=None))


def test_sheets_show_every_prompt_and_row(runs: Path, tmp_path: Path) -> None:
    pair = export(runs, tmp_path / "pair")
    files = make_sheets(pair, tmp_path / "sheets", "A person", 0)
    assert [file.name for file in files] == ["stand.png", "walk.png"]
    picture = np.asarray(Image.open(files[0]).convert("RGB"))
    assert picture.shape == (22 + 5 * 34, 150 + 8 * 34, 3)
    rows = [picture[22 + 34 * row : 54 + 34 * row, 150:] for row in range(5)]
    assert all(row.std() > 0 for row in rows)
    assert not np.array_equal(rows[0], rows[1]), "the video model and the image model differ"
    attrs.evolve(pair.strategy, smoothing=None, noise={}).save(tmp_path / "plain.json")
    words = ["--strategy", str(tmp_path / "plain.json"), "-o", str(tmp_path / "plain")]
    assert main(["sheets", "--pair", str(tmp_path / "pair"), *words]) == 0
    plain = np.asarray(Image.open(tmp_path / "plain/stand.png").convert("RGB"))
    assert plain.shape == (22 + 4 * 34, 150 + 8 * 34, 3), "two experts, their mixture, and Table 6"
    assert np.array_equal(plain[22 : 22 + 34 * 3, 150:], picture[22 : 22 + 34 * 3, 150:])
    with pytest.raises(InputError, match="no prompt of tiny begins with 'A cat'"):
        make_sheets(pair, tmp_path / "sheets", "A cat", 0)
    with pytest.raises(InputError, match=r"expected .png, .jpg or .webp"):
        make_sheets(pair, tmp_path / "sheets", "A person", 0, ".bmp")


def test_curves_are_drawn_for_runs_only(runs: Path, tmp_path: Path) -> None:
    plot_curves([runs / "image", runs / "decoder"], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 800
    with pytest.raises(InputError, match="no run in"):
        plot_curves([tmp_path], tmp_path / "x.png")
    with pytest.raises(InputError, match=r"ends in '.txt': expected .png, .svg, .pdf"):
        plot_curves([runs / "image"], tmp_path / "x.txt")
    assert not list(tmp_path.glob("x*"))
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png/mine").write_text("mine")
    with pytest.raises(InputError, match=r"x.png' is a folder: expected a file's name"):
        plot_curves([runs / "image"], tmp_path / "x.png")
    assert (tmp_path / "x.png/mine").read_text() == "mine"
    (runs / "broken/final").mkdir(parents=True)
    (runs / "broken/final/run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json is not JSON .*; train again"):
        plot_curves([runs / "broken"], tmp_path / "y.png")
