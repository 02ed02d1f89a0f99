"""Clips, plans and noise of fixed seeds, reduced to digests: ``python -m tests.make_digests`` writes ``digests.json``.

The file records what a commit computed, so that a later change of code cannot change the results unseen. Run the script
only on purpose: where a change of results is meant, and the change log says so.

Bits depend on the processor and on the build of torch, therefore the file names both. Each entry holds the SHA-256
of all bytes and a few dozen of the values, for a comparison on another machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

import jvid
from jvid.cli import main
from jvid.core.keyed import keyed_normal, keyed_uniform

FILE = Path(__file__).with_name("digests.json")
KEPT = 36

WAVE, RUN = "A person waving two hands", "A human running"
PIECEWISE = "piecewise-affine:t_v=.1,t_e=.5,p_e=.4,p_f=.2"
BLEND = "blend:experts=video+image,knots=0:1:0+1:.4:.6"
BOUNDARY = "boundary:experts=video+image,at=.5"
# Unguided, a call costs half; the image expert predicts after the middle, so that the history of both is used.
SOLVER = ["--guidance", "1", "--steps", "4", "--grid", "trailing", "--selector", BOUNDARY]
SOLVERS = [
    "ddpm", "ddim", "euler", "euler-ancestral", "heun", "pndm", "dpmpp-2m", "dpmpp-2m-sde", "unipc",
]  # fmt: skip

CLIPS: dict[str, list[str]] = {
    "recommended": [WAVE],
    "paper": [WAVE, "--paper", "64", "--steps", "6"],
    **{f"solver {name}": [WAVE, "--solver", name, *SOLVER] for name in SOLVERS},
    "solver options": [WAVE, "--solver", "ddim:eta=.6", *SOLVER],
    "noise": [
        WAVE, "--paper", "64", "--steps", "3", "--gamma", "video=.9,image=.3", "--ratio", "video=.2,image=.6",
        "--selector", "cycle:experts=image+video", "--guidance", "1",
    ],
    "one number of noise": [
        WAVE, "--paper", "64", "--steps", "2", "--gamma", ".5", "--ratio", ".25",
        "--selector", "always:name=image", "--guidance", "1", "--smooth", "none",
    ],
    "gaussian": [
        WAVE, "--steps", "1", "--smooth", "gaussian:std=1", "--selector", "always:name=image", "--guidance", "1",
    ],
    "uniform": [
        WAVE, "--steps", "1", "--smooth", "uniform:size=3", "--selector", "always:name=image", "--guidance", "1",
    ],
    "guidance": [
        WAVE, "--steps", "4", "--selector", BOUNDARY,
        "--guidance", "video:scale=3,low=.2,high=.8,rescale=.5", "--guidance", "image=1.5",
    ],
    "windows": [WAVE, "--frames", "20", "--steps", "2", "--guidance", "1"],
    "batch": [WAVE, RUN, "--steps", "2", "--batch", "2", "--selector", "cycle:experts=video+image"],
    "blend": [WAVE, "--steps", "2", "--selector", BLEND, "--guidance", "1"],
    "plan": [WAVE, "--plan", "replayed.json", "--guidance", "1"],
    "strategy": [WAVE, "--strategy", "strategy.json", "--steps", "2"],
}  # fmt: skip
"""Arguments of ``jvid sample``. ``replayed.json`` and ``strategy.json`` are files of the folder it runs in."""

REPLAYED = ["--paper", "64", "--steps", "3", "--plan-seed", "5"]
STRATEGY = Path(__file__).resolve().parents[1] / "recipes" / "actions-64" / "strategy.json"

PLANS: dict[str, list[str]] = {
    "recommended": [],
    "paper 64": ["--paper", "64"],
    "paper 128": ["--paper", "128"],
    "paper 256": ["--paper", "256", "--plan-seed", "11"],
    "piecewise-affine": ["--selector", PIECEWISE, "--plan-seed", "1"],
    "random": ["--selector", "random:experts=video+image,probabilities=.3+.7", "--plan-seed", "2"],
    "random of a wide seed": ["--selector", "random:experts=image+video", "--plan-seed", str(2**64 + 1)],
    "boundary": ["--selector", "boundary:experts=video+image,at=.9,by=angle"],
    "boundary by timestep": ["--selector", "boundary:experts=video+image,at=400,by=timestep", "--steps", "9"],
    "cycle": ["--selector", "cycle:experts=video+image,lengths=3+2"],
    "table": ["--selector", "table:rows=video*2+image+video", "--steps", "4"],
    "blend": ["--selector", BLEND],
    "strategy": ["--strategy", "strategy.json", "--plan-seed", "3"],
    **{
        f"grid {name}": ["--grid", name, "--selector", PIECEWISE, "--steps", "8"]
        for name in ("leading", "trailing", "linspace", "karras", "by-angle", "zigzag")
    },
    "grid options": ["--grid", "karras:rho=5,sigma_min=.05,sigma_max=8", "--steps", "5"],
}  # fmt: skip
"""Arguments of ``jvid plan``."""

SEEDS = (0, 3, 2**32 + 1, 2**64 + 3)
SHAPE = (4, 5, 3, 3)
NOISES: dict[str, tuple[str, dict[str, float | str]]] = {
    "independent": ("independent", {}),
    "shared": ("shared", {"ratio": 0.4}),
    "shared at 1": ("shared", {"ratio": 1.0}),
    "scaled": ("scaled", {"gamma": 0.3, "ratio": 0.6}),
    "mixed": ("mixed", {"alpha": 1.5}),
    "progressive": ("progressive", {"alpha": 2.0}),
    "offset": ("offset", {"strength": 0.2}),
    "offset by frame": ("offset", {"strength": 0.2, "frames": "own"}),
}


def processor() -> dict[str, str]:
    """What the bits of a result depend on, besides the code."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "model": models[0] if models else platform.processor(),
        "torch": torch.__version__,
    }


def reduced(values: Any) -> dict[str, Any]:
    """The digest of an array's bytes, its shape and dtype, and at most ``KEPT`` values from its first to its last."""
    array = np.ascontiguousarray(values)
    flat = array.ravel()
    at = np.unique(np.linspace(0, flat.size - 1, min(KEPT, flat.size)).round().astype(int))
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "values": [float(value) for value in flat[at]],
    }


def differences(
    found: Mapping[str, Any], recorded: Mapping[str, Any], tolerance: float, bits: bool
) -> list[str]:
    """What differs between two reductions; ``bits`` asks for the same bytes, else values within ``tolerance``."""
    keys = ("shape", "dtype", "sha256") if bits else ("shape", "dtype")
    stated = [f"{key} {found[key]} != {recorded[key]}" for key in keys if found[key] != recorded[key]]
    if stated or len(found["values"]) != len(recorded["values"]):
        return [*stated, f"values {found['values'][:3]} ..., recorded {recorded['values'][:3]} ..."]
    errors = [abs(a - b) for a, b in zip(found["values"], recorded["values"], strict=True)]
    # A NaN is within no tolerance.
    return [] if all(error <= tolerance for error in errors) else [f"largest error {max(errors)}"]


def sampled(arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    """The latents that ``jvid sample`` writes; ``folder`` is where it runs."""
    path = folder / "clip.safetensors"
    code = main(["sample", *_in(folder, arguments), "--seed", "3", "-o", str(path)])
    assert code == 0, f"jvid sample {arguments}: exit code {code}"
    return reduced(load_file(path)["latents"])


def planned(arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    """The steps that ``jvid plan`` writes: levels as float64, and each step's weights in full."""
    steps = plan_file(arguments, folder / "plan.json")["steps"]
    levels = [
        [step[end][key] for end in ("start", "end") for key in ("t", "alpha", "sigma")] for step in steps
    ]
    weights = [{name: round(value, 9) for name, value in step["weights"].items()} for step in steps]
    choices = [sorted(row.items()) for row in weights], [step["switched"] for step in steps]
    counts = {name: round(sum(row.get(name, 0.0) for row in weights), 6) for row in weights for name in row}
    return {
        "levels": reduced(np.array(levels, np.float64)),
        "steps": len(steps),
        "switches": sum(step["switched"] for step in steps),
        "weights": dict(sorted(counts.items())),
        "choices": hashlib.sha256(json.dumps(choices).encode()).hexdigest(),
    }


def plan_file(arguments: Sequence[str], path: Path) -> dict[str, Any]:
    """What ``jvid plan`` writes to ``path``."""
    code = main(["plan", *_in(path.parent, arguments), "-o", str(path)])
    assert code == 0, f"jvid plan {arguments}: exit code {code}"
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def prepare(folder: Path) -> None:
    """Put the files that arguments name into ``folder``."""
    plan_file(REPLAYED, folder / "replayed.json")
    (folder / "strategy.json").write_bytes(STRATEGY.read_bytes())


def _in(folder: Path, arguments: Sequence[str]) -> list[str]:
    return [str(folder / word) if word.endswith(".json") else word for word in arguments]


def drawn() -> dict[str, dict[str, Any]]:
    """Keyed numbers and every noise sampler's noise, in two dtypes."""
    found = {
        "uniform": reduced([[keyed_uniform(seed, (i, "plan")) for i in range(9)] for seed in SEEDS]),
    }
    for dtype in (torch.float32, torch.float64):

        def draw(name: str, shape: Sequence[int], dtype: torch.dtype = dtype) -> Tensor:
            return keyed_normal(SEEDS, (7, "noise", name), shape[1:], dtype)

        kind = str(dtype).removeprefix("torch.")
        for step, name in ((0, "init"), (12, "noise"), (2**40, "")):
            values = keyed_normal(SEEDS, (step, name), (3, 5), dtype)
            found[f"normal {step} {name} {kind}"] = reduced(values.numpy())
        for title, (name, options) in NOISES.items():
            noise = jvid.load("noise", name, **options)
            found[f"{title} {kind}"] = reduced(noise((len(SEEDS), *SHAPE), draw).numpy())
    return found


def _write() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        found = {
            "processor": processor(),
            "clips": {case: sampled(arguments, folder) for case, arguments in CLIPS.items()},
            "plans": {case: planned(arguments, folder) for case, arguments in PLANS.items()},
            "noise": drawn(),
        }
    FILE.write_text(_text(found), encoding="utf-8")


def _text(found: Mapping[str, Any]) -> str:
    """JSON with each list on a line of its own."""
    text = json.dumps(found, indent=1)
    return re.sub(r"\[[^\]]*\]", lambda part: " ".join(part.group().split()), text) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    _write()
