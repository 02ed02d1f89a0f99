"""From finished runs to an ensemble, and its curves."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import attrs
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import jvid
from jvid import paper
from jvid.cli import main
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid_training.export import Part, export_runs
from jvid_training.train.curves import plot_curves
from tests.training_tools import tiny_runs

KINDS = ("image", "video", "decoder")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tiny_runs(tmp_path_factory)


def export(image: Path, video: Path, decoder: Path, out: Path, strategy: Path | None = None, **more: Path):
    experts = {"video": Part(video, kinds=("video",)), "image": Part(image, kinds=("image",))}
    experts |= {name: Part(folder) for name, folder in more.items()}
    return export_runs(experts, Part(decoder), out, strategy)


def exported(runs: Path, out: Path):
    return export(*(runs / kind for kind in KINDS), out, runs / "strategy.json")


def sampled(ensemble, strategy=None, prompt: str = "A person walk"):
    composition = jvid.Composition(strategy or ensemble.strategy, ensemble)
    return composition.sampler()(ensemble.shape, seeds=[1], cond=composition.condition([prompt]))


def test_an_ensemble_holds_the_averages_and_samples(runs: Path, tmp_path: Path) -> None:
    exported(runs, tmp_path / "tiny")
    ensemble = jvid.load("ensemble", str(tmp_path / "tiny"))
    assert (ensemble.name, ensemble.shape, ensemble.fps) == ("tiny", (4, 8, 4, 4), 12.5)
    assert (ensemble.experts, ensemble.frame_experts) == (("video", "image"), ("image",))
    assert {ensemble.member(name).wrappers for name in ensemble.experts} == {
        (Choice("guided", {"scale": 2.0}),)
    }
    assert len(ensemble.prompts) == 6
    for kind in KINDS:
        trained = load_file(runs / kind / "final/model.safetensors")
        shipped = load_file(tmp_path / "tiny" / f"{kind}.safetensors")
        assert trained.keys() == shipped.keys()
        for name in trained:
            torch.testing.assert_close(shipped[name], trained[name].half(), rtol=0, atol=0)
    assert ensemble.codec.decode(sampled(ensemble)).shape == (1, 3, 8, 32, 32)


def test_experts_of_any_names_by_the_command(runs: Path, tmp_path: Path, capsys) -> None:
    """What a run denoises is its recipe's kind; parts of earlier exports are FOLDER#EXPERT; the short form is the same."""
    video, image, decoder = (str(runs / kind) for kind in ("video", "image", "decoder"))
    out = tmp_path / "three"
    words = ["--expert", f"high={video}", "--expert", f"still={image}", "--expert", f"low={video}"]
    assert main(["export", *words, "--decoder", decoder, "-o", str(out)]) == 0
    assert "ensemble tiny of high, still, low" in capsys.readouterr().out
    three = jvid.load("ensemble", str(out))
    assert (three.experts, three.frame_experts) == (("high", "still", "low"), ("still",))
    assert three.strategy is None, "the paper's names experts that it does not have"
    strategy = jvid.Strategy("boundary:experts=high+low,at=0.5", steps=2)
    assert bool(sampled(three, strategy).isfinite().all())
    assert (out / "high.safetensors").read_bytes() == (out / "low.safetensors").read_bytes()

    strategy.save(tmp_path / "boundary.json")
    words = [
        "--expert",
        f"high={out}#low",
        "--expert",
        f"low={video}",
        "--strategy",
        str(tmp_path / "boundary.json"),
    ]
    assert main(["export", *words, "--decoder", str(out), "-o", str(tmp_path / "two")]) == 0
    two = jvid.load("ensemble", str(tmp_path / "two"))
    assert (two.experts, two.strategy) == (("high", "low"), strategy)
    assert torch.equal(sampled(two), sampled(three, strategy))

    short, long = tmp_path / "short", tmp_path / "long"
    assert main(["export", image, video, decoder, "--guide", f"early={video}", "-o", str(short)]) == 0
    words = ["--expert", f"video={video}", "--expert", f"image={image}", "--expert", f"early={video}"]
    assert main(["export", *words, "--decoder", decoder, "-o", str(long)]) == 0
    assert {path.name: path.read_bytes() for path in short.iterdir()} == {
        path.name: path.read_bytes() for path in long.iterdir()
    }
    made = jvid.load("ensemble", str(short))
    assert made.strategy == paper.strategy(64)
    led = {"video": jvid.ExpertStrategy(("guided:scale=2,against=early",))}
    assert bool(sampled(made, attrs.evolve(made.strategy, experts=led, steps=2)).isfinite().all())


@pytest.mark.parametrize(("words", "message"), [
    (["{image}", "{video}"], "2 parts: expected IMAGE VIDEO DECODER"),
    ([], "no experts: expected IMAGE VIDEO DECODER, or --expert NAME=RUN"),
    (["--expert", "a={video}"], "no decoder: expected --decoder RUN"),
    (["--expert", "a={video}#b", "--decoder", "{decoder}"], "is no ensemble: leave #b out"),
    (["--expert", "a", "--decoder", "{decoder}"], "--expert 'a': expected a name and a folder"),
    (["--expert", "a={video}", "--expert", "a={image}", "--decoder", "{decoder}"], "a is given twice"),
    (["{image}", "{video}", "{decoder}", "--expert", "image={image}"], "image is given twice"),
    (["{image}", "{video}", "{decoder}", "--decoder", "{decoder}"], "leave one out"),
    (["--expert", "a={decoder}", "--decoder", "{decoder}"], "is a run of kind decoder: expected image or video"),
    (["--expert", "a={video}", "--decoder", "{image}"], "is a run of kind image: expected decoder"),
    (["--expert", "decoder={video}", "--decoder", "{decoder}"], "expert 'decoder': expected another name"),
    (["--expert", "../a={video}", "--decoder", "{decoder}"], "expert '../a': expected letters, digits"),
    (["--expert", "a={video}", "--decoder", "{decoder}", "--strategy", "{strategy}"],
     "selector 'piecewise-affine' names expert 'video': expected those of ensemble 'tiny', a"),
])  # fmt: skip
def test_a_command_that_does_not_fit_is_one_line(
    runs: Path, tmp_path: Path, capsys, words: list[str], message: str
) -> None:
    places = {kind: str(runs / kind) for kind in KINDS} | {"strategy": str(runs / "strategy.json")}
    given = [word.format(**places) for word in words]
    assert main(["export", *given, "-o", str(tmp_path / "out")]) == 2
    stated = capsys.readouterr().err.strip()
    assert message in stated
    assert len(stated.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_runs_that_do_not_belong_together_are_refused(runs: Path, tmp_path: Path) -> None:
    image, video, decoder = (runs / kind for kind in KINDS)
    with pytest.raises(InputError, match="is a run of kind image: expected video"):
        export(video, image, decoder, tmp_path / "out")
    with pytest.raises(InputError, match=r"no run in .*: expected the `out` folder of its image recipe"):
        export(runs / "none", video, decoder, tmp_path / "out")
    other = tmp_path / "other"
    (other / "final").mkdir(parents=True)
    for name in ("model.safetensors", "network.json"):
        (other / "final" / name).write_bytes((image / "final" / name).read_bytes())
    described = json.loads((image / "final/run.json").read_text())
    described["recipe"]["data"]["fps"] = 10.0
    (other / "final/run.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match="the image run was trained on other latents than the video run"):
        export(other, video, decoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_of_an_ensemble_stay(runs: Path, tmp_path: Path) -> None:
    first = exported(runs, tmp_path / "one")
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "CARD.md").write_text("mine")
    (one / "curves.png").write_bytes(b"picture")
    made = export(runs / "image", one, one, other)
    assert (made.name, made.strategy) == (first.name, first.strategy)
    # In the ensemble's own place too.
    again = export(one, runs / "video", one, one)
    for kind in KINDS:
        assert (one / f"{kind}.safetensors").read_bytes() == (other / f"{kind}.safetensors").read_bytes()
    assert (again.folder / "CARD.md").read_text() == "mine"
    assert (again.folder / "curves.png").read_bytes() == b"picture"
    with pytest.raises(InputError, match="ensembles and no run"):
        export(one, one, one, tmp_path / "none")
    with pytest.raises(
        InputError, match=r"expert 'video': the ensemble in .*other has video, image; expected .*#EXPERT"
    ):
        export_runs({"video": Part.parse(f"{other}#none")}, Part(runs / "decoder"), tmp_path / "none")
    with pytest.raises(InputError, match=r"expert 'video': image of .* denoises frames, expected clips"):
        export_runs(
            {"video": attrs.evolve(Part.parse(f"{other}#image"), kinds=("video",))},
            Part(runs / "decoder"),
            tmp_path / "none",
        )
    described = json.loads((one / "ensemble.json").read_text())
    (one / "ensemble.json").write_text(json.dumps(described | {"fps": 25.0}))
    with pytest.raises(
        InputError, match=r"decoder model of the ensemble in .*one and the video run differ in fps"
    ):
        export(runs / "image", runs / "video", one, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_weaker_model_of_another_ensemble_leaves_name_and_strategy(runs: Path, tmp_path: Path) -> None:
    """Its video model is its only one of clips; what is exported is not that ensemble."""
    exported(runs, tmp_path / "old")
    described = json.loads((tmp_path / "old/ensemble.json").read_text())
    (tmp_path / "old/ensemble.json").write_text(json.dumps(described | {"name": "old"}))
    made = export(*(runs / kind for kind in KINDS), tmp_path / "new", early=tmp_path / "old")
    assert (made.name, made.experts) == ("tiny", ("video", "image", "early"))
    assert made.strategy == paper.strategy(64)
    assert (tmp_path / "new/early.safetensors").read_bytes() == (
        tmp_path / "old/video.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("there", ["run", "home", "file", "ensemble and notes", "device"])
def test_only_an_ensemble_is_replaced(runs: Path, tmp_path: Path, there: str, capsys) -> None:
    """A run's own folder, a home folder, a file, an ensemble with something of the user's beside it, a device."""
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
        exported(runs, out)
        (out / "notes.txt").write_text("mine")
    held = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["export", *(str(runs / kind) for kind in KINDS), "-o", str(out)]) == 2
    stated = capsys.readouterr().err
    assert stated.count("\n") == 1
    assert str(out) in stated
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == held
    assert Path(os.devnull).is_char_device()
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_ensemble_that_was_there(runs: Path, tmp_path: Path, capsys) -> None:
    exported(runs, tmp_path / "there")
    held = {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}
    words = ["export", *(str(runs / kind) for kind in KINDS), "-o"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        assert [main([*words, str(tmp_path / name)]) for name in ("there", "new")] == [2, 2]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    first, second = capsys.readouterr().err.splitlines()
    assert "cannot write" in first
    assert "File too large; free the space" in second
    assert {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()} == held
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_run_that_changed_is_not_exported(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "image", tmp_path / "image")
    weights = tmp_path / "image/final/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(
        InputError, match=r"final is damaged \(model.safetensors: not the bytes that were written"
    ):
        export(tmp_path / "image", runs / "video", runs / "decoder", tmp_path / "there")
    (tmp_path / "image/final/manifest.json").unlink()  # as an older version wrote it
    export(tmp_path / "image", runs / "video", runs / "decoder", tmp_path / "there")


def test_curves_are_drawn_for_runs_only(runs: Path, tmp_path: Path) -> None:
    plot_curves([runs / "image", runs / "decoder"], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 800
    with pytest.raises(InputError, match=r"no run in"):
        plot_curves([tmp_path], tmp_path / "x.png")
    with pytest.raises(InputError, match=r"ends in '.txt': expected .png, .svg, .pdf"):
        plot_curves([runs / "image"], tmp_path / "x.txt")
    assert not list(tmp_path.glob("x*"))
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png/mine").write_text("mine")
    with pytest.raises(InputError, match=r"x.png' is a folder: expected a file's name"):
        plot_curves([runs / "image"], tmp_path / "x.png")
    assert (tmp_path / "x.png/mine").read_text() == "mine"
    (tmp_path / "broken/final").mkdir(parents=True)
    (tmp_path / "broken/final/run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json is not JSON .*; train again"):
        plot_curves([tmp_path / "broken"], tmp_path / "y.png")
