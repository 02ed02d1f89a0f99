"""A wrong plugin module: it imports torch where it should name its code as "module:attribute"."""

from __future__ import annotations

from typing import Any

import torch

from jvid.plugins import hookimpl


@hookimpl
def jvid_register(register: Any) -> None:
    """One component."""
    register.selector("mine", "jvid.selectors:Always", help=f"Made with torch {torch.__version__}.")
