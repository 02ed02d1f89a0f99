"""The words of the code, as far as syntax trees show them: class names and the first lines of docstrings.

The rules are in CONTRIBUTING.md; they have no exceptions.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.imports import paths_of

ROOT = Path(__file__).parents[1]
PACKAGES = ("jvid", "jvid_models", "jvid_training")
DIALECT = re.compile(
    r"\b(?:told|tells?|asked|asks?|heard|said|says?|stands?|blamed?|nobody)\b", re.IGNORECASE
)
"""Words of speech and posture; components are passed, requested, evaluated, declared, reported."""

Public = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.Module) -> Iterator[tuple[str, Public]]:
    """The module, and its classes, functions and methods without a leading underscore, by name."""
    yield "the module", tree
    yield from _members(tree, "")


def _members(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Public]]:
    for each in node.body:
        if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and each.name[0] != "_":
            yield prefix + each.name, each
            if isinstance(each, ast.ClassDef):
                yield from _members(each, f"{prefix}{each.name}.")


def flaw(node: Public) -> str | None:
    """What is wrong with the first line of a docstring."""
    text = ast.get_docstring(node)
    if text is None:
        # The formatter keeps an empty __init__ empty.
        return "has no docstring" if not isinstance(node, ast.Module) or node.body else None
    line = text.splitlines()[0]
    if not line.endswith("."):
        return f"does not end with a full stop: {line}"
    found = DIALECT.search(line)
    return f"has the word {found[0]!r}: {line}" if found else None


def test_flaws_are_found() -> None:
    def of(docstring: str) -> str | None:
        return flaw(ast.parse(f'def f():\n    """{docstring}"""').body[0])  # type: ignore[arg-type]

    assert of("The order of convergence.") is None
    assert (
        of("The order is asked for, and more.") == "has the word 'asked': The order is asked for, and more."
    )
    assert of("The order:\n\n    1") == "does not end with a full stop: The order:"
    assert flaw(ast.parse("def f(): ...").body[0]) == "has no docstring"  # type: ignore[arg-type]
    names = [
        name for name, _ in public(ast.parse("class A:\n  def b(self): 0\n  def _c(self): 0\ndef _d(): 0"))
    ]
    assert names == ["the module", "A", "A.b"]


@cache
def read() -> tuple[dict[str, list[str]], list[str]]:
    """Flaws by file, and the names of all classes; each file is parsed once, and its tree goes."""
    flaws: dict[str, list[str]] = {}
    classes: list[str] = []
    for path in (path for package in PACKAGES for path in paths_of(package)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if found := [f"{name} {wrong}" for name, node in public(tree) if (wrong := flaw(node))]:
            flaws[path.relative_to(ROOT).as_posix()] = found
        classes += [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return flaws, classes


def test_public_docstrings_begin_with_a_plain_sentence() -> None:
    assert read()[0] == {}


def test_each_class_name_is_used_once() -> None:
    assert [name for name, count in Counter(read()[1]).items() if count > 1] == []
