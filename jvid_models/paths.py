"""The folder of weights and clips that are not part of the distribution.

``$JVID_SHARED`` names the folder; without it, ``../shared`` beside the repository is taken, or, where
jvid is installed without its repository, ``shared`` in the working directory. Nothing else knows the default.
"""

from __future__ import annotations

import os
from pathlib import Path

from jvid.errors import MissingDependencyError

__all__ = ["below_shared", "shared_file", "shared_root"]


def shared_root() -> Path:
    """The folder of shared weights and data; it need not exist."""
    chosen = os.environ.get("JVID_SHARED")
    if chosen:
        return Path(chosen).expanduser()
    root = Path(__file__).resolve().parents[1]
    return (root.parent if (root / "pyproject.toml").is_file() else Path.cwd()) / "shared"


def below_shared(path: str | Path) -> Path:
    """A path as it is where it is absolute, else inside `shared_root`; it need not exist."""
    return shared_root() / path


def shared_file(relative: str) -> Path:
    """``relative`` (file or folder) inside `shared_root`; MissingDependencyError where it is absent."""
    path = shared_root() / relative
    if not path.exists():
        raise MissingDependencyError(
            f"no {relative} in {shared_root()}: put it there, or set JVID_SHARED to the folder that holds it"
        )
    return path
