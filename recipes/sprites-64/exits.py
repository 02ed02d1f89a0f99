"""How the scripts end on input that does not fit: a line on standard error, and 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from jvid.errors import InputError

Main = Callable[[list[str] | None], int]


def reporting(main: Main) -> Callable[..., int]:
    """A script's ``main`` that reports an `InputError` behind the script's name, and returns 2."""

    @wraps(main)
    def reported(arguments: list[str] | None = None) -> int:
        try:
            return main(arguments)
        except InputError as error:
            print(f"{Path(main.__code__.co_filename).name}: error: {error}", file=sys.stderr)
            return 2

    return reported
