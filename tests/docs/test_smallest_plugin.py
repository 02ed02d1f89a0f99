"""The smallest plugin of docs/plugins/index.md: its two files as the page has them, installed, listed, checked and used."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.test_readme import blocks
from tests.installed import ROOT, fork, pip_install
from tests.mutants.table import pasted

PAGE = ROOT / "docs" / "plugins" / "index.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's plugin installed: what the page's tree lists, and nothing else."""
    folder = tmp_path_factory.mktemp("late")
    head, *names = blocks(PAGE, "text")[0].split()
    source = folder / head
    source.mkdir()
    files = dict(re.findall(r"(?ms)^`([\w.]+)`:\n\n```(?:python|toml)\n(.*?)^```$", TEXT))
    assert sorted(files) == sorted(names)
    for name, text in files.items():
        (source / name).write_text(text, encoding="utf-8")
    pip_install(source, folder / "site")
    return folder / "site"


def commands() -> list[list[str]]:
    """The page's commands, one a line."""
    (block,) = blocks(PAGE, "shell")
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


def test_the_commands_run_and_know_it(site: Path) -> None:
    first, *others = commands()
    assert first == ["pip", "install", "./jvid-late"]
    shown = {}
    for words in others:
        assert words[0] == "jvid"
        done = fork("-m", *words, path=site)
        assert done.returncode == 0, done.stdout + done.stderr
        shown[words[1]] = done.stdout
    assert re.search(r"(?m)^late +jvid-late 0\.1\.0 +selector 1$", shown["plugins"])
    assert "plugin late of jvid-late 0.1.0" in shown["show"]
    assert "  last  int  default 4" in shown["show"]
    checked = pasted(TEXT, "check", f"```text\n{shown['check']}```")
    assert checked == TEXT, shown["check"]
    assert re.search(r"\bimage\b.*\b6\b", shown["plan"]), shown["plan"]


def test_it_conforms_as_a_whole(site: Path) -> None:
    code = "from jvid.testing import conforms; conforms('plugin', 'jvid_late').raise_for_failures()"
    done = fork("-c", code, path=site)
    assert done.returncode == 0, done.stderr
