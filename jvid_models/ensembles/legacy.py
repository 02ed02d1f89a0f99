"""Folders of format 1: pair.json, with a video and an image model and further models under "guides"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jvid.errors import InputError

__all__ = ["PAIR", "upgraded"]

PAIR = "pair.json"
_KEYS = ("format", "name", "image", "video", "decoder", "schedule", "latents", "fps", "prompts", "strategy")
_GUIDED = ("guided:scale=2.0",)
"""The guidance of strategies that stated none, in versions that wrote this format."""


def upgraded(meta: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values of pair.json in the form of ensemble.json.

    Raises:
        InputError: a key is missing, or the format is another one.
    """
    if missing := [key for key in _KEYS if key not in meta]:
        raise InputError(f"{path} lacks {', '.join(missing)}: export the ensemble again")
    if meta["format"] != 1:
        raise InputError(f"{path} is of format {meta['format']}: expected 1; export the ensemble again")
    experts = {
        name: _expert(meta[name], "frames" if name == "image" else "clips", f"{name}.safetensors")
        for name in ("video", "image")
    }
    for name, network in dict(meta.get("guides", {})).items():
        experts[name] = _expert(network, "clips", f"guide-{name}.safetensors")
    kept = {key: value for key, value in meta.items() if key not in ("video", "image", "guides")}
    return {**kept, "format": 2, "experts": experts}


def _expert(network: Mapping[str, Any], denoises: str, weights: str) -> dict[str, Any]:
    return {"denoises": denoises, "network": dict(network), "weights": weights, "wrappers": list(_GUIDED)}
