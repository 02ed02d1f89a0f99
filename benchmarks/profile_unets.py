"""Where a guided step's time goes, stock and accelerated: ``python -m benchmarks.profile_unets [docs/performance.md]``.

GFLOP of all products, convolutions and attentions are counted as they run, seconds measured beside them on one thread, both sides
in turn. What limits a speed-up is read off: the work that is left, and how near to the machine's best matmul it already runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.orders import paste
from benchmarks.ratios import interleaved
from benchmarks.test_fast_unets import CASES, FRAMES, _inputs, _unet
from jvid import Guided
from jvid_models.ensembles.bundled import actions_64
from jvid_models.fast import accelerate

Sides = dict[str, Callable[[], object]]


class Flops(TorchDispatchMode):
    """Counts by torch's own formulas; its counter sets hooks on all modules, which the fast forward would not run under."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        kind = func._overloadpacket
        if kind in flop_registry:
            self.total += flop_registry[kind](*args, **(kwargs or {}), out_val=out)
        elif kind is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            self.total += 4 * args[0].numel() * args[1].shape[2]
        return out


def gigaflops(run: Callable[[], object]) -> float:
    """Of one run."""
    with Flops() as flops:
        run()
    return flops.total / 1e9


def best() -> float:
    """GFLOP a second of the machine's best product of matrices that stay in its caches, one thread."""
    rates = []
    for n, k in ((512, 192), (1024, 256), (512, 512)):
        a, b = torch.randn(n, k), torch.randn(k, k)
        seconds = interleaved({"mm": lambda a=a, b=b: a @ b}, rounds=200, warmup=20)["mm"]
        rates.append(2 * n * k * k / seconds / 1e9)
    return max(rates)


def of_ensemble(kind: str) -> Sides:
    """A guided call of the bundled ensemble's expert, stock and fast."""
    x, t = (
        torch.randn(1, 4, FRAMES, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.tensor(0.5).double(),
    )
    sides: Sides = {}
    for name, ensemble in (("stock", actions_64(fast=False)), ("fast", actions_64())):
        denoiser = Guided(ensemble.clips(kind), 2.0)
        cond = ensemble.condition(["a person running"])
        sides[name] = lambda denoiser=denoiser, cond=cond: denoiser(x, t, cond)
    return sides


def of_case(network: str, side: int, kind: str) -> Sides:
    """A guided step of one of the benchmark's networks, stock and fast."""
    unet = _unet(network, kind)
    wrapped = accelerate(unet)
    x, text, hints = _inputs(kind, side)
    t: Tensor = torch.tensor(500.0)
    return {"stock": lambda: unet(x, t, text), "fast": lambda: wrapped(x, t, text, **hints)}


def table() -> str:
    """A row for each network."""
    torch.set_num_threads(1)
    top = best()
    rows = [
        "| network, latents | GFLOP, stock | fast | ratio of work | ratio of time | GFLOP/s, stock | fast |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    cases = [("actions-64", 8)] + [(network, side) for network, side, _ in CASES]
    with torch.no_grad():
        for network, side in cases:
            for kind in ("video", "image"):
                sides = of_ensemble(kind) if network == "actions-64" else of_case(network, side, kind)
                seconds = interleaved(sides, rounds=3 if network == "Table 1" else 7)
                work = {name: gigaflops(run) for name, run in sides.items()}
                speed = {name: work[name] / seconds[name] for name in sides}
                rows.append(
                    f"| {network}, {kind}, {side}x{side} | {work['stock']:.1f} | {work['fast']:.1f} "
                    f"| {work['stock'] / work['fast']:.2f} | {seconds['stock'] / seconds['fast']:.2f} "
                    f"| {speed['stock']:.0f} | {speed['fast']:.0f} |"
                )
    rows.append("")
    rows.append(
        f"The best product of matrices of these sizes runs at {top:.0f} GFLOP/s on one thread of this machine."
    )
    return "\n".join(rows)


def main() -> None:
    """Print the table, or paste it into a page."""
    made = table()
    if sys.argv[1:]:
        paste(Path(sys.argv[1]), "profile", made)
    else:
        print(made)


if __name__ == "__main__":
    main()
