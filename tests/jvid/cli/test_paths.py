"""Paths of commands: an empty one is refused, and so is an output that would replace what is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jvid.cli import main
from jvid.errors import InputError
from jvid.files import check_apart
from tests.generation_tools import tiny_ensemble

pytestmark = pytest.mark.usefixtures("toys")

TOY = ["--ensemble", "toy", "--steps", "2"]
WAVE = "a person waving"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main([*words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


@pytest.mark.parametrize(
    "words",
    [
        ["sample", WAVE, *TOY, "-o", ""],
        ["sample", WAVE, *TOY, "--output="],
        ["sample", WAVE, *TOY, "-o", "a.png", "-o", ""],
        ["sample", WAVE, *TOY, "-o", "a.png", "--save-strategy", ""],
        ["sample", *TOY, "--prompts", "", "-o", "a.png"],
        ["sample", "--again", "", "-o", "a.png"],
        ["compare", WAVE, *TOY, "-o", ""],
        ["plan", *TOY, "-o", ""],
        ["plan", *TOY, "--plan", ""],
        ["plan", "--ensemble", "toy", "--strategy", ""],
        ["generate", *TOY, "-n", "1", "-o", ""],
        ["sheets", *TOY, "--out", ""],
        ["export", "--expert", "video=tiny#video", "-o", ""],
        ["evaluate", "set", "-r", "latents", "--out", ""],
        ["report", "set", "-o", ""],
        ["report", "", "-o", "a.html"],
        ["curves", "run", "-o", ""],
        ["encode", ""],
        ["train", ""],
        ["ablation", ""],
        ["sweep", "", "--trials", "1"],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().iterdir())
    assert refused(capsys, *words).endswith(" '': expected a path\n")
    assert sorted(Path().iterdir()) == before


def test_the_current_folder_is_a_path_beside_an_empty_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", *TOY, "-n", "1", "--prompt", "", "-o", "."]) in (0, 2)
    assert "expected a path" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["sample", WAVE, *TOY, "--strategy", "s.json", "-o", "a.png", "--save-strategy", "s.json"],
            "s.json",
        ),
        (["sample", WAVE, "--ensemble", "tiny", "-o", "tiny/image.safetensors"], "tiny/image.safetensors"),
        (["compare", WAVE, "--ensemble", "toy", "--strategy", "s.png", "-o", "s.png"], "s.png"),
        (["plan", *TOY, "--strategy", "s.json", "-o", "s.json"], "s.json"),
        (["generate", "-n", "1", "--ensemble", "tiny", "-o", "tiny"], "tiny"),
        (["generate", "-n", "1", "--ensemble", "toy", "--strategy", "out/s.json", "-o", "out"], "out"),
        (["generate", "-n", "1", *TOY, "--prompts", "out/p.txt", "-o", "out"], "out"),
        (["export", "--expert", "video=tiny#video", "--decoder", "tiny", "-o", "tiny"], "tiny"),
        (["evaluate", "out", "-r", "recipe.toml", "-o", "recipe.toml"], "recipe.toml"),
        (["evaluate", "out", "-r", "recipe.toml", "-o", "out/s.json"], "out/s.json"),
        (["report", "out", "--figures", "page.html", "-o", "page.html"], "page.html"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_an_output_that_is_read_is_refused(
    words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_ensemble(Path("tiny"))
    Path("out").mkdir()
    assert main(["sample", WAVE, *TOY, "-o", "first.png", "--save-strategy", "s.json"]) == 0
    shutil.copy("s.json", "out/s.json")
    Path("out/p.txt").write_text(WAVE)
    for name in ("s.png", "recipe.toml", "page.html"):
        shutil.copy("s.json", name)
    before = {path: path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}
    err = refused(capsys, *words)
    assert err.startswith(f"jvid: error: output {named!r} is ")
    assert "which is read" in err or "is read, too" in err
    assert {path: path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()} == before


def test_a_sheet_that_is_read_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", WAVE, *TOY, "-o", "first.png", "--save-strategy", "s.json"]) == 0
    Path("sheets").mkdir()
    shutil.copy("s.json", "sheets/a-person-waving.png")
    row = "--row=own=sheets/a-person-waving.png"
    err = refused(capsys, "sheets", "--ensemble", "toy", "-o", "sheets", "--prompt", WAVE, row)
    assert "'sheets/a-person-waving.png' is read, too" in err
    assert json.loads(Path("sheets/a-person-waving.png").read_text())["steps"] == 2


def test_files_that_options_of_a_choice_name_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model").mkdir()
    Path("ink.safetensors").write_text("ink")
    expert = "image=model:lora=ink.safetensors+snow.safetensors"
    err = refused(capsys, "sample", WAVE, "--ensemble", "toy", "--expert", expert, "-o", "ink.safetensors")
    assert "output 'ink.safetensors' is read, too" in err
    assert Path("ink.safetensors").read_text() == "ink"


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["sample", WAVE], "mask.safetensors"),
        (["compare", WAVE], "mask.png"),
        (["plan"], "mask.json"),
        (["generate", "-n", "1"], "out"),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0],
)
def test_the_mask_of_what_is_known_is_read(
    words: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = Path("out/mask.safetensors" if output == "out" else output)
    mask.parent.mkdir(exist_ok=True)
    save_file({"mask": torch.ones(1, 1, 1, 1, 1)}, mask)
    before = mask.read_bytes()
    known = f"known:mask={mask},latents={mask}"
    err = refused(capsys, *words, *TOY, "--wrapper", known, "-o", output)
    assert "which is read" in err or "is read, too" in err
    assert mask.read_bytes() == before


def test_what_is_beside_each_other_is_apart(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.json").write_text("{}")
    check_apart([tmp_path / "set" / "page.html", tmp_path / "se"], [tmp_path / "set", None, "set"])
    with pytest.raises(InputError, match=r"a\.json' is read, too"):
        check_apart([tmp_path / "set" / "a.json"], [tmp_path / "set"])
    with pytest.raises(InputError, match=r"is a folder of .*a.json', which is read: give another name"):
        check_apart([tmp_path / "set"], [tmp_path / "set" / "a.json"])
