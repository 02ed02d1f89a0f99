"""The option that names the device."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Device"]

Device = Annotated[str, typer.Option("--device", help="Such as cpu, cuda or mps.")]
