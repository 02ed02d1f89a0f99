"""Distributions laid out as pip would leave them, and commands that see them: for tests of plugins."""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from jvid.plugins import registry

ROOT = Path(__file__).resolve().parents[1]

HELLO = """
@hookimpl
def jvid_register(register):
    register.selector("hello", "jvid.selectors:Always")
"""


def lay_out(
    folder: Path,
    distribution: str,
    source: str,
    *,
    entry: str | None = None,
    module: str | None = None,
    metadata: str | None = None,
    entry_points: str | None = None,
) -> str:
    """Write a module and its ``.dist-info`` into ``folder``, version 1.2; returns the module's name."""
    module = module or distribution.replace("-", "_")
    (folder / f"{module}.py").write_text("from jvid.plugins import hookimpl\n" + source)
    info = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
    (info / "METADATA").write_text(metadata)
    points = entry_points or f"[jvid]\n{entry or module} = {module}\n"
    (info / "entry_points.txt").write_text(points)
    return module


def pip_install(source: Path, target: Path) -> None:
    """Install the folder ``source`` into ``target`` as pip does, without a network, by the test extra's hatchling."""
    if importlib.util.find_spec("hatchling") is None:
        _unpack(source, target)
        return
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _unpack(source: Path, target: Path) -> None:
    """What pip would leave, for a development install without the build backend."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version, points = project["name"], project["version"], project["entry-points"]["jvid"]
    info = target / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {module}\n" for point, module in points.items()]
    (info / "entry_points.txt").write_text("[jvid]\n" + "".join(lines))
    for module in points.values():
        shutil.copy(source / f"{module}.py", target)


def _environment(path: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    known = {key: value for key, value in os.environ.items() if not key.startswith("JVID_")}
    folders = [str(ROOT), *([str(path)] if path else [])]
    return known | {"PYTHONPATH": os.pathsep.join(folders), **environment}


def run(*words: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run python with these arguments, the distributions of ``path`` installed; whatever its exit code."""
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True, text=True, env=_environment(path, environment), cwd=path or ROOT,
    )  # fmt: skip


def fork(*words: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """``run`` in a fork of this process, which has torch imported: for what is not about an import or the interpreter.

    Plugins are discovered anew. Negative exit codes are signals.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(words, path or ROOT, _environment(path, environment), out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode())
    return subprocess.CompletedProcess([sys.executable, *words], code, *printed)


def _become(
    words: tuple[str, ...], folder: Path, environment: Mapping[str, str], out: int, err: int
) -> NoReturn:
    """In the child: what the interpreter does with its arguments, up to its exit."""
    code = 70
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
        os.chdir(folder)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        sys.path[:0] = ["", *environment["PYTHONPATH"].split(os.pathsep)]
        importlib.invalidate_caches()
        registry._default = None
        how, what, *rest = words
        sys.argv = [how, *rest]
        try:
            if how == "-m":
                runpy.run_module(what, run_name="__main__", alter_sys=True)
            else:
                assert how == "-c", how
                exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
