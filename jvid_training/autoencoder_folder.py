"""The autoencoder of a run as a diffusers folder, which `jvid.load("codec", "autoencoder", folder=...)` and diffusers load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jvid.files import check_folder, read_json, whole_folder, write_json
from jvid_models.codecs import ImageCodec, autoencoder
from jvid_training.export import read_run

__all__ = ["export_autoencoder"]

MARKER = "config.json"
OWNED = ("diffusion_pytorch_model.safetensors",)


def export_autoencoder(run: Path, out: Path) -> ImageCodec:
    """Write the averaged weights of a run, finished or not, whole or not at all; return the codec that is read back.

    Raises:
        InputError: there is no run of an autoencoder, it is damaged, or the folder holds anything else.
    """
    check_folder(out, MARKER, OWNED)  # before anything is loaded
    network: Any = read_run(run, "autoencoder").network
    with whole_folder(out, MARKER, OWNED) as folder:
        network.autoencoder.save_pretrained(folder, safe_serialization=True)
        (folder / OWNED[0]).chmod(0o644)  # safetensors' own is its owner's alone
        # AutoencoderTiny adds it to what it was made with, and warns of it when it is made again.
        config = read_json(folder / MARKER, "JSON as diffusers writes it", "export again")
        if config["_class_name"] == "AutoencoderTiny":
            config.pop("block_out_channels", None)
        write_json(folder / MARKER, config)
    codec: Any = autoencoder(out)  # of frames, as a run's is
    found: ImageCodec = codec
    return found
