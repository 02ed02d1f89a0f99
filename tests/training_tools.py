"""A data set, a codec and a table of prompts small enough to train on within a test."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import av
import cattrs
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from jvid import paper
from jvid_models.text import EmbeddingTable
from jvid_training.data import latents
from jvid_training.data.manifest import load_manifest
from jvid_training.data.sequences import Sequence
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train import held_out
from jvid_training.train.trainer import train
from tests.once import made_once

SHUFFLING: dict[str, Any] = {
    "kind": "AutoencoderDC",
    "encoder_block_types": "ResBlock", "decoder_block_types": "ResBlock",
    "encoder_block_out_channels": [4, 4, 8], "decoder_block_out_channels": [4, 4, 8],
    "encoder_layers_per_block": [0, 1, 1], "decoder_layers_per_block": [0, 1, 1],
    "encoder_qkv_multiscales": [[], [], []], "decoder_qkv_multiscales": [[], [], []],
    "downsample_block_type": "pixel_unshuffle", "upsample_block_type": "pixel_shuffle",
}  # fmt: skip
"""An AutoencoderDC of convolutions alone, without layers at full size: factor 4."""


def write_clip(path: Path, frames: np.ndarray, fps: int = 25) -> None:
    """Lossless enough: mjpeg at its best quality, ``(f, h, w, 3)`` uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=fps)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuvj444p"
        stream.codec_context.qmin = stream.codec_context.qmax = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def walker(count: int, speed: float, height: int = 48, width: int = 64, shade: int = 40) -> np.ndarray:
    """A dark block that crosses a bright picture at ``speed`` pixels a frame."""
    frames = np.full((count, height, width, 3), 200, np.uint8)
    for number, frame in enumerate(frames):
        left = round(4 + speed * number) % (width - 8)
        frame[12:40, left : left + 8] = shade
    return frames


def make_clips(root: Path) -> None:
    """Two actions by three actors."""
    for shade, actor in ((20, "ann"), (60, "bob"), (100, "eve")):
        write_clip(root / "walk" / f"{actor}_walk.avi", walker(30, 1.0, shade=shade))
        write_clip(root / "stand" / f"{actor}_stand.avi", walker(24, 0.0, shade=shade))


def pooled(video: Tensor) -> Tensor:
    """A codec's ``encode``: 4 channels, an eighth of the size."""
    small = torch.nn.functional.avg_pool3d(video, (1, 8, 8))
    return torch.cat([small, small.mean(1, keepdim=True)], 1)


def document(folder: Path, kind: str = "image", **training: Any) -> dict[str, Any]:
    """A recipe as TOML would give it."""
    network: dict[str, Any] = {
        "channels": [32, 64],
        "layers": 1,
        "groups": 8,
        "head_width": 16,
        "text_width": 16,
    }
    if kind == "decoder":
        network = {"channels": [16, 16, 8, 8], "blocks": 1}
    return {
        "name": "tiny",
        "kind": kind,
        "out": str(folder / "run"),
        "data": {
            "root": str(folder / "clips"),
            "latents": str(folder / "latents"),
            "fps": 12.5,
            "frames": 8,
            "size": 32,
            "crop": "person",
            "crop_size": 40,
            "holdout": ["eve"],
            "flip": True,
        },
        "text": {"name": "table", "options": {"path": str(folder / "prompts.safetensors")}},
        "network": network,
        "optimiser": {"lr": 1e-3, "warmup": 2},
        "training": {
            "steps": 4,
            "batch": 4,
            "checkpoint_every": 2,
            "log_every": 1,
            "threads": 1,
            "ema": 0.9,
            **training,
        },
    }


_made: dict[int, tuple[Path, dict[str, bytes]]] = {}
"""What ``prepare`` has made for each length of a shard: in which folder, and its files by their paths there."""


def prepare(folder: Path, kind: str = "image", **training: Any) -> Recipe:
    """Clips, latents and prompts on disk, and the recipe that uses them."""
    recipe = structure_recipe(document(folder, kind, **training))
    parts = [folder / name for name in ("clips", "latents", "prompts.safetensors")]
    fresh = not any(part.exists() for part in parts)
    if fresh and latents.SHARD_FRAMES in _made:
        there, files = _made[latents.SHARD_FRAMES]
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".json"):  # they state the folder of the clips
                content = content.replace(str(there).encode(), str(folder).encode())
            (folder / name).write_bytes(content)
        return recipe
    if not (folder / "clips").exists():
        make_clips(folder / "clips")
        prompts = [
            "",
            *(f"{prefix} {action}" for action in ("stand", "walk") for prefix in recipe.data.prefixes),
        ]
        values = np.random.Generator(np.random.Philox(7)).standard_normal((len(prompts), 3, 16), np.float32)
        EmbeddingTable(prompts, torch.from_numpy(values)).save(folder / "prompts.safetensors")
    latents.encode(recipe.data, recipe.codec, folder / "clips", pooled)
    if fresh:
        made = [path for part in parts for path in (part, *part.rglob("*")) if path.is_file()]
        _made[latents.SHARD_FRAMES] = (
            folder,
            {str(path.relative_to(folder)): path.read_bytes() for path in made},
        )
    return recipe


def rows_of(folder: Path, sequence: Sequence, kind: str) -> np.ndarray:
    """The rows of a sequence, as the safetensors library reads them."""
    rows = load_file(folder / f"{sequence.shard}.{kind}.safetensors")["rows"]
    return rows[sequence.offset : sequence.offset + sequence.length]


def as_format_1(folder: Path) -> None:
    """Turn an encoding into the one that jvid 0.1 left: sequences in the manifest, ``.npy`` shards without digests."""
    rows = [cattrs.unstructure(each) for each in load_manifest(folder).sequences]
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("index", "shards"):
        del manifest[name]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 1, "sequences": rows}))
    (folder / "index.safetensors").unlink()
    for path in folder.glob("shard-*.safetensors"):
        np.save(path.with_suffix(".npy"), load_file(path)["rows"])
        path.unlink()
    for path in folder.glob("shard-*.json"):
        block = json.loads(path.read_text())
        path.write_text(json.dumps({"sequences": block["sequences"], "clips": block["clips"]}))


@contextmanager
def few_held_out_samples(count: int = 6) -> Iterator[None]:
    """Losses on held-out actors are means over so many samples within the block; six are one batch of four and a part of one."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in held_out.VALIDATION_SAMPLES:
            patch.setitem(held_out.VALIDATION_SAMPLES, kind, count)
        yield


def tiny_runs(factory: pytest.TempPathFactory) -> Path:
    """One step of each kind on the same latents, and the paper's strategy in two steps; made once for all tests."""
    return made_once(factory, "tiny-runs", _make_runs)


def _make_runs(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for kind in ("image", "video", "decoder"):
        recipe = prepare(folder, kind, steps=1, batch=2)
        train(attrs.evolve(recipe, name=f"tiny-{kind}", out=str(folder / kind)))
    attrs.evolve(paper.strategy(64), steps=2).save(folder / "strategy.json")


def write_recipe(path: Path, recipe: dict[str, Any]) -> Path:
    """A recipe as a file of TOML."""

    def inline(value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(inline, value))}]"
        if isinstance(value, dict):
            return f"{{ {', '.join(f'{key} = {inline(each)}' for key, each in value.items())} }}"
        return json.dumps(value)

    def lines(table: dict[str, Any], head: str = "") -> list[str]:
        plain = [f"{key} = {inline(value)}" for key, value in table.items() if not isinstance(value, dict)]
        tables = [
            line
            for key, value in table.items()
            if isinstance(value, dict)
            for line in lines(value, f"{head}.{key}".strip("."))
        ]
        return ([f"[{head}]"] if head else []) + plain + tables

    path.write_text("\n".join(lines(recipe)))
    assert tomllib.loads(path.read_text()) == recipe
    return path
