"""What files import, read from syntax trees; each file is parsed once by each process of tests."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["imports_of", "named", "paths_of"]

ROOT = Path(__file__).resolve().parents[1]


@cache
def paths_of(folder: str) -> tuple[Path, ...]:
    """The files of Python code in a folder of the repository."""
    return tuple(sorted((ROOT / folder).rglob("*.py")))


@cache
def imports_of(path: Path) -> tuple[tuple[str, ...], ...]:
    """``named`` of a file. The tree itself goes: a million nodes that stay would slow every garbage collection."""
    return named(path.read_text(encoding="utf-8"))


def named(source: str) -> tuple[tuple[str, ...], ...]:
    """Each import of a source, wherever in it, by the names it may mean: ``from a import b`` is ``a.b``, else ``a``."""
    return tuple(_named(ast.walk(ast.parse(source))))


def _named(nodes: Iterable[ast.AST]) -> Iterable[tuple[str, ...]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", str(node.module)) for alias in node.names)
