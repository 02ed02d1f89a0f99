"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jvid.errors import InputError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write(temporary)`` and move its file or folder to ``path`` when it has returned.

    Raises `InputError` where the system refuses: a full disk, a folder that cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)
        write(temporary)
        if path.is_dir():
            remove(path)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; free the space or give another path"
        ) from error
    finally:
        # Where nothing could be written nothing can be removed: the first error is the one to tell.
        with suppress(OSError):
            remove(temporary)


def make_folder(folder: Path) -> Path:
    """The folder, made where it is not there; raises `InputError` where the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"folder {str(folder)!r} cannot be made ({error.strerror or error}): give another"
        ) from error
    return folder


def write_json(path: Path, document: Any) -> None:
    """JSON, whole or not at all."""
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def remove(path: Path) -> None:
    """Delete a file or folder if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
