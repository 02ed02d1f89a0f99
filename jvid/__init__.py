"""jvid: diffusion models of one latent space take turns inside one reverse diffusion.

Names are exported lazily (PEP 562): ``import jvid`` loads neither torch nor numpy; the first use
of a name loads its module. The names are those of the stub beside this file, ``__init__.pyi``, which type checkers
read (Scientific Python's SPEC 1, without its package).
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

__version__ = "0.2.0.dev0"


def _exported() -> dict[str, str]:
    """Name -> module, from the stub."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


_HOME = _exported()

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jvid' has no attribute {name!r}")
    home = _HOME[name]
    value = (
        importlib.import_module(f"jvid.{name}")
        if home == "jvid"
        else getattr(importlib.import_module(home), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
