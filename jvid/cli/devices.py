"""Options for the device and the precision of networks."""

from __future__ import annotations

from typing import Annotated

import typer

from jvid.errors import InputError

__all__ = ["Device", "Dtype", "Offloading", "Threads", "check_dtype", "check_offload"]

_DTYPES = ("float32", "bfloat16", "float16")

Device = Annotated[str, typer.Option("--device", help="Such as cpu, cuda or mps.")]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", metavar="|".join(_DTYPES), help="Precision of the networks (default: float32)."),
]

Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the processor.")]
Offloading = Annotated[
    str | None,
    typer.Option(
        "--offload", metavar="plan|none|sequential",
        help="Which weights are on the device: those that the plan needs, all, or one network at a time (default: plan on a GPU "
        "that is too small for all).",
    ),
]  # fmt: skip


def check_offload(mode: str | None) -> None:
    """Refuse a mode of offloading that there is not.

    Raises:
        InputError: another name.
    """
    if mode is not None:
        from jvid.pipeline.weights import check_mode

        check_mode(mode, "--offload")


def check_dtype(dtype: str | None) -> None:
    """Refuse a precision that networks cannot compute in.

    Raises:
        InputError: another name.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise InputError(f"--dtype {dtype!r}: expected {', '.join(_DTYPES[:-1])} or {_DTYPES[-1]}")
