"""Trained networks to a folder that `jvid_models.ensembles.folder` reads: fp16, whole or not at all.

Everything is written beside the target and read back before it takes the target's place, so an interrupted or faulty
export leaves what was there. Only a folder that an export wrote is ever replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jvid.errors import InputError
from jvid.files import check_folder, whole_folder
from jvid_models.ensembles.folder import FORMAT, PARTS, Pair, guide_file
from jvid_models.networks.unets import options_of
from jvid_models.networks.video_decoder import VideoDecoder
from jvid_models.text import EmbeddingTable
from jvid_models.weights import save_weights

__all__ = ["MARKER", "OWNED", "export_pair"]

MARKER = "pair.json"
OWNED = ("*.safetensors", "CARD.md", "*.png")
"""What a folder may hold beside `MARKER` that an export replaces; the card and the pictures stay."""

_META = ("name", "schedule", "latents", "fps", "strategy")


def export_pair(
    folder: str | Path,
    image_unet: nn.Module,
    video_unet: nn.Module,
    decoder: VideoDecoder,
    table: EmbeddingTable,
    meta: Mapping[str, Any],
    guides: Mapping[str, nn.Module] | None = None,
) -> Pair:
    """Writes the folder (replacing a pair that is there) and returns the pair read back from it.

    The UNets are of `jvid_models.networks.unets`. ``guides``: further video UNets by name, for `jvid.Guidance` to lead away
    from; names are of letters, digits, - and _. ``meta``: "name", "schedule" (a diffusers scheduler config), "latents"
    (``{"shape": [c, f, h, w], "mean": [...], "std": [...]}``), "fps", "strategy" (JSON of
    `jvid.strategy.strategy.Strategy`); others are kept as they are. "card", the text of CARD.md, is optional: an earlier CARD.md
    stays, and the pictures beside it.
    Raises InputError where the folder holds anything but an exported pair, the parts do not fit each other, weights do not
    fit fp16 or the disk is full; nothing is written then.
    """
    target = check_folder(folder, MARKER, OWNED)
    missing = [key for key in _META if key not in meta]
    if missing:
        raise InputError(f"meta lacks {', '.join(missing)}: expected {', '.join(_META)}")
    guides = dict(guides or {})
    for name in guides:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name in (*PARTS, "prompts"):
            raise InputError(
                f"guide {name!r}: expected a name of letters, digits, - and _ that no other part has"
            )
    unets = {"image": image_unet, "video": video_unet, **guides}
    _check_fit(unets, decoder, table, meta)
    described = {key: value for key, value in meta.items() if key != "card"} | {
        "format": FORMAT,
        "image": options_of(image_unet),
        "video": options_of(video_unet),
        "decoder": decoder.config,
        "prompts": [prompt for prompt in table.prompts if prompt.strip()],
    }
    if guides:
        described["guides"] = {name: options_of(network) for name, network in guides.items()}
    parts = {
        guide_file(name) if name in guides else name: _half(name, network)
        for name, network in (*unets.items(), ("decoder", decoder))
    }
    # An earlier card stays, and its pictures: it is written by hand.
    kept = {
        path.name: path.read_bytes() for path in (target / "CARD.md", *target.glob("*.png")) if path.is_file()
    }
    if meta.get("card"):
        kept["CARD.md"] = meta["card"].encode("utf-8")

    with whole_folder(target, MARKER, OWNED) as fresh:
        for name, weights in parts.items():
            save_weights(weights, fresh / f"{name}.safetensors")
        EmbeddingTable(table.prompts, table.embeddings.half()).save(fresh / "prompts.safetensors")
        (fresh / MARKER).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        for name, content in kept.items():
            (fresh / name).write_bytes(content)
        _read_back(Pair(fresh))
    return Pair(target)


def _check_fit(
    unets: Mapping[str, Any], decoder: VideoDecoder, table: EmbeddingTable, meta: Mapping[str, Any]
) -> None:
    shape = meta["latents"]["shape"]
    if len(shape) != 4:
        raise InputError(f"latents' shape {shape}: expected [c, f, h, w]")
    for name, unet in unets.items():
        if unet.config.in_channels != shape[0]:
            raise InputError(
                f"the {name} UNet takes {unet.config.in_channels} channels: the latents have {shape[0]}"
            )
        if unet.config.cross_attention_dim != table.embeddings.shape[-1]:
            raise InputError(
                f"the {name} UNet takes text {unet.config.cross_attention_dim} wide: the table's is "
                f"{table.embeddings.shape[-1]}"
            )
    if decoder.config["latent_channels"] != shape[0]:
        raise InputError(
            f"the decoder takes {decoder.config['latent_channels']} channels: the latents have {shape[0]}"
        )
    for key in ("mean", "std"):
        if len(meta["latents"][key]) != shape[0]:
            raise InputError(f"latents' {key} has {len(meta['latents'][key])} values: expected {shape[0]}")


def _half(name: str, network: nn.Module) -> dict[str, Tensor]:
    weights = {}
    for key, tensor in network.state_dict().items():
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        if not bool(half.isfinite().all()):
            raise InputError(f"{name}: {key} is not finite in fp16: expected finite weights below 65504")
        weights[key] = half
    return weights


def _read_back(pair: Pair) -> None:
    for part in ("image", "video", "codec", "text_encoder", "strategy"):
        getattr(pair, part)
    for name in pair.guides:
        pair.module(name)
