"""The report page: what it shows, that it shows nothing else, and that a browser draws it."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from PIL import Image

from jvid import paper
from jvid.cli import main
from jvid.errors import InputError
from jvid.plugins.registry import Registry, using
from jvid.strategy import Strategy
from jvid_training.evaluation.figures import EvaluationResult, Figure, number, save
from jvid_training.generation import ClipSet
from jvid_training.report.content import Content, Front, Point, ReportClip, ReportObjective, ReportRow
from jvid_training.report.inputs import read
from jvid_training.report.page import page, write_page
from jvid_training.report.scatter import planes
from jvid_training.report.sets import chosen, names
from jvid_training.report.sprites import sprite
from jvid_training.report.tables import figures_table
from tests.report_tools import Page, check_self_contained, toy_sets
from tests.toy import PROMPTS, SCHEDULE, toy_registry

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert('2')">&amp;"""
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module", autouse=True)
def _toy() -> Iterator[None]:
    with using(toy_registry()):
        yield


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return toy_sets(tmp_path_factory)


def clip(seed: int = 0, prompt: str = "a person", frames: int = 5) -> ReportClip:
    random = np.random.Generator(np.random.Philox(seed))
    return ReportClip(prompt, seed, random.integers(0, 256, (frames, 8, 12, 3)).astype(np.uint8))


def test_sets_side_by_side(sets: list[Path]) -> None:
    """Seeds 12 to 15 are in both: each prompt shows the first of those, in the same column."""
    content = read(sets, clips=2)
    assert [row.name for row in content.rows] == ["mixture", "video only"]
    assert [(row.ensemble.name, row.ensemble.schedule) for row in content.rows] == [("toy", SCHEDULE)] * 2
    seeds = {row.name: [(one.prompt, one.seed) for one in row.clips] for row in content.rows}
    assert seeds["mixture"] == seeds["video only"]
    assert seeds["mixture"] == [(PROMPTS[0], 12), (PROMPTS[0], 14), (PROMPTS[1], 13), (PROMPTS[1], 15)]
    assert np.array_equal(content.rows[0].clips[0].frames, ClipSet.open(sets[0]).clip(2))
    text = page(content)
    check_self_contained(text)
    parsed = Page(text)
    assert parsed.text("h3") == ["mixture", "video only", *PROMPTS]
    assert [one for one in parsed.text("figcaption")] == [
        f"seed {s}" for s in (12, 14, 12, 14, 13, 15, 13, 15)
    ]
    assert len(parsed.all("canvas")) == len(parsed.all("img")) == 8
    assert all(
        c["data-frames"] == "5" and (c["width"], c["height"]) == ("64", "64") for c in parsed.all("canvas")
    )
    commands = [line for line in parsed.text("pre") if line.startswith("jvid generate")]
    assert (
        f"--out {sets[0]} --num 6 --ensemble toy --strategy mixture.json --seed 10 --batch 2" in commands[0]
    )
    assert any("jvid 0." in line and "torch" in line for line in parsed.text("p"))


def test_the_strategy_reported_is_the_one_that_made_the_set(sets: list[Path]) -> None:
    stated = [json.loads(text) for text in Page(page(read(sets))).text("pre") if text.startswith("{")]
    assert [Strategy.from_dict(values) for values in stated] == [ClipSet.open(s).spec.strategy for s in sets]


def test_sprite_holds_the_frames() -> None:
    import base64
    import io

    smooth = np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3)
    frames = np.stack([np.clip(smooth * scale, 0, 255) for scale in (0.2, 0.4, 0.6, 0.8, 1.0)]).astype(
        np.uint8
    )
    made = sprite(frames)
    assert (made.frames, made.columns, made.rows) == (5, 3, 2)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))).convert("RGB"))
    assert picture.shape == (32, 48, 3)
    for k, frame in enumerate(frames):
        row, column = divmod(k, 3)
        part = picture[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
        assert np.abs(part.astype(float) - frame).mean() < 6


def test_everything_is_escaped() -> None:
    row = ReportRow(
        HOSTILE, paper.strategy(64), (attrs.evolve(clip(), prompt=HOSTILE, remark=HOSTILE),),
        highest=(clip(),), lowest=(clip(),), ranked_by=HOSTILE,
        figures={HOSTILE: Figure(1.0, 0.5, 1.5, "lower", HOSTILE)}, facts={HOSTILE: HOSTILE},
    )  # fmt: skip
    front = Front(
        (ReportObjective(HOSTILE), ReportObjective("b")), (Point(HOSTILE, (1.0, 2.0), True, HOSTILE),)
    )
    content = Content(
        HOSTILE, (row,), 12.5, floors=(attrs.evolve(row, strategy=None),), fronts=(front,), commands=(HOSTILE,),
        versions={HOSTILE: HOSTILE}, notes=(HOSTILE,),
    )  # fmt: skip
    parsed = Page(page(content))
    assert len(parsed.all("script")) == 1
    assert not [image for image in parsed.all("img") if not (image["src"] or "").startswith("data:")]
    assert parsed.text("title")[0] == HOSTILE
    assert HOSTILE in parsed.text("h3")
    assert HOSTILE in parsed.text("pre")
    assert html.escape(HOSTILE, quote=False) not in "".join(text for _, text in parsed.texts)


def test_same_page_for_the_same_content(sets: list[Path]) -> None:
    assert page(read(sets, clips=2)) == page(read(sets, clips=2))


def test_figures_of_evaluate(sets: list[Path], tmp_path: Path) -> None:
    made = EvaluationResult(
        "mixture", 6, 5, (64, 64), 12.5, "real", 9, {"FVD[i3d, 6 clips]": Figure(98.7, 90.0, 110.0, "lower")},
        {"real": {"FVD[i3d]": Figure(30.0, 20.0, 40.0, "lower", "halves")}},
        {"source": ClipSet.open(sets[0]).fingerprint},
    )  # fmt: skip
    save([made], tmp_path / "figures.json")
    content = read(sets, figures=[tmp_path / "figures.json"])
    assert [dict(row.figures) for row in content.rows] == [made.figures, {}]
    table = figures_table(content.rows, content.floors)
    assert [heading.name for heading in table.headings] == ["FVD[i3d, 6 clips]"]
    assert [(line.name, line.entries[0].value, line.entries[0].interval) for line in table.lines] == [
        ("mixture", "98.7", "90.0–110"), ("video only", "–", ""), ("real clips, in halves", "30.0", "20.0–40.0"),
    ]  # fmt: skip
    save([attrs.evolve(made, fingerprints={"source": "other"})], tmp_path / "other.json")
    with pytest.raises(InputError, match=r"--figures are of other clips \(mixture\)"):
        read(sets, figures=[tmp_path / "other.json"])


def test_best_of_a_column_and_those_level_with_it() -> None:
    def row(name: str, value: float, low: float, better: Any = "lower") -> ReportRow:
        return ReportRow(name, figures={"FVD[n, 8 clips]": Figure(value, low, value + 10, better)})

    rows = [row("a", 100.0, 90.0), row("b", 105.0, 99.0), row("c", 120.0, 110.0)]
    floor = row("real", 1.0, 0.5)
    table = figures_table(rows, [floor])
    assert [line.entries[0].mark for line in table.lines] == ["best", "level", "", ""]
    higher = [
        attrs.evolve(r, figures={"IS": attrs.evolve(f, better="higher")})
        for r in rows
        for f in r.figures.values()
    ]
    assert [line.entries[0].mark for line in figures_table(higher, []).lines] == ["", "", "best"]
    neither = [row(name, 1.0, 0.5, None) for name in "ab"]
    assert [line.entries[0].mark for line in figures_table(neither, []).lines] == ["", ""]
    assert figures_table([ReportRow("a")], []) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(983.2, "983"), (1191.4, "1,191"), (0.1, "0.100"), (12.345, "12.3"), (0, "0"), (2e-5, "2.00e-05"),
     (-3.25, "-3.25"), (float("nan"), "not finite")],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("across", ["lower", "higher"])
@pytest.mark.parametrize("up", ["lower", "higher"])
def test_the_stairs_bound_what_the_front_beats(across: str, up: str) -> None:
    """No point lies on the good side of the stairs, and every point of the front is on them."""
    random = np.random.Generator(np.random.Philox(3))
    values = random.random((60, 2))
    signs = np.array([1 if way == "lower" else -1 for way in (across, up)])
    losses = values * signs
    beaten = [((losses <= p).all(1) & (losses < p).any(1)).any() for p in losses]
    points = [
        Point(str(i), tuple(v), not b) for i, (v, b) in enumerate(zip(values.tolist(), beaten, strict=True))
    ]
    (plane,) = planes(Front((ReportObjective("a", across), ReportObjective("b", up)), tuple(points)))
    at = np.array([float(part) for part in plane.stairs[1:].split("H")[0].split("V")[0].split()])
    corners = [at.copy()]
    for letter, value in re.findall(r"([HV])([\d.]+)", plane.stairs):
        at["HV".index(letter)] = float(value)
        corners.append(at.copy())
    stairs = np.array(corners)
    on = np.array([(dot.x, dot.y) for dot in plane.dots if dot.front])
    assert all((np.abs(stairs - dot).max(1) < 0.05).any() for dot in on)
    # In pixels y points down: where higher is better, smaller y is.
    pixels = signs * (1, -1)
    for corner in stairs:
        better = [(np.array([d.x, d.y]) * pixels < corner * pixels - 0.05).all() for d in plane.dots]
        assert not any(better)


def test_three_objectives_are_three_planes_without_stairs() -> None:
    front = Front(
        tuple(map(ReportObjective, "abc")),
        (Point("p", (1.0, 2.0, 3.0), True), Point("q", (2.0, 1.0, float("nan")), False)),
    )
    drawn = planes(front)
    assert [(p.across.name, p.up.name, len(p.dots), p.stairs) for p in drawn] == [
        ("a", "b", 2, ""), ("a", "c", 1, ""), ("b", "c", 1, ""),
    ]  # fmt: skip
    assert planes(Front(front.objectives, ())) == []


def test_an_incomplete_set_is_reported_and_its_place_kept(sets: list[Path], tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(sets[0], part)
    (part / "batch-00000001.safetensors").unlink()
    content = read([part], clips=2)
    assert content.notes == ("part is incomplete: 2 of its 6 clips are not made yet",)
    assert [one.frames is None for one in content.rows[0].clips] == [False, True, False, True]
    parsed = Page(page(content))
    assert parsed.text("div").count("not made") == 2
    assert "part is incomplete: 2 of its 6 clips are not made yet" in parsed.text("li")
    for batch in part.glob("batch-*"):
        batch.unlink()
    assert not Page(page(read([part]))).all("canvas")


def changed(folder: Path, to: Path, **values: Any) -> Path:
    """A copy of a set whose spec says something else."""
    shutil.copytree(folder, to)
    for batch in to.glob("batch-*"):
        batch.unlink()
    stated = json.loads((to / "set.json").read_text())
    (to / "set.json").write_text(json.dumps({**stated, **values}))
    return to


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": [32, 48]}, "sets of other size: 64x64 in .*, 48x32 in .*; report them apart"),
        ({"fps": 25.0}, "sets of other frames a second: 12.5 in .*, 25.0 in"),
        ({"latents": [4, 7, 8, 8], "frames": 7}, "sets of other frames: 5 in .*, 7 in"),
        ({"prompts": ["a person jumping"]}, "sets of other prompts: a person waving, a person running in"),
        ({"seed": 900}, "without a prompt and seed in common: from seed 10 in .*, 900 in"),
    ],
)
def test_sets_that_cannot_stand_side_by_side(
    sets: list[Path], tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    other = changed(sets[0], tmp_path / "other", **values)
    with pytest.raises(InputError, match=message):
        read([sets[0], other])


def test_bad_input_is_one_line_and_writes_nothing(
    sets: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    damaged = changed(sets[0], tmp_path / "damaged")
    (damaged / "set.json").write_text("{")
    out = tmp_path / "out.html"
    for words_, message in (
        ([tmp_path / "empty"], "holds neither clips nor a study's tables"),
        ([tmp_path / "gone"], "there is no folder"),
        ([damaged], "set.json is not JSON"),
        ([*sets, "--figures", tmp_path / "none.json"], "none.json': expected figures"),
    ):
        with using(Registry()):
            assert main(["report", *map(str, words_), "-o", str(out)]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert len(error.splitlines()) == 1
        assert not out.exists()
    with using(Registry()):
        assert main(["report", str(sets[0]), "-o", str(tmp_path / "out.pdf")]) == 2
    assert "expected .html" in capsys.readouterr().err


def test_command_writes_the_page_whole(
    sets: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "report.html"
    with using(Registry()):
        assert main(["report", *map(str, sets), "-o", str(out), "--clips", "2", "--title", "Two"]) == 0
    assert "2 strategies" in capsys.readouterr().out
    before = out.read_bytes()
    assert Page(before.decode()).text("title")[0] == "Two"  # those of a plan's cells follow
    assert f"--out {out} --clips 2" in before.decode()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        write_page(out, read(sets))
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_names_distinguish_folders(tmp_path: Path) -> None:
    assert names([tmp_path / "a" / "x", tmp_path / "b" / "x"]) == ["a/x", "b/x"]
    assert names([tmp_path / "a" / "x", tmp_path / "a" / "y"]) == ["x", "y"]
    assert chosen([], 3) == []


def test_the_summary_as_values(sets: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    words = ["--title", "Two sets", "--json"]
    with using(Registry()):
        assert main(["report", *map(str, sets), "-o", str(out), *words]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    stated = json.loads(line)
    assert (stated["file"], stated["bytes"], stated["title"]) == (str(out), out.stat().st_size, "Two sets")
    assert [row["name"] for row in stated["strategies"]] == ["mixture", "video only"]
    assert [Strategy.from_dict(row["strategy"]) for row in stated["strategies"]] == [
        ClipSet.open(folder).spec.strategy for folder in sets
    ]
    assert shlex.split(stated["commands"][-1])[-2:] == ["--title", "Two sets"]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine: the page is not opened")
def test_a_browser_draws_it(sets: list[Path], tmp_path: Path) -> None:
    """Loaded from the disk: every canvas is drawn, the console is silent, the picture is not blank."""
    out = tmp_path / "report.html"
    write_page(out, read(sets, clips=2))
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", "--enable-logging=stderr",
        "--virtual-time-budget=20000", "--window-size=1000,1400", f"--user-data-dir={tmp_path / 'profile'}",
    ]  # fmt: skip
    shown = subprocess.run([str(BROWSER), *flags, "--dump-dom", out.as_uri()], capture_output=True, text=True)
    root = Page(shown.stdout).all("html")[0]
    assert root["data-drawn"] == "8"
    assert int(root["data-frame"] or -1) in range(5)
    assert "CONSOLE" not in shown.stderr
    assert all("hidden" not in canvas for canvas in Page(shown.stdout).all("canvas"))
    picture = tmp_path / "page.png"
    subprocess.run([str(BROWSER), *flags, f"--screenshot={picture}", out.as_uri()], capture_output=True)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
