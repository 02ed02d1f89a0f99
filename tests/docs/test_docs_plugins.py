"""The tutorials on plugins: one for each kind, each runs as it is, and each ends in a proof."""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path

import pytest

from jvid.plugins.registrar import KINDS
from tests.docs.test_readme import blocks

DOCS = Path(__file__).parents[2] / "docs" / "plugins"
PAGES = sorted(path for path in DOCS.glob("*.md") if path.stem != "index")
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
# Kinds that the conformance kit does not know: the page says what proves them.
WITHOUT_CHECKS = {"command"}


def proof(block: str) -> bool:
    return "jvid.testing import conforms" in block


def lines_of_code(block: str) -> int:
    """Lines that are neither blank nor a docstring."""
    tree = ast.parse(block)
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    return sum(bool(line.strip()) and n not in texts for n, line in enumerate(block.splitlines(), 1))


@pytest.mark.parametrize("page", [DOCS / "index.md", *PAGES], ids=lambda page: page.stem)
def test_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # A module as a plugin's is: the kit pickles what it defines, which is found by the module's name.
    module = types.ModuleType("plugins")
    monkeypatch.setitem(sys.modules, "plugins", module)
    scope = vars(module)
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, python block {number}", "exec"), scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_registers_loads_and_proves(page: Path) -> None:
    code = blocks(page, "python")
    kind = page.stem
    assert f"register.{kind}(" in "\n".join(code)
    assert "registry = Registry(entry_points=False)" in "\n".join(code)
    assert kind == "command" or f'registry.load("{kind}", ' in "\n".join(code)
    assert any(proof(block) for block in code) is (kind not in WITHOUT_CHECKS)
    assert "\n## Proof\n" in page.read_text(encoding="utf-8")
    assert 12 <= lines_of_code(code[0]) <= (30 if kind != "ensemble" else 55)


def test_every_kind_has_a_page() -> None:
    listed = {
        name for cell in re.findall(r"(?m)^\| (`.*?`) \|", INDEX) for name in re.findall(r"`([a-z]+)`", cell)
    }
    assert set(KINDS) <= listed
    assert {path.stem for path in PAGES} == set(KINDS) - {"codec", "text"}
    assert set(re.findall(r"\]\((\w+)\.md\)", INDEX)) == {path.stem for path in PAGES}
    toctree = INDEX.split("```{toctree}")[1]
    assert [path.stem for path in PAGES] == sorted(re.findall(r"(?m)^(\w+)$", toctree))


def test_the_stages_of_the_page_are_those_that_exist() -> None:
    from jvid.plugins import discovery

    stages = re.findall(r"(?m)^    (\w+) {2,}\S", discovery.__doc__ or "")
    table = INDEX.split("| stage |")[1].split("\n\n")[0]
    assert re.findall(r"(?m)^\| (\w+) \|", table) == stages
