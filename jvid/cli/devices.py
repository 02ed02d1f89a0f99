"""Options for the device and the precision of networks."""

from __future__ import annotations

from typing import Annotated

import typer

from jvid.errors import InputError

__all__ = ["Device", "Dtype", "check_dtype"]

_DTYPES = ("float32", "bfloat16", "float16")

Device = Annotated[str, typer.Option("--device", help="Such as cpu, cuda or mps.")]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", metavar="|".join(_DTYPES), help="Precision of the networks (default: float32)."),
]


def check_dtype(dtype: str | None) -> None:
    """Refuse a precision that networks cannot compute in.

    Raises:
        InputError: another name.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise InputError(f"--dtype {dtype!r}: expected {', '.join(_DTYPES[:-1])} or {_DTYPES[-1]}")
