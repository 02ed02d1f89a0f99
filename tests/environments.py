"""Virtual environments that hold the wheel, some of its extras and nothing else, without a network.

What is installed here is linked into them, distribution by distribution: what pip would install for the wheel's
requirements, in the versions that all tests run with.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath

import attrs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path) -> Path:
    """The wheel of this tree, built by hatchling in ``folder``."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def distributions(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[metadata.Distribution]:
    """What pip would install for these requirements of a distribution with ``extras``: each once, from here."""
    pending = [(Requirement(line), frozenset(extras)) for line in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    given: set[str] = set()
    while pending:
        requirement, requested = pending.pop()
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in (requested or {""})):
            continue
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found = metadata.distribution(requirement.name)
        assert requirement.specifier.contains(found.version, prereleases=True), requirement
        pending += [(Requirement(line), key[1]) for line in found.requires or ()]
        if key[0] not in given:
            given.add(key[0])
            yield found


@cache
def _top_names(distribution: str) -> dict[str, Path]:
    """What it puts into site-packages: files and folders by name."""
    found = metadata.distribution(distribution)
    names = {PurePosixPath(file).parts[0] for file in found.files or ()} - {"..", "__pycache__"}
    return {name: Path(str(found.locate_file(name))) for name in names}


@attrs.frozen
class Environment:
    """A virtual environment in ``folder`` with these distributions beside jvid."""

    folder: Path
    names: frozenset[str]

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in ``folder``, on one thread and with no other variables of jvid or Python."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JVID_", "PYTHON"))}
        kept |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
        command = [str(self.folder / "bin" / program), *words]
        return subprocess.run(command, cwd=self.folder, env=kept, capture_output=True, text=True)


def make_environment(folder: Path, unpacked: Path, extras: Iterable[str]) -> Environment:
    """A virtual environment with the wheel that was ``unpacked``, and what it and the extras require."""
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for path in unpacked.iterdir():
        (site / path.name).symlink_to(path)
    (info,) = unpacked.glob("*.dist-info")
    names = set()
    for distribution in distributions(metadata.PathDistribution(info).requires or (), extras):
        names.add(canonicalize_name(distribution.metadata["Name"]))
        for top, there in _top_names(distribution.metadata["Name"]).items():
            if not (site / top).exists():  # distributions of one namespace share their folder
                (site / top).symlink_to(there)
    points = configparser.ConfigParser()
    points.read(info / "entry_points.txt")
    for name, target in points["console_scripts"].items():  # as pip writes them
        module, _, function = target.partition(":")
        script = folder / "bin" / name
        lines = f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        script.write_text(f"#!{folder / 'bin' / 'python'}\n{lines}")
        script.chmod(0o755)
    return Environment(folder, frozenset(names))


def unpack(wheel: Path, folder: Path) -> Path:
    """What the wheel holds, in ``folder``: a wheel is a zip file of site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder
