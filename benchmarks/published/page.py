"""docs/published.md: the tables of the census, written whole or by class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.published.census import BOUND, Finding, equal_classes
from benchmarks.published.overhead import Overhead
from jvid.files import whole_file

__all__ = ["PAGE", "findings_of", "markdown", "write"]

PAGE = Path(__file__).parents[2] / "docs" / "published.md"

TEXT = """# Published pipelines

A pipeline of diffusers is an expert as it is: `jvid_models.adapters.pipelines.from_pipeline(pipe)` evaluates the pipeline's own
code once a call, its guidance included. This page compares every class of diffusers {version} that makes pictures or clips with
diffusers' own run. The classes start from a text, from a picture or a clip that they continue or change, or use a ControlNet, an
adapter or another control. Inpainting, enlarging and editing by instructions are not counted.

* **Setting**: tiny random weights, float32, the pipeline's own grid, a first-order step.
* **error** is relative to the largest value that the decoder gets. *equal* is below {bound:g}.
* **3 % off** and **prompt**: how much results differ with times 3 % off, and with another prompt.
* Runs that start from a picture or a clip (`strength`) start with jvid's own latents of it, alpha x_0 + sigma z, with the z that
  the pipeline draws.
* Schedulers with memory or noise of their own (UniPC, DPM-Solver++, PNDM, DDPM, Euler ancestral, LCM) are set to first order, or
  to DDIM on the same levels, without clipping. [Pipelines](pipelines.md) names the schedulers that have an equal solver.
* DDIM's "linspace" spacing is set to "trailing": with linspace diffusers steps to levels that it does not visit.
* *Steps stated*: a run whose number of steps is an argument.
* Noise that a scheduler's own step draws is left out (Wuerstchen, SCM, learned variances).

`python -m benchmarks.published --write` writes this page; with names of classes it writes their rows alone. Classes that need a
package (sentencepiece, opencv-python-headless) are compared where it is installed.

{tally}

Classes that are not equal here are refused, unless `untested=True` is given.

## What an evaluation costs

The table has CPU time on one core, with a network that costs nothing. Components have as many modules as the published ones. A
*turn* is one iteration of the pipeline's own loop. `python -m benchmarks.published.overhead` measures it.

| latents | values | evaluation | turn of the pipeline | learned once |
| --- | --- | --- | --- | --- |
{overheads}

## Classes

| class | outcome | error | 3 % off | prompt | runs by | evaluation, ms | reason |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}
"""


_CELLS = re.compile(
    r"^\| ([\w:.-]+) \| (equal|refused|differs|not built) \|" + r" (.*?) \|" * 6 + "$", re.MULTILINE
)
_OVERHEADS = re.compile(r"\| learned once \|\n\|[- |]+\|\n((?:\|.*\|\n)+)")


def findings_of(page: str) -> list[Finding]:
    """The findings that a page has, with the digits that it has."""
    found = []
    for name, outcome, *numbers, runs, cost, reason in _CELLS.findall(page):
        error, shifted, prompt = (float(number) if number else None for number in numbers)
        milliseconds = float(cost) if cost else None
        found.append(
            Finding(name, outcome, reason.replace("\\|", "|"), error, shifted, prompt, runs, milliseconds)
        )
    return found


def markdown(findings: Sequence[Finding], overheads: str) -> str:
    """The page; ``overheads``: the rows of its first table."""
    counts = Counter(each.outcome for each in findings)
    classes = {each.name.partition(":")[0] for each in findings}
    built = {each.name.partition(":")[0] for each in findings if each.outcome != "not built"}
    equal = equal_classes(findings)
    tally = (
        f"{len(classes)} classes: {len(built)} are built here, {len(equal)} of these are equal "
        f"({len(equal) / max(len(built), 1):.0%}). "
        f"With variants: {counts['equal']} equal, {counts['refused']} refused, {counts['differs']} different, "
        f"{counts['not built']} not built."
    )
    return TEXT.format(
        version=version("diffusers"),
        bound=BOUND,
        tally=tally,
        overheads=overheads,
        rows="\n".join(map(_row, sorted(findings, key=lambda each: (each.outcome, each.name)))),
    )


def write(findings: Sequence[Finding], overheads: dict[str, Overhead] | None = None) -> None:
    """Write the page; without ``overheads`` the rows of the findings alone, the others stay."""
    if overheads is None:
        page = PAGE.read_text(encoding="utf-8")
        merged = {each.name: each for each in [*findings_of(page), *findings]}
        findings, kept = list(merged.values()), _OVERHEADS.search(page)
        rows = "" if kept is None else kept[1].rstrip("\n")
    else:
        rows = "\n".join(
            f"| {name} | {each.values / 1e6:.1f} M | {each.evaluation:.0f} ms | {each.turn:.0f} ms | "
            f"{each.learning / 1e3:.1f} s |"
            for name, each in overheads.items()
        )
    with whole_file(PAGE) as file:
        Path(file).write_text(markdown(findings, rows), encoding="utf-8")


def _row(each: Finding) -> str:
    numbers = (each.error, each.shifted, each.prompt)
    shown = ["" if value is None else f"{value:.0e}" for value in numbers]
    cost = "" if each.milliseconds is None else f"{each.milliseconds:.0f}"
    reason = each.reason.replace("|", "\\|")
    return f"| {each.name} | {each.outcome} | {' | '.join(shown)} | {each.runs} | {cost} | {reason} |"
