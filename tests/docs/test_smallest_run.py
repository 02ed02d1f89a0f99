"""The smallest run of docs/training.md: its recipes and commands as the page has them, on a few clips, with small networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jvid.media import read_metadata
from tests.docs.page_commands import run_small
from tests.docs.test_readme import blocks
from tests.installed import ROOT
from tests.training_tools import walker, write_clip

PAGE = ROOT / "docs" / "training.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## The smallest run\n")[1].split("\n## ")[0]
RECIPES = dict(re.findall(r"(?ms)^`([\w.]+)`:\n\n```toml\n(.*?)^```$", SECTION))

SMALL = {
    "train autoencoder.toml": (
        "training.steps=1", "training.batch=2", "data.size=32", "network.encoder_block_out_channels=[8, 8, 8, 8]",
        "network.decoder_block_out_channels=[8, 8, 8, 8]",
    ),
    "encode video.toml": ("data.size=32",),
    "train video.toml": (
        "training.steps=1", "training.batch=2", "data.size=32", "network.channels=[32, 64]", "network.head_width=16",
    ),
}  # fmt: skip
"""Values that make a command of the page small."""


def put_clips(folder: Path) -> None:
    """The clips of the page's tree, of two seconds."""
    tree = blocks(PAGE, "text")[0].splitlines()
    kind = ""
    for name in (line.strip() for line in tree[1:]):
        if name.endswith("/"):
            kind = name
        else:
            write_clip(folder / tree[0] / kind / name, walker(50, float(kind == "walking/"), 40, 40))


@pytest.mark.slow
def test_the_recipes_and_commands_make_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    put_clips(tmp_path)
    assert sorted(RECIPES) == ["autoencoder.toml", "video.toml"]
    for name, text in RECIPES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (block,) = blocks(PAGE, "shell")
    first, *commands = [line.removeprefix("$ ") for line in block.splitlines()]
    assert first == "export JVID_SHARED=$PWD"
    monkeypatch.setenv("JVID_SHARED", str(tmp_path))
    run_small(commands, SMALL, {"sample": ["--steps", "2"]})
    assert "the recipe is ready" in capsys.readouterr().out
    metadata = read_metadata(tmp_path / "walking.mp4")
    assert "a person walking" in str(metadata)
