"""Draw the figures of docs/architecture.md: rooms, one step, a whole run.

    python docs/figures/draw.py            writes rooms.svg, step.svg and run.svg beside this file, and the page's table
    python docs/figures/draw.py --png      PNG files alone, to look at

The rooms and their arrows are read from the imports of jvid/. An arrow that other arrows imply is left
out, and so are those to the grey rooms, which every room may use.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "jvid"

BLUE, GREEN, YELLOW, GREY = "#dbe9f6", "#ddf0dd", "#fdf3d0", "#eeeeee"

ROOMS: Mapping[str, tuple[float, float, str]] = {
    "cli": (3.6, 0, YELLOW),
    "pipeline": (1.3, 1, YELLOW),
    "paper": (3.6, 2, YELLOW),
    "testing": (4.9, 2, YELLOW),
    "views": (6.2, 2, YELLOW),
    "ensemble": (1.3, 3, BLUE),
    "strategy": (1.3, 4, BLUE),
    "plugins": (3.2, 5, BLUE),
    "denoisers": (1.3, 6, GREEN),
    "grids": (4.0, 7, GREEN),
    "schedules": (1.3, 8, GREEN),
    "noise": (2.6, 8, GREEN),
    "solvers": (4.8, 8, GREEN),
    "postprocessors": (6.0, 8, GREEN),
    "selectors": (7.4, 8, GREEN),
    "core": (3.4, 9, GREEN),
    "documents": (0.0, 10, GREY),
    "machine": (4.5, 10, GREY),
    "media": (8.2, 10, GREY),
    "files": (-1.0, 11, GREY),
    "leftovers": (-1.0, 12, GREY),
    "refusals": (0.4, 12, GREY),
    "extras": (6.4, 12, GREY),
    "limits": (0.4, 13, GREY),
    "errors": (3.4, 14, GREY),
}
"""Where each room is drawn, and its colour: people, names, mathematics, ground."""


def rooms() -> dict[str, set[str]]:
    """The rooms of jvid with those that they import from, wherever in a file."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        arrows = found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "jvid":
                names = str(node.module).split(".")[1:] or [alias.name for alias in node.names]
                arrows |= {name for name in names[:1] if name != room and not name.startswith("__")}
    return found


def reduced(arrows: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Without the arrows that a longer way implies."""

    def reached(name: str) -> set[str]:
        return {far for near in arrows[name] for far in {near, *reached(near)}}

    return {
        name: {other for other in others if not any(other in reached(near) for near in others)}
        for name, others in arrows.items()
    }


class Canvas:
    """Boxes and arrows in inches, y downwards."""

    def __init__(self, width: float, height: float) -> None:
        self.figure, self.axes = plt.subplots(figsize=(width, height))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")
        self.figure.subplots_adjust(0, 0, 1, 1)
        self.boxes: dict[str, tuple[float, float, float, float]] = {}

    def box(
        self, key: str, x: float, y: float, text: str, colour: str, width: float = 1.9, height: float = 0.55
    ) -> None:
        """A box around ``(x, y)``."""
        self.boxes[key] = (x, y, width, height)
        self.axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2), width, height,
                boxstyle="round,pad=0,rounding_size=0.08", facecolor=colour, edgecolor="#444444", linewidth=0.9, zorder=3,
            )
        )  # fmt: skip
        self.axes.text(x, y, text, ha="center", va="center", fontsize=9, zorder=4, linespacing=1.35)

    def arrow(
        self, one: str, other: str, text: str = "", ends: str = "", bend: float = 0.0, **style: Any
    ) -> None:
        """From one box to another; ``ends`` names the sides, such as "rl" from the right to the left."""
        start, end = self._ends(one, other, ends)
        style = {"color": "#444444", "linewidth": 1.0, **style}
        self.axes.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle="-|>", mutation_scale=10, shrinkA=0, shrinkB=0,
                connectionstyle=f"arc3,rad={bend}", zorder=2, **style,
            )
        )  # fmt: skip
        if text:
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            self.note(x - bend * (end[1] - start[1]) / 2, y + bend * (end[0] - start[0]) / 2, text)

    def note(self, x: float, y: float, text: str, **style: Any) -> None:
        """Small text on a white ground."""
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
        style = {"ha": "center", "va": "center", "fontsize": 8, "color": "#333333", **style}
        self.axes.text(x, y, text, bbox=ground, zorder=5, linespacing=1.3, **style)

    def save(self, name: str, png: bool) -> Path:
        """Write the picture beside this file."""
        path = HERE / f"{name}.{'png' if png else 'svg'}"
        self.figure.savefig(path, dpi=110, facecolor="white", **({} if png else {"metadata": {"Date": None}}))
        plt.close(self.figure)
        return path

    def _ends(self, one: str, other: str, ends: str) -> tuple[tuple[float, float], tuple[float, float]]:
        (x, y, w, h), (a, b, v, g) = self.boxes[one], self.boxes[other]
        if not ends:
            ends = "bt" if b > y + 0.1 else "tb" if b < y - 0.1 else "rl" if a > x else "lr"
        sides = {"t": (0, -1), "b": (0, 1), "l": (-1, 0), "r": (1, 0)}
        (dx, dy), (da, db) = sides[ends[0]], sides[ends[1]]
        return (x + dx * w / 2, y + dy * h / 2), (a + da * v / 2, b + db * g / 2)


def draw_rooms() -> Canvas:
    """The rooms of jvid in their layers."""
    canvas = Canvas(11.5, 9.6)
    for name, (column, row, colour) in ROOMS.items():
        canvas.box(name, 1.75 + 1.1 * column, 0.45 + 0.67 * row, name, colour, 1.12, 0.36)
    for name, others in reduced(rooms()).items():
        for other in sorted(others):
            if ROOMS[name][2] == GREY or ROOMS[other][2] != GREY:
                canvas.arrow(name, other, color="#888888", linewidth=0.8)
    return canvas


def draw_step() -> Canvas:
    """One step of a run."""
    canvas = Canvas(10.6, 5.9)
    canvas.box("x", 1.2, 3.0, "latents x\nat step.start", GREY, height=0.7)
    canvas.box("plan", 4.2, 1.75, "Plan\nstep.weights", BLUE, height=0.7)
    canvas.box("selector", 4.2, 0.6, "Selector(step, u)\nonce, before the run", BLUE, 2.1, 0.7)
    canvas.box("solver", 4.2, 3.0, "Solver.step\n(x, step, denoise, noise, memory)", GREEN, 2.7, 0.8)
    canvas.box("out", 4.2, 5.2, "latents x at step.end,\nnew memory: a State", GREY, 2.4, 0.75)
    canvas.box(
        "run",
        7.9,
        1.75,
        "Run: for each expert k of step.weights\nx_0 = sum of w_k D_k(x, t, cond_k)",
        GREEN,
        3.6,
        0.75,
    )
    canvas.box("denoiser", 7.9, 0.6, "Bridged( wrappers( Framewise( network )))", GREEN, 3.6)
    canvas.box(
        "noise", 7.9, 4.1, "noise of the expert with the largest weight\nz = N(shape, draw)", GREEN, 3.6, 0.75
    )
    canvas.box("keyed", 7.9, 5.3, "keyed draws: N(0, 1) by\n(clip seed, step, key, name)", GREEN, 3.6, 0.75)
    canvas.arrow("selector", "plan", "u keyed by plan seed", ends="bt")
    canvas.arrow("x", "solver", ends="rl")
    canvas.arrow("plan", "solver", "which experts", ends="bt")
    canvas.arrow("solver", "run", "denoise(x, level)", ends="rl")
    canvas.arrow("run", "denoiser", "only those with weight", ends="tb")
    canvas.arrow("solver", "noise", "noise(key)", ends="rl")
    canvas.arrow("noise", "keyed", "draw(name, shape)", ends="bt")
    canvas.arrow("solver", "out", ends="bt")
    canvas.arrow("out", "x", "next step", ends="lb", bend=-0.25)
    return canvas


def draw_run() -> Canvas:
    """From prompts to files."""
    canvas = Canvas(10.6, 7.4)
    canvas.box("options", 1.5, 0.6, "options of the command,\nor values in Python", YELLOW, 2.3, 0.7)
    canvas.box("again", 1.5, 4.2, "a file of --again\n(Record)", YELLOW, 2.3, 0.7)
    canvas.box("source", 4.9, 0.6, "Source\nensemble.source", BLUE, 2.0, 0.7)
    canvas.box("strategy", 4.9, 2.2, "Strategy, changed by options\nstrategy", BLUE, 2.6, 0.7)
    canvas.box("clips", 1.5, 2.2, "clips: prompt and seed\ncli.prompts", YELLOW, 2.3, 0.7)
    canvas.box(
        "ensemble", 8.6, 0.6, "Ensemble: named experts,\nconditioners, codec (deferred)", BLUE, 3.0, 0.7
    )
    canvas.box("composition", 8.6, 2.2, "Composition\nloads each component once", BLUE, 3.0, 0.7)
    canvas.box("sampler", 8.6, 3.6, "Sampler, Plan and conditions\ncore", GREEN, 3.0, 0.7)
    canvas.box(
        "batches", 4.9, 3.6, "batches, by the bytes of a clip\npipeline.batches, machine", YELLOW, 2.6, 0.7
    )
    canvas.box("make", 4.9, 5.0, "pipeline.make\nsampler.trace, step by step", YELLOW, 2.6, 0.7)
    canvas.box("finish", 8.6, 5.0, "latents\nafter the postprocessors", GREY, 3.0, 0.7)
    canvas.box(
        "write", 8.6, 6.6, "pipeline.write: codec.decode,\nmedia, one clip at a time", YELLOW, 3.0, 0.7
    )
    canvas.box("file", 4.9, 6.6, "file: clips and a Record\nthat makes them again", GREY, 2.6, 0.7)
    canvas.arrow("options", "source", ends="rl")
    canvas.arrow("options", "strategy", ends="rl")
    canvas.arrow("options", "clips", ends="bt")
    canvas.arrow("again", "clips", ends="tb")
    canvas.arrow("again", "strategy", ends="rl")
    canvas.arrow("source", "ensemble", "load", ends="rl")
    canvas.arrow("ensemble", "composition", ends="bt")
    canvas.arrow("strategy", "composition", ends="rl")
    canvas.arrow("composition", "sampler", "sampler(), condition(prompts)", ends="bt")
    canvas.arrow("clips", "batches", ends="rl")
    canvas.arrow("sampler", "batches", ends="lr")
    canvas.arrow("batches", "make", ends="bt")
    canvas.arrow("sampler", "make", ends="bt")
    canvas.arrow("make", "finish", ends="rl")
    canvas.arrow("finish", "write", ends="bt")
    canvas.arrow("write", "file", ends="lr")
    canvas.arrow("file", "again", ends="lb", bend=-0.25)
    return canvas


def fill_table(page: Path) -> None:
    """Write what each room imports from into the last column of the page's table."""
    arrows = rooms()

    def row(found: re.Match[str]) -> str:
        others = ", ".join(f"`{name}`" for name in sorted(arrows[found[1]]))
        return f"| `{found[1]}` | {found[2]} | {others} |"

    head, table, rest = re.split(
        r"(<!-- rooms -->.*<!-- end of rooms -->)", page.read_text("utf-8"), flags=re.DOTALL
    )
    table = re.sub(r"(?m)^\| `(\w+)` \| (.*?) \| .*\|$", row, table)
    page.write_text(head + table + rest, encoding="utf-8")


if __name__ == "__main__":
    plt.rcParams.update({"svg.hashsalt": "jvid", "svg.fonttype": "none", "font.family": "sans-serif"})
    for name, drawn in (("rooms", draw_rooms), ("step", draw_step), ("run", draw_run)):
        print(drawn().save(name, "--png" in sys.argv))
    if "--png" not in sys.argv:
        fill_table(HERE.parent / "architecture.md")
