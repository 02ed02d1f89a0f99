"""Reading back what ``jvid.media`` wrote into a file beside the pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jvid.errors import InputError, MissingDependencyError
from jvid.extras import extra
from jvid.media.files import ENDINGS
from jvid.refusals import openable, refusal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_latents", "read_metadata"]

_IMAGE_DESCRIPTION = 0x010E


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What was given as ``metadata`` when the file was written.

    Raises:
        InputError: no such file, another ending, a damaged file, or one that jvid did not write.
        MissingDependencyError: the library that reads it is not installed.
    """
    path = _existing(path)
    readers = {".mp4": _mp4, ".gif": _gif, ".webp": _webp, ".png": _png, ".safetensors": _safetensors}
    try:
        text = readers[path.suffix.lower()](path)
    except MissingDependencyError:
        raise
    except Exception as error:  # each library has its own errors for a damaged file
        raise _damaged(path, error) from error
    if not text:
        raise InputError(f"{str(path)!r} holds no jvid metadata: expected a file that jvid wrote")
    try:
        value = json.loads(text)
        value = value if path.suffix.lower() in (".png", ".safetensors") else value["jvid"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} holds a comment that is not jvid's: expected a jvid file") from error
    if not isinstance(value, dict):
        raise InputError(f"{str(path)!r} holds metadata that is not a JSON object: expected a jvid file")
    return value


def read_latents(path: str | Path) -> Tensor:
    """The latents ``(b c f h w)`` of a .safetensors file.

    Raises:
        InputError: no such file, a damaged one, or one without latents.
    """
    from safetensors.torch import load_file

    path = _existing(path)
    try:
        return load_file(path)["latents"]
    except Exception as error:
        raise _damaged(path, error) from error


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: expected a file that jvid wrote")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{str(path)!r} ends in {path.suffix!r}: expected {', '.join(ENDINGS)}")
    return path


def _damaged(path: Path, error: Exception) -> InputError:
    try:
        openable(path)  # libraries have their own errors for a file that cannot be opened
    except OSError as refused:
        error = refused
    if found := refusal(path, error):
        return found
    reason = " ".join(str(error).split())
    return InputError(f"cannot read {str(path)!r}: {type(error).__name__}: {reason}; is it whole?")


def _mp4(path: Path) -> str:
    with extra("media"):
        import av

    with av.open(str(path)) as container:
        return str(container.metadata.get("comment", ""))


def _gif(path: Path) -> str:
    with extra("media"):
        from PIL import Image

    with Image.open(path) as image:
        comment = image.info.get("comment", b"")
        return comment.decode("ascii") if isinstance(comment, bytes) else str(comment)


def _webp(path: Path) -> str:
    with extra("media"):
        from PIL import Image

    with Image.open(path) as image:
        return str(image.getexif().get(_IMAGE_DESCRIPTION, ""))


def _png(path: Path) -> str:
    with extra("media"):
        from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("jvid", ""))


def _safetensors(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return str((file.metadata() or {}).get("jvid", ""))
