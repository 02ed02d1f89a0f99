"""Where weights and clips that are not part of the distribution are looked for.

``$JVID_SHARED`` names the folder; without it, ``../shared`` beside the repository is taken.
This is the only place that knows the default.
"""

from __future__ import annotations

import os
from pathlib import Path

from jvid.errors import MissingDependencyError

__all__ = ["shared_file", "shared_root"]


def shared_root() -> Path:
    """The folder of shared weights and data; it need not exist."""
    chosen = os.environ.get("JVID_SHARED")
    if chosen:
        return Path(chosen).expanduser()
    return Path(__file__).resolve().parents[1].parent / "shared"


def shared_file(relative: str) -> Path:
    """``relative`` (file or folder) inside `shared_root`; MissingDependencyError where it is absent."""
    path = shared_root() / relative
    if not path.exists():
        raise MissingDependencyError(
            f"no {relative} in {shared_root()}: put it there, or set JVID_SHARED to the folder that holds it"
        )
    return path
