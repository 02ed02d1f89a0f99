"""Commands on a pseudo-terminal: only there is a progress bar drawn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import jvid
from jvid_training.evaluation import networks
from tests.evaluation_tools import Means
from tests.generation_tools import tiny_ensemble
from tests.terminals import Terminal
from tests.training_tools import document, pooled, prepare, write_recipe


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal(monkeypatch)


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
