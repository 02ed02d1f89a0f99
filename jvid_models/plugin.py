"""What jvid_models registers, by the same hook as any other plugin. Imports nothing heavy: targets are lazy."""

from __future__ import annotations

from typing import Any

from jvid.hookspecs import hookimpl


@hookimpl
def jvid_register(register: Any) -> None:
    """Pairs, codecs, text encoders and denoisers."""
    register.pair("actions-64", "jvid_models.pair:actions_64")
    register.pair("folder", "jvid_models.pair:load_pair")

    register.codec("taesd", "jvid_models.codecs:taesd")
    register.codec("autoencoder-kl", "jvid_models.codecs:autoencoder_kl")

    register.text("minilm", "jvid_models.text:MiniLM")
    register.text("clip", "jvid_models.text:CLIPText")
    register.text("table", "jvid_models.text:EmbeddingTable.load")

    register.denoiser("diffusers", "jvid_models.adapters:from_pretrained")
    register.denoiser("unet", "jvid_models.adapters:from_unet")
    register.denoiser("table-1-image", "jvid_models.table1:image")
    register.denoiser("table-1-video", "jvid_models.table1:video")
