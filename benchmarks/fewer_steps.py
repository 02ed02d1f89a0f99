"""Quality against network cost with fewer steps: ``python -m benchmarks.fewer_steps [docs/performance.md]``.

    error  = |x - x*| / sqrt(elements), of the latents before smoothing
    x*     = the same solver family's fine run from the same noise: deterministic ones against UniPC at 250 steps,
             stochastic ones against DDPM at 500 steps on the same Brownian path (benchmarks/brownian.py)
    cost   = sum over experts of calls x seconds per guided call

Two figures that need no common path are beside it, each divided by that of x*: detail, the RMS of differences between
neighbours in a frame, and motion, that between frames. Who predicts is fixed in progress, so that it means the same at any
number of steps: the video model first and the image model for the rest, in about the shares of the strategy.

Figures (no latents) are kept in runs/fewer_steps.json after each run, and an interrupted measurement goes on from there; delete
the file to measure anew. With a page the section between its marks is replaced, and the figure drawn beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.brownian import BrownianPath
from benchmarks.fewer_steps_page import FIGURE, draw, section
from benchmarks.fewer_steps_rows import EXPERTS, FINE, Case, Row, cases, plan_of
from benchmarks.orders import paste, run
from benchmarks.paper_strategy import paper_strategy
from benchmarks.ratios import interleaved
from jvid.core.keyed import keyed_normal
from jvid.core.levels import level_at
from jvid.ensemble import Ensemble, Source, compose
from jvid.plugins.registry import load

RESULTS = Path(__file__).parents[1] / "runs" / "fewer_steps.json"


def figures_of(x: Tensor, fine: Tensor) -> dict[str, float]:
    """``(b c f h w)`` and its reference -> the error, and detail and motion over the reference's."""
    return {
        "error": _rms(x - fine),
        "detail": _detail(x) / _detail(fine),
        "motion": _rms(x.diff(dim=2)) / _rms(fine.diff(dim=2)),
    }


class Measurement:
    """One clip of a case: its networks' condition, its noise, its references, made when they are first needed."""

    def __init__(self, ensemble: Ensemble, denoisers: Mapping[str, Any], case: Case, seed: int) -> None:
        self.ensemble, self.denoisers, self.case, self.seed = ensemble, denoisers, case, seed
        self.prompt = ensemble.prompts[(1 + 9 * seed) % len(ensemble.prompts)]
        self.cond = ensemble.condition([self.prompt])
        self.path = BrownianPath(ensemble.schedule, [seed], ensemble.shape)
        self._fine: dict[bool, Tensor] = {}

    def latents(self, row: Row) -> Tensor:
        """The finished latents of a row, ``(1 c f h w)``."""
        steps = plan_of(self.case, row, self.ensemble.schedule).steps

        def noise(index: int) -> Tensor:
            return self.path.increment(steps[index]) * self.case.gamma.get(steps[index].expert, 1.0)

        # Grids begin at different levels. Where noise is nearly all a flow keeps eps, and a walk keeps to its path.
        first = self.path.initial(steps[0].start if row.stochastic else level_at(self.ensemble.schedule, 1.0))
        with torch.no_grad():
            return run(load("solver", row.solver), self.denoisers, steps, first, noise, self.cond)

    def fine(self, stochastic: bool) -> Tensor:
        """The reference of stochastic or of deterministic rows."""
        if stochastic not in self._fine:
            self._fine[stochastic] = self.latents(FINE[stochastic])
        return self._fine[stochastic]

    def figures(self, row: Row) -> dict[str, float]:
        """The figures of a row against its reference."""
        return figures_of(self.latents(row), self.fine(row.stochastic))

    def key(self, row: Row | None) -> str:
        """Where the figures of a row, or the limits, are kept."""
        return f"{self.case.name} | {row or 'limits'} | {self.prompt}, seed {self.seed}"

    def limits(self) -> dict[str, float]:
        """The deterministic reference against the stochastic one: two samples, so that their distance is no error."""
        return figures_of(self.fine(False), self.fine(True))


def seconds_of(ensemble: Ensemble, denoisers: Mapping[str, Any]) -> dict[str, float]:
    """Seconds per guided call of each expert, one clip, in turn with the other."""
    cond = ensemble.condition([ensemble.prompts[0]])
    x, t = keyed_normal([0], ("timing",), ensemble.shape), torch.tensor(0.5, dtype=torch.float64)

    def call(name: str) -> Any:
        return lambda: denoisers[name](x, t, cond)

    with torch.no_grad():
        return interleaved({name: call(name) for name in EXPERTS}, rounds=9)


def measure(ensemble: Ensemble, clips: int, path: Path) -> None:
    """Fill ``path`` with what is not in it yet: all cases with one clip, then the mixture with further ones."""
    denoisers = {
        name: expert.denoiser for name, expert in compose(paper_strategy(), ensemble).experts.items()
    }
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    known.setdefault("seconds", seconds_of(ensemble, denoisers))
    start = time.perf_counter()
    every = cases()
    for case, seed in [*((case, 0) for case in every), *((every[0], seed) for seed in range(1, clips))]:
        measurement = Measurement(ensemble, denoisers, case, seed)
        wanted: list[Row | None] = [*case.rows, None]
        for row in wanted:
            key = measurement.key(row)
            if key in known:
                continue
            known[key] = measurement.limits() if row is None else measurement.figures(row)
            path.write_text(json.dumps(known, indent=1))
            values = ", ".join(f"{name} {value:.3f}" for name, value in known[key].items())
            print(f"{time.perf_counter() - start:6.0f} s  {key}: {values}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, print the section, and write it into a page if one is named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fewer_steps", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "page", nargs="?", type=Path, help="a page with the marks, such as docs/performance.md"
    )
    parser.add_argument("--ensemble", "--pair", default="actions-64")
    parser.add_argument("--clips", type=int, default=1, help="of the mixture; each expert alone has one")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    ensemble = Source(options.ensemble).load()
    measure(ensemble, options.clips, options.results)
    known = json.loads(options.results.read_text())
    text = section(known, cases(), ensemble.schedule)
    print(text)
    if options.page:
        paste(options.page, "fewer steps", text)
        draw(known, cases(), ensemble.schedule, options.page.parent / FIGURE)


def _rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def _detail(x: Tensor) -> float:
    return (_rms(x.diff(dim=3)) ** 2 + _rms(x.diff(dim=4)) ** 2) ** 0.5


if __name__ == "__main__":
    main()
