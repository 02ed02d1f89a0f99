"""docs/two-experts.md: its recipes and commands as the page has them, on a few stills and clips, with small networks."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jvid.cli import main
from jvid.media import read_metadata
from tests.docs.page_commands import run_small
from tests.docs.test_readme import blocks
from tests.installed import ROOT
from tests.training_tools import walker, write_clip, write_recipe

PAGE = ROOT / "docs" / "two-experts.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = dict(
    re.findall(
        r"(?ms)^`([\w.]+)` [^\n]*\n(?:[^\n]+\n)*\n```(?:toml|json)\n(.*?)^```$",
        TEXT.split("\n## Commands")[0],
    )
)

SMALL = {
    "train autoencoder.toml": (
        "training.steps=1", "training.batch=2", "network.encoder_block_out_channels=[8, 8, 8, 8]",
        "network.decoder_block_out_channels=[8, 8, 8, 8]",
    ),
    "train frames.toml": (
        "training.steps=1", "training.batch=2", "network.channels=[32, 64]", "network.head_width=16",
    ),
    "train clips.toml": (
        "training.steps=1", "training.batch=2", "network.channels=[32, 64]", "network.head_width=16",
    ),
}  # fmt: skip
"""Values that make a command of the page small."""


def put_data(root: Path) -> None:
    """The page's tree, with two stills and two clips in each folder, and the captions of its example."""
    for kind, ending in (("stills", ".png"), ("clips", ".mp4")):
        rows = []
        for split in ("train", "held-out"):
            for number, colour in enumerate(("red", "blue")):
                name = f"{split}/{number}{ending}"
                frames = walker(25, 1.0, 64, 64, shade=60 + 90 * number)
                path = root / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if kind == "stills":
                    Image.fromarray(np.ascontiguousarray(frames[0])).save(path)
                    texts = [f"a {colour} block"]
                else:
                    write_clip(path, frames)
                    texts = [f"a {colour} block walks", f"the {colour} block, which walks"]
                rows.append({"file_name": name, "text": texts})
        (root / kind / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
def test_the_recipes_and_commands_make_an_ensemble_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put_data(tmp_path / "data")
    assert sorted(FILES) == ["autoencoder.toml", "clips.toml", "frames.toml", "mixture.json", "study.toml"]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    block, tried = blocks(PAGE, "shell")
    first, joined, *commands = [line.removeprefix("$ ") for line in (block + tried).splitlines()]
    assert first == "export JVID_SHARED=$PWD"
    monkeypatch.setenv("JVID_SHARED", str(tmp_path))
    subprocess.run(["sh", "-c", joined], check=True)
    run_small(
        commands, SMALL, {"sample": ["--steps", "2"], "compare": ["--steps", "2"], "ablation": ["--num", "1"]}
    )
    assert "a red block walks" in str(read_metadata(tmp_path / "red.mp4"))
    assert (tmp_path / "compared.png").is_file()
    table = json.loads((tmp_path / "runs/study/ablation-1-clips-seed-0.json").read_text())
    assert [row["label"] for row in table["rows"]] == ["clips alone", "frames alone", "mixture"]
    sweep, noise, control = re.findall(r"(?ms)^```toml\n(.*?)^```$", TEXT.split("## What to change first")[1])
    small_study = FILES["study.toml"].replace("num = 64", "num = 1") + sweep
    (tmp_path / "study.toml").write_text(small_study, encoding="utf-8")
    assert main(["sweep", "study.toml", "--trials", "1"]) == 0
    for name, lines in (
        ("frames", noise),
        ("clips", noise.replace('"frames"', '"clips"')),
        ("clips", control),
    ):
        recipe = tomllib.loads(FILES[f"{name}.toml"]) | {"name": "more", "out": "runs/more"}
        for section, values in tomllib.loads(lines).items():
            recipe[section] = {**recipe.get(section, {}), **values}
        assert main(["train", str(write_recipe(tmp_path / "more.toml", recipe)), "--dry-run"]) == 0, lines
