"""Every command on a pseudo-terminal: only there is a progress bar drawn, and tables are as wide as it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import jvid
from jvid.cli.app import command
from jvid_training.evaluation import networks
from tests.evaluation_tools import Means
from tests.generation_tools import tiny_ensemble
from tests.terminals import Terminal
from tests.training_tools import document, pooled, prepare, tiny_runs, write_recipe


def test_every_command_with_a_progress_bar_draws_it(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = tiny_ensemble(tmp_path / "ensemble")
    drawn = terminal.run("generate", "-o", tmp_path / "runs/g", "--num", 2, "--ensemble", ensemble)
    assert "2/2 clips" in drawn
    drawn = terminal.run("sample", "A person running", "--ensemble", ensemble, "-o", tmp_path / "a.png")
    assert "/4 steps" in drawn
    assert "steps" in terminal.run("plan", "--ensemble", ensemble)

    prepare(tmp_path)
    values = document(tmp_path, steps=2)
    recipe = write_recipe(tmp_path / "recipe.toml", values)
    assert "tiny 2/2" in terminal.run("train", recipe)
    values["data"]["latents"] = str(tmp_path / "again")
    real = jvid.load

    def load(kind: str, name: str, **options: object) -> object:
        return SimpleNamespace(encode=pooled) if kind == "codec" else real(kind, name, **options)

    with monkeypatch.context() as patched:
        patched.setattr(jvid, "load", load)
        assert "6/6" in terminal.run("encode", write_recipe(tmp_path / "again.toml", values))
    monkeypatch.setattr(networks, "load_network", lambda text: Means(name=text))
    drawn = terminal.run(
        "evaluate", "real:held-out", "-r", tmp_path / "latents", "--bootstrap", 0, "--threads", 1,
        "-o", tmp_path / "figures.json",
    )  # fmt: skip
    assert "features of real" in drawn
    assert "curves.png" in terminal.run("curves", tmp_path / "run", "-o", tmp_path / "curves.png")
    drawn = terminal.run(
        "compare", "A person running", "--ensemble", ensemble, "--threads", 1, "-o", tmp_path / "columns.png"
    )
    assert "columns.png" in drawn
    assert "sampling" in terminal.run("sheets", "--ensemble", ensemble, "-o", tmp_path / "sheets")


def test_commands_without_a_progress_bar(
    tmp_path: Path, terminal: Terminal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert "builtin" in terminal.run("plugins")
    assert "ddim" in terminal.run("names", "solver")
    assert "eta" in terminal.run("show", "solver", "ddim")
    assert "solver DDIM" in terminal.run("check", "solver", "ddim", "--only", "a_run_repeats")
    runs = tiny_runs(tmp_path_factory)
    parts = [runs / kind for kind in ("image", "video", "decoder")]
    assert "ensemble tiny" in terminal.run("export", *parts, "-o", tmp_path / "exported")


def test_every_command_is_run_on_a_terminal() -> None:
    root = Path(__file__).parent
    text = "".join(path.read_text() for path in sorted(root.rglob("test_*.py")))
    run = set(re.findall(r"terminal\.run\(\s*\"(\w+)\"", text))
    group = command()
    assert run == set(group.list_commands(group.context_class(group)))
