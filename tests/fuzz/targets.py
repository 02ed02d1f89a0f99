"""The files that commands read, whole, and the commands that read them."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from jvid.cli import main
from jvid.paper import PREFIXES
from jvid_models.text import EmbeddingTable
from tests.clip_tools import greys, record
from tests.generation_tools import tiny_ensemble
from tests.search_tools import document as study
from tests.toy import PROMPTS
from tests.training_tools import document, make_clips

__all__ = ["TARGETS", "Target", "material"]

STEPS = ["--steps", "2"]
TOY = ["--ensemble", "toy"]
SHOWN = ["-o", "out.png", *STEPS]


@attrs.frozen
class Target:
    """A file of the material, and what reads it.

    Attributes:
        name: of the format.
        part: folder or file of the material that a case takes along.
        file: that is changed, below the case's folder.
        form: of the file: "json", "toml", "lines", "header" (of safetensors) or "bytes".
        commands: that read it.
    """

    name: str
    part: str
    file: str
    form: str
    commands: tuple[tuple[str, ...], ...]


def _target(name: str, part: str, file: str, form: str, *commands: list[str]) -> Target:
    return Target(name, part, file, form, tuple(tuple(command) for command in commands))


EVALUATE = ["evaluate", "real:training", "-r", "data/latents", "--metric", "flicker", "--bootstrap", "3"]
SET = ["evaluate", "set", "-r", "data/sized", "--metric", "flicker", "--bootstrap", "3"]
GENERATE = ["generate", "-o", "set", "-n", "3", "--batch", "2", *TOY, *STEPS]
TRAIN = ["train", "data/recipe.toml"]

TARGETS = (
    _target("strategy", "strategy.json", "strategy.json", "json",
            ["sample", PROMPTS[0], *TOY, "--strategy", "strategy.json", *SHOWN], ["plan", *TOY, "--strategy",
            "strategy.json"]),
    _target("plan", "plan.json", "plan.json", "json", ["sample", PROMPTS[0], *TOY, "--plan", "plan.json", "-o", "out.png"]),
    _target("clip's metadata", "z.safetensors", "z.safetensors", "header", ["sample", "--again", "z.safetensors", "-o",
    "out.png"]),
    _target("clip", "clip.gif", "clip.gif", "bytes", ["sample", "--again", "clip.gif", "-o", "out.png"]),
    _target("prompts", "prompts.jsonl", "prompts.jsonl", "lines", ["sample", "--prompts", "prompts.jsonl", *TOY, *SHOWN]),
    _target("ensemble", "tiny", "tiny/ensemble.json", "json",
            ["plan", "--ensemble", "tiny"], ["sample", "A person waving", "--ensemble", "tiny", *SHOWN]),
    _target("weights", "tiny", "tiny/image.safetensors", "bytes", ["sample", "A person waving", "--ensemble", "tiny",
    *SHOWN]),
    _target("prompts of an ensemble", "tiny", "tiny/prompts.safetensors", "header",
            ["sample", "A person waving", "--ensemble", "tiny", *SHOWN]),
    _target("recipe", "data", "data/recipe.toml", "toml", ["encode", "data/recipe.toml"], TRAIN),
    _target("captions", "data", "data/captioned/metadata.jsonl", "lines", ["encode", "data/captions.toml"]),
    _target("manifest", "data", "data/latents/manifest.json", "json", EVALUATE, ["encode", "data/recipe.toml"], TRAIN),
    _target("key", "data", "data/again/key.json", "json", ["encode", "data/again.toml"]),
    _target("shard's list", "data", "data/again/shard-00000.json", "json", ["encode", "data/again.toml"]),
    _target("shard", "data", "data/latents/shard-00000.frames.safetensors", "bytes", EVALUATE),
    _target("latents", "data", "data/latents/shard-00000.latents.safetensors", "bytes", TRAIN),
    _target("index", "data", "data/latents/index.safetensors", "bytes", EVALUATE, ["encode", "data/recipe.toml"]),
    _target("state", "data", "data/run/checkpoint-00000002/state.json", "json", TRAIN, ["curves", "data/run", "-o",
    "out.png"]),
    _target("digests", "data", "data/run/checkpoint-00000002/manifest.json", "json", TRAIN),
    _target("moments", "data", "data/run/checkpoint-00000002/optimizer.safetensors", "header", TRAIN),
    _target("log", "data", "data/run/log.jsonl", "lines", ["curves", "data/run", "-o", "out.png"], TRAIN),
    _target("set", "set data", "set/set.json", "json", GENERATE, SET, ["report", "set", "-o", "out.html"]),
    _target("batch", "set data", "set/batch-00000000.safetensors", "header", GENERATE, SET),
    _target("frames", "set data", "set/batch-00000001.safetensors", "bytes", SET),
    _target("study", "study.toml", "study.toml", "toml", ["ablation", "study.toml"], ["sweep", "study.toml", "--trials",
    "1"]),
    _target("film", "data", "data/clips/walk/ann_walk.avi", "bytes", ["encode", "data/films.toml"]),
)  # fmt: skip


def material(folder: Path, *, trained: bool = True) -> Path:
    """All of it, whole, made by jvid's own commands; without a run where nothing is trained, which takes most of the time."""
    from tests.fuzz.values import toml_text

    folder.mkdir()
    os.chdir(folder)  # recipes and states have relative paths
    for words in (
        ["plan", *TOY, *STEPS, "-o", "plan.json"],
        [
            "sample",
            PROMPTS[0],
            *TOY,
            *STEPS,
            "-o",
            "z.safetensors",
            "-o",
            "clip.gif",
            "--save-strategy",
            "strategy.json",
        ],
        ["generate", "-o", "set", "-n", "3", "--batch", "2", *TOY, *STEPS],
    ):
        assert main(words) == 0, words
    (folder / "prompts.jsonl").write_text("".join(f'{{"prompt": "{each}", "seed": 3}}\n' for each in PROMPTS))
    tiny_ensemble(folder / "tiny")
    data = Path("data")
    data.mkdir()
    make_clips(data / "clips")
    sentences = ["", *(f"{prefix} {action}" for action in ("stand", "walk") for prefix in PREFIXES)]
    EmbeddingTable(sentences, torch.ones(len(sentences), 3, 16)).save(data / "prompts.safetensors")

    def written(name: str, **changes: Any) -> None:
        found = document(Path("data"), steps=3, checkpoint_every=2) | {"codec": {"name": "pooled"}}
        found["data"] |= {"root": str(Path("data/clips").resolve()), "phases": False, "flip": False} | changes
        (data / name).write_bytes(toml_text(found))

    written("recipe.toml")
    written("again.toml", latents="data/again", fps=10.0)
    # Real clips of the size, length and rate of the toy ensemble's, for the figures of a set.
    written("sized.toml", latents="data/sized", frames=5, size=64, crop="centre")
    written("films.toml", latents="data/films", root="data/clips")
    written(
        "captions.toml",
        root="data/captioned",
        latents="data/stills",
        captions="metadata",
        frames=1,
        holdout=[],
        crop="centre",
    )
    (data / "captioned").mkdir()
    for name in ("a", "b"):
        record(data / f"captioned/{name}.avi", greys([40, 90], 48, 64), codec="mjpeg", form="yuvj444p")
    lines = ({"file_name": f"{name}.avi", "text": f"a {name}", "colour": "red"} for name in "ab")
    (data / "captioned/metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "study.toml").write_bytes(toml_text(study(Path("study"))))
    for name in ("recipe", "again", "sized"):
        words = ["encode", f"data/{name}.toml"]
        assert main(words) == 0, words
    (data / "again" / "manifest.json").unlink()
    if trained:
        assert main(TRAIN) == 0
        shutil.rmtree(data / "run" / "final")
        shutil.rmtree(data / "run" / "checkpoint-00000003")
    return folder


def header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, with the JSON in its metadata opened, and what follows it."""
    (length,) = struct.unpack("<Q", data[:8])
    found = json.loads(data[8 : 8 + length])
    for name, text in found.get("__metadata__", {}).items():
        try:
            found["__metadata__"][name] = json.loads(text)
        except ValueError:
            continue
    return found, data[8 + length :]


def with_header(found: Any, rest: bytes, text: Callable[[Any], bytes]) -> bytes:
    """The file of a header and what follows."""
    if isinstance(found, dict) and isinstance(found.get("__metadata__"), dict):
        found = {**found, "__metadata__": {
            name: each if isinstance(each, str) else text(each).decode() for name, each in found["__metadata__"].items()
        }}  # fmt: skip
    data = text(found)
    return struct.pack("<Q", len(data)) + data + rest
