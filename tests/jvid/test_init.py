"""``import jvid`` is light, and its lazy exports are those that type checkers see."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jvid

ROOT = Path(__file__).parents[2]


def test_import_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, jvid, jvid.core.protocols, jvid.errors, jvid.core.plan, jvid.selectors, jvid.paper\n"
        "assert 'Sampler' in dir(jvid) and jvid.Step and jvid.PiecewiseAffine and jvid.paper.TABLE_1\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'rich', 'av', 'PIL', 'diffusers', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"


def test_composing_a_strategy_by_name_takes_the_package_alone() -> None:
    needed = (
        "Strategy ExpertStrategy Choice Guidance with_guidance with_noise Ensemble Member Deferred FrameRule Source Composition "
        "compose Registry load names PluginError PluginWarning"
    )
    assert set(needed.split()) <= set(jvid.__all__)
    assert {n for n in vars(jvid.errors) if n.endswith(("Error", "Warning"))} <= {*jvid.__all__}


@pytest.mark.parametrize("name", jvid.__all__)
def test_every_export_is_there(name: str) -> None:
    value = getattr(jvid, name)
    assert value is not None
    if isinstance(value, type) or inspect.isfunction(value):
        assert value.__name__ == name


def test_exports_are_those_that_type_checkers_see() -> None:
    tree = ast.parse((ROOT / "jvid" / "__init__.pyi").read_text())
    seen = {
        alias.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert {"__version__", *seen} == set(jvid.__all__)
    for name, module in seen.items():
        home = importlib.import_module(module)
        assert getattr(jvid, name) is getattr(home, name), name
    # Every public name of the stub is an export: what is not re-exported by "as" a type checker does not see.
    assert all(
        alias.name == alias.asname
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sampel'"):
        _ = jvid.Sampel
