"""Contact sheets of a strategy and the parts that it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

import jvid
from jvid import paper
from jvid.cli import main
from jvid.ensemble import Ensemble
from jvid.errors import InputError
from jvid.media.frames import to_frames
from jvid.strategy.shorthand import with_noise
from jvid_training import sheets
from jvid_training.export import Part, export_runs
from jvid_training.search.rows import ablation, printed
from jvid_training.sheets import make_sheets
from tests.toy import toy_ensemble
from tests.training_tools import tiny_runs

THREE = {
    "high": "gaussian:mean=0.5,std=0.5,schedule=cosine",
    "low": "gaussian:mean=-0.5,std=0.2,schedule=cosine",
    "still": "gaussian:std=0.8,schedule=cosine,denoises=frames",
}
"""Three experts in closed form, one of them of frames, that take no prompt."""
SELECTOR = "cycle:experts=high+low+still"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Ensemble:
    runs = tiny_runs(tmp_path_factory)
    experts = {name: Part(runs / name) for name in ("video", "image")}
    return export_runs(
        experts, Part(runs / "decoder"), tmp_path_factory.mktemp("ensembles") / "tiny", runs / "strategy.json"
    )


def pictures(path: Path, rows: int, side: int, frames: int) -> np.ndarray:
    """The frames of each row ``(rows, side, frames, side, 3)``."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    assert sheet.shape == (22 + rows * (side + 2), 150 + frames * (side + 2), 3)
    parts = sheet[22:, 150:].reshape(rows, side + 2, frames, side + 2, 3)
    return parts[:, :side, :, :side]


def test_sheets_show_every_prompt_and_row(tiny: Ensemble, tmp_path: Path) -> None:
    files = make_sheets(tiny, tmp_path / "sheets", "A person", 0)
    assert [file.name for file in files] == ["stand.png", "walk.png"]
    shown = pictures(files[1], 5, 32, 8)
    for row, strategy in zip(shown, ablation(tiny.strategy, tiny).values(), strict=True):
        composition = jvid.Composition(strategy, tiny)
        cond = composition.condition(["A person stand", "A person walk"])
        latents = composition.sampler()(tiny.shape, seeds=[0, 1], cond=cond)
        with torch.no_grad():
            expected = to_frames(tiny.codec.decode(latents[1:]))[0]
        assert np.array_equal(row.swapaxes(0, 1), expected)
    assert not np.array_equal(shown[0], shown[1]), "the video model and the image model differ"
    plain = attrs.evolve(with_noise(tiny.strategy, "image", gamma=1.0), postprocessors=())
    plain.save(tmp_path / "plain.json")
    words = ["--strategy", str(tmp_path / "plain.json"), "-o", str(tmp_path / "plain")]
    assert main(["sheets", "--pair", str(tiny.folder), *words]) == 0
    # Two experts, their mixture, and Table 6.
    assert np.array_equal(pictures(tmp_path / "plain/walk.png", 4, 32, 8)[:3], shown[:3])
    with pytest.raises(InputError, match="no prompt of tiny begins with 'A cat'"):
        make_sheets(tiny, tmp_path / "sheets", "A cat", 0)
    with pytest.raises(InputError, match=r"expected .png, .jpg or .webp"):
        make_sheets(tiny, tmp_path / "sheets", "A person", 0, ".bmp")


def test_sheets_of_three_experts_composed_on_the_spot(tmp_path: Path, capsys) -> None:
    """Each alone, the mixture, its noise, its postprocessors one by one."""
    words = [word for name, source in THREE.items() for word in ("--expert", f"{name}={source}")]
    words += ["--shape", "1,4,16,16", "--codec", "pixels", "--selector", SELECTOR, "--steps", "6"]
    words += [
        "--noise",
        "low=mixed:alpha=1",
        "--smooth",
        "uniform:size=3",
        "--postprocessor",
        "gaussian:std=1",
    ]
    assert main(["sheets", *words, "--prompt", "Anything", "-o", str(tmp_path)]) == 0
    stated = capsys.readouterr()
    labels = ["high alone", "low alone", "still alone", "mixture", "+ noise", "+ uniform", "+ gaussian"]
    assert stated.err.splitlines() == [f"sampling: {label}" for label in labels]
    assert stated.out.strip() == str(tmp_path / "Anything.png")
    shown = pictures(tmp_path / "Anything.png", 7, 16, 4).astype(float)
    assert shown[0].mean() > shown[2].mean() > shown[1].mean()
    assert len({row.tobytes() for row in shown}) == 7
    assert main(["sheets", *words, "-o", str(tmp_path)]) == 2
    stated = capsys.readouterr().err
    assert "no prompt of composed begins with 'A person': it takes any; name some with --prompt" in stated


def test_a_long_title_has_several_lines(tmp_path: Path) -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    heights = []
    for words in (1, 30, 60):
        sheets.write_sheet(tmp_path / "sheet.png", " ".join(["word"] * words), {"row": frames})
        heights.append(Image.open(tmp_path / "sheet.png").height - 10)
    assert heights[0] == 22
    assert heights[0] < heights[1] < heights[2]
    page = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert (page[: heights[2], -4:] == 255).all(), "nothing is cut at the edge"


class Real:
    """Three real clips, of which the second has the second prompt as a caption."""

    name, fps, frames, size, fingerprint = "real", 12.5, 8, (32, 32), "1"
    labels = ("a tree", "somebody", "a person stand")
    captions = (("a tree",), ("somebody", "a person WALK"), ("a person stand still",))

    def __len__(self) -> int:
        return 3

    def batches(self, size: int = 8) -> Iterator[np.ndarray]:
        """One clip at a time, of one shade each."""
        for shade in (10, 20, 30):
            yield np.full((1, 8, 32, 32, 3), shade, np.uint8)


def test_the_true_clip_is_the_first_row_where_there_is_one(tiny: Ensemble, tmp_path: Path) -> None:
    fewer = {"mine": attrs.evolve(tiny.strategy, steps=1)}
    files = make_sheets(tiny, tmp_path, "A person", 0, rows=fewer, reference=Real())
    assert [file.name for file in files] == ["stand.png", "walk.png"]
    assert len(pictures(files[0], 3, 32, 8)) == 3, "each expert alone, and the row"
    shown = pictures(files[1], 4, 32, 8)
    assert (shown[0] == 20).all()
    long = Real()
    long.frames = 9
    with pytest.raises(InputError, match="clips of 9 frames"):
        make_sheets(tiny, tmp_path, "A person", 0, rows=fewer, reference=long)


def test_rows_of_chosen_strategies(tmp_path: Path, capsys) -> None:
    words = [word for name, source in THREE.items() for word in ("--expert", f"{name}={source}")]
    words += ["--shape", "1,4,16,16", "--codec", "pixels", "--prompt", "Anything", "-o", str(tmp_path)]
    for name, steps in (("few", 2), ("more", 3)):
        jvid.Strategy("always:name=high", steps=steps).save(tmp_path / f"{name}.json")
    rows = ["--row", str(tmp_path / "few.json"), "--row", f"longer={tmp_path / 'more.json'}"]
    assert main(["sheets", *words, *rows, "--threads", "1", "--offload", "none"]) == 0
    labels = ["low alone", "still alone", "few", "longer"]
    assert capsys.readouterr().err.splitlines() == [f"sampling: {label}" for label in labels]
    for wrong, message in (
        ([*rows, "--paper", "64"], "--row beside --strategy or --paper"),
        ([*rows, "--row", rows[1]], "label 'few' is given twice"),
        (["--row", str(tmp_path / "none.json")], "none.json"),
        (["--offload", "half"], "--offload 'half': expected"),
        (["--dtype", "int8"], "--dtype 'int8': expected"),
        (["--reference", str(tmp_path / "nothing")], "no latents in"),
    ):
        assert main(["sheets", *words, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_rows_of_a_sheet_add_one_part_at_a_time() -> None:
    whole = paper.strategy(128)
    rows = ablation(whole)
    assert list(rows) == ["video model", "image model", "mixture", "+ reduced entropy", "+ smoothing"]
    unfinished = attrs.evolve(whole, postprocessors=())
    plain = with_noise(unfinished, "image", gamma=1.0)
    assert rows["video model"] == attrs.evolve(plain, selector="always:name=video")
    assert rows["image model"] == attrs.evolve(plain, selector="always:name=image")
    assert rows["mixture"] == plain
    assert rows["+ reduced entropy"] == unfinished
    assert rows["+ smoothing"] == whole
    assert printed(whole, 128) == {}
    assert printed(attrs.evolve(whole, plan_seed=1, steps=7), 100) == {
        "Table 6 at 128": attrs.evolve(paper.strategy(128), steps=7)
    }
    assert "+ smoothing" not in ablation(unfinished)


def test_sheets_stay_in_their_folder_and_are_checked_first(tmp_path: Path, monkeypatch) -> None:
    """Prompts that somebody else chose, of an ensemble that must not be sampled."""
    ensemble = toy_ensemble()
    ensemble.prompts = ("A person ../../up", "A person /abs/x", "A person abs x", "A person ..")
    drawn: list[Path] = []
    rows = [*ablation(ensemble.strategy), *printed(ensemble.strategy, 64)]
    clips = dict.fromkeys(rows, np.zeros((4, 8, 8, 8, 3), np.uint8))
    monkeypatch.setattr(sheets, "sample_rows", lambda *_: clips)
    files = make_sheets(ensemble, tmp_path / "a/b/out", "A person", 0)
    assert [file.name for file in files] == ["up.png", "abs-x.png", "abs-x-2.png", "prompt.png"]
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "a/b/out"}
    assert all(file.is_file() for file in files)

    monkeypatch.setattr(sheets, "sample_rows", lambda *_: drawn.append(Path()))
    (tmp_path / "out/up.png").mkdir(parents=True)
    (tmp_path / "file").write_text("in the way")
    for out, stated in ((tmp_path / "out", "up.png' is a folder"), (tmp_path / "file/out", "cannot be made")):
        with pytest.raises(InputError, match=stated):
            make_sheets(ensemble, out, "A person", 0)
    assert not drawn
    assert (tmp_path / "out/up.png").is_dir()
