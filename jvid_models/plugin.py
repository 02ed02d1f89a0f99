"""What jvid_models registers, by the same hook as any other plugin; targets are lazy, so listing is light."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jvid.plugins import hookimpl


@hookimpl
def jvid_register(register: Any) -> None:
    """Ensembles, codecs, text encoders and denoisers."""
    register.ensemble(
        "actions-64",
        "jvid_models.ensembles.bundled:actions_64",
        help="ten actions of the Weizmann clips: 16 frames of 64x64",
    )
    register.ensemble(
        "sprites-64",
        "jvid_models.ensembles.bundled:sprites_64",
        help="animated characters that a caption describes: 8 frames of 64x64",
    )

    register.ensemble(
        "pipeline",
        "jvid_models.ensembles.pipelines:pipeline_ensemble",
        help="one expert: a diffusers pipeline, with its own encoders and decoder",
    )

    register.codec(
        "taesd", "jvid_models.codecs:taesd", help="tiny autoencoder of Stable Diffusion 1.5's latents"
    )
    register.codec(
        "autoencoder",
        "jvid_models.codecs:autoencoder",
        help="a diffusers autoencoder, from a folder; `jvid export --autoencoder` writes one of your own",
    )
    register.codec(
        "autoencoder-kl",
        "jvid_models.codecs:autoencoder_kl",
        help="the older name of autoencoder",
    )

    register.text("minilm", "jvid_models.text:MiniLM", help="all-MiniLM-L6-v2, 384 per token")
    register.text("clip", "jvid_models.text:CLIPText", help="CLIP's text encoder, from a folder")
    register.text("table", "jvid_models.text:EmbeddingTable.load", help="prompt embeddings computed ahead")
    register.text("words", "jvid_models.words:words", help="any prompt of known words, fixed or trained")

    register.denoiser(
        "diffusers", "jvid_models.adapters.unet:from_pretrained", help="a local diffusers folder"
    )
    register.denoiser(
        "unet", "jvid_models.adapters.unet:from_unet", help="a diffusers UNet and its scheduler's config"
    )
    register.denoiser(
        "table-1-image", "jvid_models.networks.table1:image", help="the paper's image UNet, untrained, 546 M"
    )
    register.denoiser(
        "table-1-video", "jvid_models.networks.table1:video", help="the paper's video UNet, untrained, 927 M"
    )


@hookimpl
def jvid_resolve(kind: str, name: str) -> Callable[..., Any] | None:
    """Folders of exports and of diffusers pipelines, joint ones too, are ensembles; that of a UNet, also in one, a denoiser."""
    if kind == "ensemble":
        if any((Path(name) / file).is_file() for file in ("ensemble.json", "pair.json")):
            from jvid_models.ensembles.folder import load_ensemble

            return partial(load_ensemble, name)
        if (Path(name) / "jvid_pipeline.json").is_file():
            from jvid_models.diffusion_pipeline.loading import load_pipeline_folder

            return partial(load_pipeline_folder, name)
        if (Path(name) / "model_index.json").is_file():
            from jvid_models.ensembles.pipelines import pipeline_ensemble

            return partial(pipeline_ensemble, name)
    if kind == "denoiser" and any(
        (Path(name) / file).is_file() for file in ("model_index.json", "config.json")
    ):
        from jvid_models.adapters.unet import from_pretrained

        return partial(from_pretrained, name)
    return None
