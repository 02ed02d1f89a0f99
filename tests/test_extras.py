"""Optional libraries: each import of one is made where a missing one is named with the command that installs it."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from jvid.errors import MissingDependencyError
from jvid.extras import extra
from jvid.media import check_library, read_metadata, write_video
from jvid.plugins.registry import current
from tests.environments import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
IMPORTED = {"pillow": "PIL"}
BRINGS = {
    IMPORTED.get(name, name): each
    for each in ("cli", "media", "models", "testing")
    for name in (Requirement(line).name for line in EXTRAS[each])
}
"""Imported names with the extra that brings them."""

ENTERED = {
    "jvid/cli/": "cli",
    "jvid/media/streams.py": "media",
    "jvid/testing/checks/": "testing",
    "jvid/testing/sampling.py": "testing",
}
"""What is imported within ``extra`` as a whole: by ``jvid.cli.main``, behind `containers.reading`, by ``checks_of``."""


def unguarded(tree: ast.Module, within: str | None = None) -> list[str]:
    """Imports of optional libraries outside of ``with extra(...)`` of theirs; what is for type checkers is left out."""
    found: list[str] = []

    def visit(node: ast.AST, entered: str | None) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.With):
            texts = [ast.unparse(item.context_expr) for item in node.items]
            entered = next((text[7:-2] for text in texts if text.startswith("extra('")), entered)
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found.extend(name for name in names if BRINGS.get(name.partition(".")[0], entered) != entered)
        for child in ast.iter_child_nodes(node):
            visit(child, entered)

    visit(tree, within)
    return found


def test_an_unguarded_import_is_found() -> None:
    source = "import av\nwith extra('media'):\n  from PIL import Image\nwith extra('cli'):\n  import diffusers.models"
    assert unguarded(ast.parse(source)) == ["av", "diffusers.models"]
    assert unguarded(ast.parse("if TYPE_CHECKING:\n  import av\nimport torch")) == []


@pytest.mark.parametrize("package", ["jvid", "jvid_models"])
def test_every_import_of_an_optional_library_names_its_extra(package: str) -> None:
    wrong = {}
    for path in (ROOT / package).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        within = next((each for start, each in ENTERED.items() if name.startswith(start)), None)
        if found := unguarded(ast.parse(path.read_text(encoding="utf-8")), within):
            wrong[name] = found
    assert wrong == {}


def test_every_command_of_training_names_its_extra() -> None:
    commands = [c for c in current().components("command") if c.plugin == "training"]
    assert len(commands) >= 10
    for component in commands:
        command = component.factory()
        source = inspect.getsource(inspect.unwrap(command))
        assert source.startswith('@extra("training")\n'), component


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError) as caught, extra("media"):
        from PIL import Image  # noqa: F401
    assert str(caught.value) == "pillow is not installed: pip install 'jvid[media]'"


def test_a_library_that_lacks_something_itself_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "brittle.py").write_text("raise ImportError('libx.so\\nis missing', name='brittle')\n")

    @extra("models")
    def load() -> None:
        importlib.import_module("brittle")

    with pytest.raises(
        MissingDependencyError, match=r"^brittle cannot be imported \(libx.so is missing\)"
    ) as caught:
        load()
    assert str(caught.value).endswith("pip install 'jvid[models]'")
    assert "\n" not in str(caught.value)

    with (
        pytest.raises(
            MissingDependencyError, match=r"^a library of the extra 'cli' cannot be imported \(no display\)"
        ),
        extra("cli"),
    ):
        raise ImportError("no display")


def test_the_innermost_extra_is_named_and_faults_of_jvid_are_not() -> None:
    with pytest.raises(MissingDependencyError, match=r"jvid\[media\]"), extra("training"), extra("media"):
        importlib.import_module("no_such_library")
    with pytest.raises(ImportError, match="no_such_name") as caught, extra("models"):
        from jvid.errors import no_such_name  # noqa: F401
    assert type(caught.value) is ImportError


def test_files_of_clips_name_media_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "x.png"
    write_video(picture, torch.zeros(1, 3, 2, 4, 4), fps=8.0, metadata={"seed": 1})
    before = picture.read_bytes()
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.PngImagePlugin", None)
    for call in (
        lambda: read_metadata(picture),  # not "is it whole?"
        lambda: write_video(picture, torch.zeros(1, 3, 2, 4, 4), fps=8.0),
        lambda: check_library(picture),
    ):
        with pytest.raises(MissingDependencyError, match=r"pillow .*pip install 'jvid\[media\]'"):
            call()
    check_library(tmp_path / "x.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    assert picture.read_bytes() == before
