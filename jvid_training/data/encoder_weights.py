"""The weights that encoded latents, as a digest: a folder of an autoencoder can hold other ones by now.

A recipe names an autoencoder by its folder. Latents belong to the weights that were in it. So an encoding stores their
digest, without the decoder's part: a decoder that was trained on decodes the same latents.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from jvid.errors import InputError
from jvid_models.saved import weight_files
from jvid_training.recipe import CodecChoice

__all__ = ["check_same_encoder", "differ", "digest_in", "encoder_digest"]

_DECODING = ("decoder.", "post_quant_conv.", "autoencoder.decoder.", "autoencoder.post_quant_conv.")


def encoder_digest(codec: CodecChoice) -> str:
    """SHA-256 of the tensors that encode, over the safetensors files that the codec's options name; "" without any.

    A file that cannot be read counts as none: who loads the codec reports it.
    """
    files = sorted({file for option in codec.options.values() for file in _files(option)})
    try:
        return _digest(tuple(_state(file) for file in files))
    except (SafetensorError, OSError, ValueError):
        return ""


def differ(one: str, other: str) -> bool:
    """Whether two digests are of different weights; one that is not known agrees with any."""
    return bool(one and other and one != other)


def check_same_encoder(then: str, now: str, what: str, remedy: str) -> None:
    """Refuse weights that are not those of the latents.

    Args:
        then: the digest of the latents' encoding.
        now: the digest of the weights at hand.
        what: the latents, and where the other weights are, for the message.
        remedy: what to do about it.

    Raises:
        InputError: they `differ`.
    """
    if differ(then, now):
        raise InputError(
            f"{what}: their digest is {now[:12]}, expected {then[:12]}, of those that encoded; {remedy}"
        )


def digest_in(document: object) -> str:
    """The digest of a file of JSON that may be older, or damaged: "" where there is none."""
    found = document.get("encoder") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


def _files(option: object) -> list[Path]:
    """The files that a codec loads of what an option names: a file, an autoencoder's folder, or a pipeline's."""
    if not isinstance(option, str) or not option:
        return []
    path = Path(option)
    try:
        if not path.is_dir():
            return [path] if path.suffix == ".safetensors" and path.is_file() else []
        folder = path / "vae" if (path / "vae").is_dir() else path
        try:
            return weight_files(folder)
        except InputError:  # of another form, such as an encoder and a decoder apart
            return [
                file
                for file in folder.glob("*.safetensors")
                if file.is_file() and not file.name.startswith(".") and "decoder" not in file.stem
            ]
    except (OSError, ValueError):  # an option that is no path
        return []


def _state(file: Path) -> tuple[str, ...]:
    """What tells whether a file is still the same one."""
    found = file.stat()
    return str(file), *map(str, (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size))


@lru_cache(maxsize=64)
def _digest(files: tuple[tuple[str, ...], ...]) -> str:
    """Of the tensors by name, in whichever file each is."""
    found = hashlib.sha256()
    with ExitStack() as opened:
        tensors: dict[str, Any] = {}
        for file, *_ in files:
            content = opened.enter_context(safe_open(file, framework="pt"))
            names = content.keys()  # no dictionary: it cannot be iterated itself
            tensors |= {name: content for name in names if not name.startswith(_DECODING)}
        for name in sorted(tensors):
            tensor = tensors[name].get_tensor(name)
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest() if tensors else ""
