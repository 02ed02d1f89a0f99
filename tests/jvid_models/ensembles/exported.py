"""A small ensemble in a folder, for tests of what is in it and of what is damaged."""

from __future__ import annotations

import json

import torch

import jvid
from jvid import paper
from jvid_models.ensembles.export import ExportedExpert
from jvid_models.networks.table1 import SCHEDULER
from jvid_models.networks.unets import image_unet, video_unet
from jvid_models.networks.video_decoder import VideoDecoder
from jvid_models.text import EmbeddingTable

TINY = {"channels": (16, 32), "layers": 1, "text_width": 12, "groups": 8, "heads": 2}


STRATEGY = paper.strategy(64).to_dict() | {"steps": 4}


GUIDED = ("guided:scale=2.0",)


def parts(seed: int = 0):
    """A video and an image expert, their decoder and prompts."""
    torch.manual_seed(seed)
    table = EmbeddingTable(["", "A person running", "A person waving"], torch.randn(3, 5, 12))
    image, video = image_unet(**TINY), video_unet(**TINY)
    experts = {
        "video": ExportedExpert(video, "clips", GUIDED),
        "image": ExportedExpert(image, "frames", GUIDED),
    }
    return experts, VideoDecoder(channels=(16, 8, 8, 8), blocks=1), table


def meta(**changes):
    return {
        "name": "tiny",
        "schedule": SCHEDULER,
        "latents": {"shape": [4, 3, 8, 8], "mean": [0.1, 0, 0, 0], "std": [1, 1, 2, 1]},
        "fps": 12.5,
        "strategy": STRATEGY,
        "licence": "none",
    } | changes


def as_format_1(folder):
    """The folder as version 0.1 wrote it: pair.json, further models under "guides", the strategy of that time."""
    path = folder / "ensemble.json"
    values = json.loads(path.read_text())
    experts = values.pop("experts")
    values |= {
        "format": 1,
        "video": experts.pop("video")["network"],
        "image": experts.pop("image")["network"],
    }
    if experts:
        values["guides"] = {name: described["network"] for name, described in experts.items()}
    for name in experts:
        (folder / f"{name}.safetensors").rename(folder / f"guide-{name}.safetensors")
    if values["strategy"] == STRATEGY:
        values["strategy"] = {
            "selector": {
                "name": "piecewise-affine",
                "options": {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.3},
            },
            "solver": {"name": "ddpm", "options": {}},
            "grid": {"name": "leading", "options": {}},
            "steps": 4,
            "guidance": 2.0,
            "noise": {"image": {"gamma": 0.02, "ratio": 0.0}},
            "smoothing": {"name": "temporal", "options": {"threshold": 2.0}},
            "plan_seed": 0,
            "overlap": 4,
        }
    path.unlink()
    (folder / "pair.json").write_text(json.dumps(values))
    return folder


def sampled(ensemble, prompts, seeds=(1,), strategy=None):
    strategy = strategy or ensemble.strategy
    composition = jvid.Composition(strategy, ensemble)
    return composition.sampler()(ensemble.shape, seeds=seeds, cond=composition.condition(prompts))
