"""Arrays of NumPy's .npy files, as memory maps: nothing is unpickled, and a header that lies costs no memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jvid.refusals import openable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["mapped_array"]


def mapped_array(path: str | Path) -> np.ndarray:
    """The array of a file, read where it is used.

    Raises:
        OSError: the system refuses.
        ValueError: no .npy file, one of Python objects, or one that is shorter than its header states.
    """
    import numpy as np

    openable(path)
    try:
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except (EOFError, OverflowError, SyntaxError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"no .npy file ({type(error).__name__})") from error
    return array
