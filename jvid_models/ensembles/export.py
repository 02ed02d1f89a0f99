"""Trained networks to a folder that `jvid_models.ensembles.folder` reads: fp16, whole or not at all.

Everything is written beside the target and read back before it takes the target's place, so an interrupted or faulty
export leaves what was there. Only a folder that an export wrote is ever replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn

from jvid.ensemble import Composition, Ensemble
from jvid.errors import InputError
from jvid.files import check_folder, whole_folder
from jvid.plugins.choice import Choice, as_choices
from jvid_models.ensembles.folder import DOCUMENT, FORMAT, PARTS_FORMAT, TABLE_FORMAT, EnsembleFolder
from jvid_models.ensembles.legacy import PAIR
from jvid_models.ensembles.parts import VAE, WEIGHTS, inner_weights, save_part, save_scheduler
from jvid_models.networks.autoencoder import Autoencoder
from jvid_models.networks.diffusers_form import diffusers_form
from jvid_models.networks.unets import options_of
from jvid_models.networks.video_decoder import VideoDecoder
from jvid_models.text import EmbeddingTable
from jvid_models.weights import save_weights
from jvid_models.words import Words

__all__ = ["OWNED", "ExportedExpert", "Layout", "check_target", "export_ensemble"]

OWNED = (DOCUMENT, PAIR, "*.safetensors", "CARD.md", "*.png")
"""What a folder may hold that an export replaces; the card and the pictures stay."""

_META = ("name", "schedule", "latents", "fps", "strategy")
_RESERVED = ("decoder", "prompts", "scheduler", VAE)
"""Files and folders of a folder that are no expert's."""

Layout = Literal["files", "diffusers"]
"""A file for each network, or a folder for each, as diffusers writes it."""


@attrs.frozen(eq=False)
class ExportedExpert:
    """One expert of an export.

    Attributes:
        network: a UNet of `jvid_models.networks.unets`.
        denoises: "clips" or "frames"; an image UNet denoises frames.
        wrappers: the default stack of strategies that state none, the innermost first.
        words: its text encoder, where that takes any prompt of known words; None is the ensemble's table of prompts.
    """

    network: nn.Module
    denoises: Literal["clips", "frames"] = "clips"
    wrappers: tuple[Choice, ...] = attrs.field(default=(), converter=as_choices)
    words: Words | None = None


def export_ensemble(
    folder: str | Path,
    experts: Mapping[str, ExportedExpert],
    decoder: VideoDecoder | Autoencoder,
    table: EmbeddingTable | None,
    meta: Mapping[str, Any],
    layout: Layout = "files",
) -> Ensemble:
    """Write the folder, in the place of an earlier export, and return the ensemble that is read back from it.

    Args:
        folder: of the ensemble.
        experts: by name, in the ensemble's order.
        decoder: latents to frames; an autoencoder of frames is stored whole, so that the ensemble encodes too.
        table: the embeddings of its prompts; None where every expert has an encoder of words.
        meta: "name", "schedule" (a diffusers scheduler config), "latents" (``{"shape": [c, f, h, w], "mean": [...],
            "std": [...]}``), "fps", "strategy" (JSON of `jvid.strategy.Strategy`; None recommends none); others are kept as
            they are. "card", the text of CARD.md, is optional: an earlier CARD.md stays, and the pictures beside it.
        layout: "diffusers" writes UNets, autoencoder and scheduler to folders of their own, which diffusers loads one by one
            (``jvid_models.ensembles.parts``); the folder is then a new one.

    Raises:
        InputError: the folder holds anything but an export, the parts do not fit each other, weights do not fit fp16, a UNet
            that diffusers' configuration does not express, or the disk is full; nothing is written then.
    """
    marker = check_target(folder)
    target = Path(folder)
    if missing := [key for key in _META if key not in meta]:
        raise InputError(f"meta lacks {', '.join(missing)}: expected {', '.join(_META)}")
    files = _word_files(experts)
    _check_names(experts, files)
    _check_fit(experts, decoder, table, meta)
    apart = layout == "diffusers"
    if apart:
        experts = {
            name: attrs.evolve(expert, network=diffusers_form(expert.network))
            for name, expert in experts.items()
        }
    described = {key: value for key, value in meta.items() if key != "card"} | {
        "format": _format(bool(files), decoder, apart),
        "experts": {
            name: _described(name, expert, files.get(name), apart) for name, expert in experts.items()
        },
        "decoder": decoder.config,
        "prompts": [prompt for prompt in table.prompts if prompt.strip()] if table else [],
    }
    weights = {name: _half(name, expert.network) for name, expert in experts.items()}
    weights["decoder"] = _half("decoder", decoder)
    # An earlier card stays, and its pictures: it is written by hand.
    kept = {
        path.name: path.read_bytes() for path in (target / "CARD.md", *target.glob("*.png")) if path.is_file()
    }
    if meta.get("card"):
        kept["CARD.md"] = meta["card"].encode("utf-8")

    with whole_folder(target, marker, OWNED) as fresh:
        for name, tensors in weights.items():
            part = decoder if name == "decoder" else experts[name].network
            if apart and name != "decoder":
                save_part(part, tensors, fresh / name)
            elif apart and isinstance(part, Autoencoder):
                save_part(part.autoencoder, inner_weights(tensors), fresh / VAE)
            else:
                save_weights(tensors, fresh / f"{name}.safetensors")
        if apart:
            save_scheduler(meta["schedule"], fresh / "scheduler")
        if table is not None:
            EmbeddingTable(table.prompts, table.embeddings.half()).save(fresh / "prompts.safetensors")
        for name, file in files.items():
            words = experts[name].words
            if words is not None and not (fresh / file).exists():
                _half(f"{name}'s words", words.network)  # finite in fp16, as the others
                words.save(fresh / file, torch.float16)
        (fresh / DOCUMENT).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        for name, content in kept.items():
            (fresh / name).write_bytes(content)
        _read_back(EnsembleFolder(fresh))
    return EnsembleFolder(target).ensemble()


def check_target(folder: str | Path) -> str:
    """The name of the document by which the folder is known as an export, if one can be written there.

    Raises:
        InputError: the folder holds anything but an export, or cannot be written to.
    """
    marker = PAIR if (Path(folder) / PAIR).is_file() else DOCUMENT
    check_folder(folder, marker, OWNED)
    return marker


def _format(words: bool, decoder: VideoDecoder | Autoencoder, apart: bool) -> int:
    """The oldest format that holds an ensemble, so that earlier versions read what they can."""
    if isinstance(decoder, Autoencoder):
        return PARTS_FORMAT if apart else FORMAT
    return FORMAT if words else TABLE_FORMAT


def _described(name: str, expert: ExportedExpert, words: str | None, apart: bool) -> dict[str, Any]:
    return {
        "denoises": expert.denoises,
        "network": options_of(expert.network),
        "weights": f"{name}/{WEIGHTS}" if apart else f"{name}.safetensors",
        "wrappers": [choice.to_plain() for choice in expert.wrappers],
        **({"text": words} if words else {}),
    }


def _word_files(experts: Mapping[str, ExportedExpert]) -> dict[str, str]:
    """The file of each expert's encoder of words; equal ones share one, so that the experts share their condition."""
    files: dict[str, str] = {}
    for name, expert in experts.items():
        if expert.words is None:
            continue
        same = [other for other in files if _same_words(experts[other].words, expert.words)]
        files[name] = files[same[0]] if same else f"{name}.words.safetensors"
    return files


def _same_words(one: Words | None, other: Words) -> bool:
    if one is None or one.config != other.config:
        return False
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs)


def _check_names(experts: Mapping[str, ExportedExpert], files: Mapping[str, str]) -> None:
    if not experts:
        raise InputError("no experts: expected at least one, by name")
    if taken := [name for name in experts if f"{name}.safetensors" in files.values()]:
        raise InputError(
            f"expert {taken[0]!r}: its file would be that of a text encoder, expected another name"
        )
    for name in experts:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) or name in _RESERVED:
            raise InputError(
                f"expert {name!r}: expected letters, digits, '-', '_' and '.', and not {' or '.join(_RESERVED)}"
            )


def _check_fit(
    experts: Mapping[str, ExportedExpert],
    decoder: VideoDecoder | Autoencoder,
    table: EmbeddingTable | None,
    meta: Mapping[str, Any],
) -> None:
    shape = meta["latents"]["shape"]
    if len(shape) != 4:
        raise InputError(f"latents' shape {shape}: expected [c, f, h, w]")
    for name, expert in experts.items():
        unet: Any = expert.network
        own = "frames" if options_of(unet)["factory"] == "image_unet" else "clips"
        if expert.denoises != own:
            raise InputError(f"the {name} UNet denoises {own}: got denoises={expert.denoises!r}")
        if unet.config.in_channels != shape[0]:
            raise InputError(
                f"the {name} UNet takes {unet.config.in_channels} channels: the latents have {shape[0]}"
            )
        if expert.words is not None:
            what, width = "its encoder's", expert.words.width
        elif table is not None:
            what, width = "the table's", table.embeddings.shape[-1]
        else:
            raise InputError(f"the {name} expert has no text encoder: expected a table of prompts, or words")
        if unet.config.cross_attention_dim != width:
            raise InputError(
                f"the {name} UNet takes text {unet.config.cross_attention_dim} wide: {what} is {width}"
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


def _read_back(written: EnsembleFolder) -> None:
    """Read all that was written; a strategy that does not fit the experts is refused."""
    ensemble = written.ensemble()
    for name in ensemble.experts:
        ensemble.denoiser(name)
    _ = ensemble.codec
    ensemble.condition([""])
    if ensemble.strategy is not None:
        Composition(ensemble.strategy, ensemble).check()
