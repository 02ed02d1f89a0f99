"""The distribution itself: entry points, pins, light imports, the import table, sizes of files."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import jvid
from tests.imports import imports_of, paths_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("jvid", "jvid_models", "jvid_training")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = [path for folder in (*PACKAGES, "tests", "benchmarks") for path in paths_of(folder)]


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    return [found for found in map(Requirement, lines) if found.name != "jvid"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_is_pinned_inside_its_range(requirement: Requirement) -> None:
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin is not None, f"constraints.txt does not pin {requirement.name}"
    assert pin in requirement.specifier


SUPPLIED_BY = {"PIL": "pillow", "yaml": "pyyaml"}
"""Imported names that are not their distribution's."""


def declared(*extras: str) -> set[str]:
    project = PROJECT["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def modules_imported(path: Path) -> set[str]:
    return {names[0].split(".")[0] for names in imports_of(path)}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("jvid", ("cli", "media", "testing")),
        ("jvid_models", ("models",)),
        ("jvid_training", ("cli", "media", "models", "training", "evaluation", "datasets")),
        ("tests", ("cli", "media", "models", "training", "evaluation", "testing", "test")),
        ("benchmarks", ("cli", "media", "models", "training", "testing", "test")),
    ],
)
def test_what_a_package_imports_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    known = declared(*extras) | {*PACKAGES, "tests", "benchmarks"} | set(sys.stdlib_module_names)
    if folder == "tests":  # recipes are scripts beside one another
        known |= {path.stem for path in (ROOT / "recipes").rglob("*.py")}
    if folder == "benchmarks":  # what is compared with, where it is installed
        known |= {"sentencepiece"}  # of two tiny pipelines, which are missing without it
        peers = (ROOT / "benchmarks" / "peers.txt").read_text(encoding="utf-8").splitlines()
        known |= {canonicalize_name(line.split("==")[0]) for line in peers if not line.startswith("#")}
    missing = {}
    for path in paths_of(folder):
        names = {SUPPLIED_BY.get(name, name) for name in modules_imported(path)}
        missing |= {
            name: path.name for name in names if name not in known and canonicalize_name(name) not in known
        }
    assert missing == {}


PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}


def unsafe_calls(source: str) -> list[str]:
    """Calls that may run code out of a file of weights."""
    found: list[str] = []
    if not any(word in source for word in ("torch.load", "weights_only", "allow_pickle", "from_pretrained")):
        return found
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name, text = ast.unparse(call.func), ast.unparse(call)
        given = {f"{word.arg}={ast.unparse(word.value)}" for word in call.keywords}
        if (
            (name == "torch.load" and "weights_only=True" not in given)
            or given & {"weights_only=False", "allow_pickle=True"}
            or (
                name.endswith(".from_pretrained")
                and "tokenizer" not in name.lower()
                and "use_safetensors=True" not in given
            )
        ):
            found.append(text)
    return found


def test_unsafe_calls_are_found() -> None:
    for source in ("torch.load(p)", "np.load(p, allow_pickle=True)", "UNet.from_pretrained(p)"):
        assert unsafe_calls(source) == [source]
    assert unsafe_calls("torch.load(p, weights_only=True); Tokenizer.from_pretrained(p)") == []


def test_nothing_is_unpickled() -> None:
    """Weights are safetensors; torch.load only with weights_only=True, which runs no code."""
    found = {}
    for path in (path for path in SOURCES if path.relative_to(ROOT).parts[0] in PACKAGES):
        source = path.read_text(encoding="utf-8")
        # The conformance kit pickles what it has just made, to see it come back; it reads no file.
        kit = path.relative_to(ROOT).parts[:2] == ("jvid", "testing")
        if unsafe := unsafe_calls(source) + sorted(modules_imported(path) & PICKLES) * (not kit):
            found[str(path.relative_to(ROOT))] = unsafe
    assert found == {}


def test_entry_points_name_modules_and_functions_that_exist() -> None:
    project = PROJECT["project"]
    targets = [*project["scripts"].values(), *project["entry-points"]["jvid"].values()]
    for target in targets:
        module, _, attribute = target.partition(":")
        assert importlib.util.find_spec(module) is not None, target
        if attribute:
            assert callable(getattr(importlib.import_module(module), attribute)), target


def test_every_package_ships_its_type_marker() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").is_file()] == []
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)


def test_versions_agree() -> None:
    """Of the package, the module, the citation and the changelog, whose newest part is of the next release."""
    version = PROJECT["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"(?m)^version: (\S+)$", citation).group(1) == version
    assert jvid.__version__ == version
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"(?m)^## (\S+?)(, unreleased)?$", changes)
    newest, unreleased = heads[0]
    found = Version(version)
    assert newest == found.base_version
    assert bool(unreleased) is found.is_devrelease
    released = [Version(name) for name, _ in heads[1:]]
    assert released == sorted(released, reverse=True)
    assert all(before < found for before in released)


@pytest.mark.parametrize("target", ["demo", "lint", "docs"])
def test_make_announces_each_installation_with_its_size(target: str) -> None:
    """pip is quiet for minutes."""
    done = subprocess.run(
        ["make", "-n", "-B", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    before = [done[number - 1] for number, line in enumerate(done) if "-m pip install" in line]
    assert before
    for line in before:
        assert re.fullmatch(r'echo "installing [^:]+: about [\d.]+ [MG]B\b.*"', line), line


HEAVY = {"accelerate", "av", "diffusers", "matplotlib", "scipy", "torch", "transformers"}


@pytest.mark.parametrize(
    "module",
    [
        "jvid",
        "jvid.plugins.registry",
        "jvid.cli",
        "jvid.plugins.builtins",
        "jvid_models.plugin",
        "jvid_training.plugin",
    ],
)
def test_import_is_light(module: str) -> None:
    code = f"import {module}, sys, json; print(json.dumps(sorted(set(sys.modules) & {HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_import_contracts_are_checked() -> None:
    """By ``make checks``, which ``make test`` and ``make lint`` run first; the layers are those of tests/test_architecture.py."""
    assert len(PROJECT["tool"]["importlinter"]["contracts"]) == 3
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"(?m)^test: checks ", makefile)
    assert re.search(r"(?m)^lint: checks ", makefile)
    assert re.search(r"(?m)^checks: .*\n(?:\t.*\n)*\t\$\(BIN\)/lint-imports$", makefile)


TOOLS = ("ruff", "lint-imports", "mypy", "python")


@pytest.mark.parametrize("fails", [None, *TOOLS])
def test_make_test_fails_where_a_check_or_a_test_does(fails: str | None, tmp_path: Path) -> None:
    """With tools that print their names and succeed, but for one; mypy runs beside the tests and its result comes last."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in TOOLS:
        (tools / name).write_text(f"#!/bin/sh\necho this is {name}; exit {int(name == fails)}\n")
        (tools / name).chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt", "benchmarks/peers.txt", ".venv/dev.stamp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(
            tmp_path / name, (name.endswith("stamp"),) * 2
        )  # newer than what it is made of: nothing to install
    # `make test` runs this, and a make inside of another one prints the folders that it enters and leaves.
    own = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    done = subprocess.run(["make", "test"], cwd=tmp_path, capture_output=True, text=True, env=own)
    assert (done.returncode == 0) == (fails is None), done
    if fails in (None, "mypy", "python"):
        assert done.stdout.splitlines()[-1] == "this is mypy"


def test_a_file_can_be_read_on_a_few_screens() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > 400} == {}


@pytest.mark.parametrize("name", ["actions_64", "sprites_64"])
def test_the_bundled_weights_stay_small(name: str) -> None:
    folder = ROOT / "jvid_models" / name
    if not folder.is_dir():
        pytest.skip("the bundled pair's weights are not in this checkout")
    weights = list(folder.glob("*.safetensors"))
    assert weights
    assert sum(path.stat().st_size for path in weights) <= 64 * 2**20
    assert list(folder.rglob("*.bin")) + list(folder.rglob("*.pt")) + list(folder.rglob("*.ckpt")) == []
