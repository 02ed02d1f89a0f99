"""An ensemble small enough to sample within milliseconds, of real networks, and what a set holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from jvid import paper
from jvid_models.ensembles.export import ExportedExpert, export_ensemble
from jvid_models.networks.table1 import SCHEDULER
from jvid_models.networks.unets import image_unet, video_unet
from jvid_models.networks.video_decoder import VideoDecoder
from jvid_models.text import EmbeddingTable
from jvid_training.generation import ClipSet

TINY = {"channels": (16, 32), "layers": 1, "text_width": 12, "groups": 8, "heads": 2}


def tiny_ensemble(folder: Path) -> Path:
    """Random weights; 3 frames of 64 pixels, both experts in 4 steps."""
    torch.manual_seed(0)
    prompts = ["", "A person running", "A person waving", "Someone running"]
    table = EmbeddingTable(prompts, torch.randn(len(prompts), 5, 12))
    strategy = paper.strategy(128).to_dict() | {"steps": 4, "plan_seed": 1}
    meta = {
        "name": "tiny",
        "schedule": SCHEDULER,
        "latents": {"shape": [4, 3, 8, 8], "mean": [0.1, 0, 0, 0], "std": [1, 1, 2, 1]},
        "fps": 12.5,
        "strategy": strategy,
        "licence": "none",
    }
    decoder = VideoDecoder(channels=(16, 8, 8, 8), blocks=1)
    image, video = image_unet(**TINY), video_unet(**TINY)
    experts = {
        "video": ExportedExpert(video, "clips", ("guided:scale=2.0",)),
        "image": ExportedExpert(image, "frames", ("guided:scale=2.0",)),
    }
    export_ensemble(folder, experts, decoder, table, meta)
    return folder


def content(made: ClipSet) -> tuple[bytes, bytes]:
    """Every bit of a set's frames and latents."""
    frames, latents = np.concatenate(list(made.batches())), np.concatenate(list(made.latents_batches()))
    assert len(frames) == len(latents) == len(made)
    return frames.tobytes(), latents.tobytes()


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each batch's file: a file that was made again has others."""
    found = {path.name: path.stat() for path in folder.glob("batch-*.safetensors")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def other_part(folder: Path, tiny: Path, part: str) -> Path:
    """The tiny ensemble with other weights in one of its files."""
    shutil.copytree(tiny, folder)
    path = folder / f"{part}.safetensors"
    save_file({name: value + 0.01 for name, value in load_file(path).items()}, path)
    return folder
