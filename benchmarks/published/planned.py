"""The plan of a model of published sizes, of whose weights nothing is there: Wan 2.1 14B.

``python -m benchmarks.published.planned`` writes a folder of its configurations and shows ``jvid plan`` of 81 frames of 480x832:
the bytes of the network and the encoder, and what the plan itself took.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.published.tiny import build

__all__ = ["write_configurations"]


def write_configurations(folder: Path, layers: int = 40, encoder_layers: int = 24) -> None:
    """Write the folder of Wan 2.1 14B without weights; of another depth for a smaller plan."""
    build("WanPipeline").pipe.save_pretrained(folder)
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    _edit(
        folder / "transformer",
        num_attention_heads=40,
        attention_head_dim=128,
        num_layers=layers,
        ffn_dim=13824,
        text_dim=4096,
        freq_dim=256,
        rope_max_seq_len=1024,
    )
    _edit(
        folder / "text_encoder",
        d_model=4096,
        d_ff=10240,
        d_kv=64,
        num_heads=64,
        num_layers=encoder_layers,
        vocab_size=256384,
    )
    _edit(folder / "vae", base_dim=96, dim_mult=[1, 2, 4, 4], num_res_blocks=2)


def _edit(part: Path, **values: Any) -> None:
    file = part / "config.json"
    stated = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**stated, **values}), encoding="utf-8")


def main() -> int:
    """Show the plan; the exit status is that of ``jvid plan``."""
    from jvid.cli import main as command

    with tempfile.TemporaryDirectory() as folder:
        write_configurations(Path(folder))
        began, before = time.process_time(), _resident()
        status = command(["plan", "--ensemble", f"{folder}:height=480,width=832,num_frames=81"])
        print(
            f"\nthe plan took {time.process_time() - began:.0f} processor seconds; resident memory rose by "
            f"{(_resident() - before) / 1e9:.1f} GB at most"
        )
    return status


def _resident() -> int:
    """The most bytes of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
