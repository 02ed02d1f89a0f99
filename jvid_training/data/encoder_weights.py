"""The weights that encoded latents, as a digest: a folder of an autoencoder can hold other ones by now.

A recipe names an autoencoder by its folder. Latents belong to the weights that were in it. So an encoding stores their
digest, without the decoder's part: a decoder that was trained on decodes the same latents.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from jvid.errors import InputError
from jvid_training.recipe import CodecChoice

__all__ = ["check_same_encoder", "encoder_digest"]

_DECODING = ("decoder.", "post_quant_conv.", "autoencoder.decoder.", "autoencoder.post_quant_conv.")
_FOLDERS = (".", "vae")
"""Where weights are in a folder that an option names: an autoencoder's own, or a pipeline's."""


def encoder_digest(codec: CodecChoice) -> str:
    """SHA-256 of the tensors that encode, over the safetensors files that the codec's options name; "" without any.

    A file that cannot be read counts as none: who loads the codec reports it.
    """
    files = sorted({file for option in codec.options.values() for file in _files(option)})
    try:
        return _digest(tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files))
    except (SafetensorError, OSError, ValueError):
        return ""


def check_same_encoder(then: str, now: str, what: str, remedy: str) -> None:
    """Refuse weights that are not those of the latents; a digest that is not known agrees with any.

    Args:
        then: the digest of the latents' encoding.
        now: the digest of the weights at hand.
        what: the latents, and where the other weights are, for the message.
        remedy: what to do about it.

    Raises:
        InputError: both are known, and differ.
    """
    if then and now and then != now:
        raise InputError(
            f"{what}: their digest is {now[:12]}, expected {then[:12]}, of those that encoded; {remedy}"
        )


def _files(option: object) -> list[Path]:
    if not isinstance(option, str) or not option:
        return []
    path = Path(option)
    try:
        if path.is_dir():
            return [file for folder in _FOLDERS for file in (path / folder).glob("*.safetensors")]
        return [path] if path.suffix == ".safetensors" and path.is_file() else []
    except (OSError, ValueError):  # an option that is no path
        return []


@lru_cache(maxsize=64)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """Of files, each with the time and the size that tell whether it is still the same one."""
    found = hashlib.sha256()
    some = False
    for file, _, _ in files:
        with safe_open(file, framework="pt") as tensors:
            for name in sorted(tensors.keys()):
                if name.startswith(_DECODING):
                    continue
                tensor, some = tensors.get_tensor(name), True
                found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                found.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest() if some else ""
