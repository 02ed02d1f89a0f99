"""Distributions laid out as pip would leave them, and commands that see them: for tests of plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def run(*words: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run python with these arguments, the distributions of ``path`` installed; whatever its exit code."""
    known = {key: value for key, value in os.environ.items() if not key.startswith("JVID_")}
    folders = [str(ROOT), *([str(path)] if path else [])]
    known |= {"PYTHONPATH": os.pathsep.join(folders), **environment}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=known, cwd=path or ROOT
    )
