"""The order of rooms and files, over the syntax trees of all three packages.

import-linter checks packages by the same layers (pyproject.toml). Here every import counts as well, also one inside a
function or for type checkers alone, and files are looked at one by one: circles between files of one room are found.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.imports import imports_of, named, paths_of

ROOT = Path(__file__).parents[1]
PACKAGES = ("jvid", "jvid_models", "jvid_training")

LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("pipeline",),
    ("paper", "testing", "views"),
    ("ensemble",),
    ("strategy",),
    ("plugins",),
    ("denoisers",),
    ("grids",),
    ("schedules", "selectors", "solvers", "noise", "postprocessors"),
    ("core",),
    ("documents", "machine", "media"),
    ("files",),
    ("leftovers",),
    ("extras", "refusals"),
    ("limits",),
    ("errors",),
)
"""The rooms of jvid, top to bottom. A room imports from those below it, never from its own layer's others."""

ABOVE = {"jvid": (), "jvid_models": ("jvid",), "jvid_training": ("jvid", "jvid_models")}
"""Which packages a package may import."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(imports: Iterable[tuple[str, ...]], known: Collection[str]) -> set[str]:
    """The files of ``known`` that these imports name; ``from a import b`` is ``a.b`` where that is one."""
    return {found[0] for names in imports if (found := [name for name in names if name in known])}


@cache
def graph() -> dict[str, set[str]]:
    paths = {name_of(path): path for package in PACKAGES for path in paths_of(package)}
    arrows = {name: imported(imports_of(path), paths) - {name} for name, path in paths.items()}
    # Its lazy table of public names imports nothing: a file that takes the version from there depends on no room.
    arrows["jvid"] = set()
    return arrows


def circles(arrows: Mapping[str, Iterable[str]]) -> list[frozenset[str]]:
    """The strongly connected sets of more than one file (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in arrows[name]:
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            members = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(members) > 1:
                found.append(frozenset(members))

    for name in arrows:
        if name not in order:
            visit(name)
    return found


def upward(arrows: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    """Arrows between rooms of jvid that do not go down."""
    floor = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}
    found = set()
    for name, others in arrows.items():
        package, _, rest = name.partition(".")
        if package != "jvid" or not rest or rest == "__main__":
            continue
        room = rest.partition(".")[0]
        for other in others:
            target = other.removeprefix("jvid.").partition(".")[0]
            if other.startswith("jvid.") and target != room and floor[target] <= floor[room]:
                found.add((name, other))
    return found


def test_imports_are_found_wherever_they_are() -> None:
    source = "import a.b\nfrom a import c, D\nif TYPE_CHECKING:\n    from a.d import E\ndef f():\n    import a.e as e\n"
    known = ["a", "a.b", "a.c", "a.d", "a.e", "a.f"]
    assert imported(named(source), known) == {"a", "a.b", "a.c", "a.d", "a.e"}


def test_circles_and_upward_arrows_are_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": []}) == [frozenset("bc")]
    arrows = {
        "jvid.core.plan": ["jvid.errors", "jvid.core.step"],
        "jvid.grids": ["jvid.schedules", "jvid.cli"],
        "jvid.noise": ["jvid.schedules"],
    }
    assert upward(arrows) == {("jvid.grids", "jvid.cli"), ("jvid.noise", "jvid.schedules")}


def test_every_room_has_its_place() -> None:
    rooms = {name.split(".")[1] for name in graph() if name.startswith("jvid.")} - {"__main__"}
    assert rooms == {room for layer in LAYERS for room in layer}


def test_files_import_each_other_in_no_circle() -> None:
    assert circles(graph()) == []


def test_rooms_import_downwards_only() -> None:
    assert upward(graph()) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_downwards_only(package: str) -> None:
    reached = {
        other.partition(".")[0]
        for name, others in graph().items()
        if name.partition(".")[0] == package
        for other in others
    }
    assert reached <= {package, *ABOVE[package]}


def test_the_root_gives_jvid_its_version_alone() -> None:
    """Inside jvid, a public name comes from its own file, so that the arrows tell all."""
    for name, others in graph().items():
        if not name.startswith("jvid.") or "jvid" not in others:
            continue
        tree = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert "jvid" not in {alias.name for alias in node.names}, name
            elif isinstance(node, ast.ImportFrom) and node.module == "jvid":
                names = {alias.name for alias in node.names if f"jvid.{alias.name}" not in graph()}
                assert names <= {"__version__"}, name


def test_the_command_line_is_known_to_command_lines_alone() -> None:
    users = {
        name
        for name, others in graph().items()
        if not name.startswith("jvid.cli") and any(other.startswith("jvid.cli") for other in others)
    }
    assert all(name == "jvid.__main__" or name.endswith(".cli") for name in users), users


def test_the_contract_names_the_same_layers() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (contract,) = [one for one in tool["importlinter"]["contracts"] if one["type"] == "layers"]
    assert [set(layer.split(" | ")) for layer in contract["layers"]] == [set(layer) for layer in LAYERS]
    assert "ignore_imports" not in contract


def test_the_core_depends_on_nothing_but_errors() -> None:
    users = {name: {o for o in others if not o.startswith("jvid.core")} for name, others in graph().items()}
    reached = {
        name: others - {"jvid.errors"} for name, others in users.items() if name.startswith("jvid.core")
    }
    assert not {name: others for name, others in reached.items() if others}


ONCE = {
    "fcntl": {"jvid_training/jobs/locks.py"},
    "filelock": set(),
    "multiprocessing": set(),
    "rich.progress": {"jvid/cli/progress.py"},
    "tqdm": set(),
    "concurrent.futures": {"jvid_training/jobs/background.py"},
    "subprocess": {"jvid_training/jobs/pool.py", "jvid/testing/interpreters.py"},
}
"""Modules that are the means of a mechanism, with the files that have it; the kit runs other interpreters."""


@pytest.mark.parametrize("module", ONCE)
def test_a_mechanism_is_in_one_place(module: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in paths_of(package)
        if imported(imports_of(path), [module])
    }
    assert users == ONCE[module]
