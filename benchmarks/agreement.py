"""What jvid's solvers and those of other libraries make of one problem: ``python -m benchmarks.agreement``.

    x_0 is -1 or +1 with deviation 1/4 at each element; its denoiser is known in closed form
    20 steps, sigma from 10 to 0.1 in equal ratios, alpha = 1; the same start and the same noise for all

The first table compares formulas step for step: "same formula" means that only rounding may differ. The second measures
each sampler's order of convergence on the Gaussian problem, whose solution is known. Both go into docs/agreement.md;
a library that is not installed is left out, and named.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.orders import F64, paste, slope
from benchmarks.peers import PEERS, Problem
from jvid.core.protocols import Level, Step
from jvid.plugins.registry import load

PAGE = Path(__file__).parents[1] / "docs" / "agreement.md"
HIGH, LOW = 10.0, 0.1
STEPS = 20

# The peer's sampler, ours, whether the formulas are the same, and what differs where they are not.
ROWS: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("azula 0.11.1", "DDPMSampler", "ddpm", {}, ""),
    ("azula 0.11.1", "DDIMSampler", "ddim", {}, ""),
    ("azula 0.11.1", "EulerSampler", "euler", {}, ""),
    ("azula 0.11.1", "HeunSampler", "heun", {}, ""),
    (
        "azula 0.11.1",
        "xEABSampler(2)",
        "dpmpp-2m",
        {},
        "it integrates exactly where 2M uses a difference quotient",
    ),
    ("k-diffusion 0.1.1", "sample_euler", "euler", {}, ""),
    ("k-diffusion 0.1.1", "sample_euler_ancestral", "euler-ancestral", {}, ""),
    ("k-diffusion 0.1.1", "sample_heun", "heun", {}, ""),
    ("k-diffusion 0.1.1", "sample_dpmpp_2m", "dpmpp-2m", {}, ""),
    ("k-diffusion 0.1.1", "sample_dpmpp_2m_sde(midpoint)", "dpmpp-2m-sde", {}, ""),
    ("k-diffusion 0.1.1", "sample_dpmpp_2m_sde(heun)", "dpmpp-2m-sde", {"form": "heun"}, ""),
    ("smalldiffusion 0.5.0", "samples(gam=1, mu=0.5), DDPM", "ddpm", {}, ""),
    ("smalldiffusion 0.5.0", "samples(gam=1, mu=0), DDIM", "ddim", {}, ""),
]


class Exploding:
    """sigma from LOW to HIGH in equal ratios, alpha 1."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """t ``(*)`` -> alpha, sigma ``(*)``."""
        return torch.ones_like(t), LOW * (HIGH / LOW) ** t

    def time_at(self, angle: Tensor) -> Tensor:
        """The inverse of the angle."""
        return ((angle.tan() / LOW).log() / math.log(HIGH / LOW)).clamp(0.0, 1.0)


def two_modes(x: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 | x] of two modes at -1 and 1, deviation 1/4."""
    variance = 0.25**2 + sigma**2
    gain = 0.25**2 / variance
    return x * gain + torch.tanh(x / variance) * (1.0 - gain)


def gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """E[x_0 | x] of N(0.3, 0.5^2)."""
    return 0.3 + 0.25 / (0.25 + sigma**2) * (x - 0.3)


def flow(x: Tensor) -> Tensor:
    """Where the probability-flow ODE of ``gaussian`` takes x from HIGH to LOW."""
    return 0.3 + math.sqrt((0.25 + LOW**2) / (0.25 + HIGH**2)) * (x - 0.3)


def problem(oracle: Callable[[Tensor, Tensor], Tensor], steps: int) -> Problem:
    """The same start and noise for everybody."""
    generator = torch.Generator().manual_seed(0)
    sigmas = LOW * (HIGH / LOW) ** torch.linspace(1, 0, steps + 1, dtype=F64)
    x = HIGH * torch.randn(4, 64, generator=generator, dtype=F64)
    noises = [torch.randn(4, 64, generator=generator, dtype=F64) for _ in range(steps)]
    return Problem(oracle, sigmas, x, noises)


def ours(solver: Any, given: Problem) -> Tensor:
    """Our solver on the problem, as a sampler would drive it."""
    schedule = Exploding()
    n = len(given.sigmas) - 1
    levels = [Level(1.0 - i / n, 1.0, sigma) for i, sigma in enumerate(given.sigmas.tolist())]

    def denoise(x: Tensor, level: Level) -> Tensor:
        return given.oracle(x, torch.tensor(level.sigma, dtype=F64))

    # Latents have five axes.
    x = given.x.view(*given.x.shape, 1, 1, 1)
    memory = solver.init()
    for i, (start, end) in enumerate(pairwise(levels)):
        step = Step(i, n, start, end, {"peer": 1.0}, schedule=schedule)
        x, memory = solver.step(
            x, step, denoise, lambda key, i=i, like=x: given.noises[i].view_as(like), memory
        )
    return x.view_as(given.x)


def agreement() -> Iterable[tuple[str, str, str, float | str, str]]:
    """Library, its sampler, ours, the largest difference, remark."""
    given = problem(two_modes, STEPS)
    for library, name, solver, options, remark in ROWS:
        text = f"{solver}:{','.join(f'{k}={v}' for k, v in options.items())}" if options else solver
        try:
            theirs = PEERS[library][name](given)
        except ImportError as error:
            yield library, name, text, f"not installed ({error})", remark
            continue
        difference = (theirs - ours(load("solver", solver, **options), given)).abs().max().item()
        yield library, name, text, difference, remark or "same formula"


def order(run: Callable[[Problem], Tensor], steps: Iterable[int] = (40, 80, 160)) -> float:
    """The slope of log error over log step between the two finest grids, on the Gaussian problem."""
    errors = []
    for n in steps:
        given = problem(gaussian, n)
        errors.append((run(given) - flow(given.x)).abs().max().item())
    return slope(errors)


# Deterministic samplers; what their authors say of the order, or what the method's name means.
ORDERS = [
    ("jvid", "ddim", 1), ("jvid", "euler", 1), ("jvid", "heun", 2), ("jvid", "dpmpp-2m", 2), ("jvid", "unipc", 2),
    ("azula 0.11.1", "DDIMSampler", 1), ("azula 0.11.1", "HeunSampler", 2), ("azula 0.11.1", "zABSampler(2)", 2),
    ("azula 0.11.1", "xEABSampler(2)", 2), ("azula 0.11.1", "REABSampler(2)", 2),
    ("k-diffusion 0.1.1", "sample_euler", 1), ("k-diffusion 0.1.1", "sample_heun", 2),
    ("k-diffusion 0.1.1", "sample_lms(2)", 2), ("k-diffusion 0.1.1", "sample_dpmpp_2m", 2),
    ("smalldiffusion 0.5.0", "samples(gam=2, mu=0), accelerated", 2),
]  # fmt: skip


def orders() -> Iterable[tuple[str, str, int, float | str]]:
    """Library, its sampler, the order that its name claims, the measured one."""
    for library, name, claimed in ORDERS:
        if library == "jvid":
            solver = load("solver", name)
            yield library, name, claimed, order(lambda given, solver=solver: ours(solver, given))
            continue
        try:
            yield library, name, claimed, order(PEERS[library][name])
        except ImportError as error:
            yield library, name, claimed, f"not installed ({error})"


def tables() -> tuple[str, str]:
    """Both tables as Markdown."""
    lines = ["| library | its sampler | jvid | largest difference | |", "| --- | --- | --- | --- | --- |"]
    for library, name, solver, difference, remark in agreement():
        shown = f"{difference:.1e}" if isinstance(difference, float) else difference
        lines.append(f"| {library} | `{name}` | `{solver}` | {shown} | {remark} |")
    rates = ["| library | sampler | claimed | measured |", "| --- | --- | --- | --- |"]
    for library, name, claimed, measured in orders():
        shown = f"{measured:.2f}" if isinstance(measured, float) else measured
        rates.append(f"| {library} | `{name}` | {claimed} | {shown} |")
    return "\n".join(lines), "\n".join(rates)


def main() -> None:
    """Print the tables, and write them into the page if requested."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agreement", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    same, rates = tables()
    print(same, rates, sep="\n\n")
    if parser.parse_args().write:
        paste(PAGE, "agreement", same)
        paste(PAGE, "orders", rates)


if __name__ == "__main__":
    main()
