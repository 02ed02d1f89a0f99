"""The pages' example of a dry run, and the paper's hours, made again."""

from __future__ import annotations

from pathlib import Path

import attrs

from jvid_training.estimate.dry_run import dry_run
from jvid_training.estimate.gpus import gpus_named
from jvid_training.estimate.page import duration, lines_of, operations
from jvid_training.recipe import load_recipe
from tests.mutants.table import pasted

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/training.md").read_text(encoding="utf-8")


def test_the_pages_example_is_what_the_command_prints() -> None:
    recipe = load_recipe(ROOT / "recipes/actions-64/video.toml")
    found = dry_run(recipe, gpus_named(["A100", "L40S", "V100"]), 0.1).estimate
    # Whether the latents are here, or what has to be assumed without them, is not the page's matter.
    lines = "\n".join([recipe.name, *lines_of(attrs.evolve(found, assumed=()))])
    assert pasted(PAGE, "dry-run", f"```text\n{lines}\n```") == PAGE, lines


def test_numbers_are_for_people() -> None:
    assert [operations(each) for each in (2.5e6, 3.14159e12, 4.5e19)] == [
        "2.5 MFLOPs",
        "3.14 TFLOPs",
        "45 EFLOPs",
    ]
    assert [duration(each) for each in (1 / 3600, 0.25, 2.5, 1234.5)] == ["1 s", "15 min", "2.5 h", "1,234 h"]
    assert [duration(each / 3600) for each in (9e-5, 0, 0.002)] == ["< 1 ms", "< 1 ms", "0.002 s"]


def test_the_papers_shares_of_the_peak_follow_from_the_operations() -> None:
    """Steps x operations of a step / (hours x 312 TFLOPS), of each row."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith(("| image, ", "| video, "))
    ]
    assert len(rows) == 6
    units = {"GFLOPs": 1e9, "TFLOPs": 1e12, "PFLOPs": 1e15}
    for name, sample, step, steps, hours, share, at_30 in rows:
        per_step, each = (float(cell.split()[0]) * units[cell.split()[1]] for cell in (step, sample))
        run = per_step * int(steps.replace(",", ""))
        spent = float(hours.replace(",", "")) * 3600 * 312e12
        assert abs(run / spent - float(share.split()[0]) / 100) < 0.0006, name
        assert abs(run / (0.3 * 312e12 * 3600) / float(at_30.replace(",", "")) - 1) < 0.01, name
        assert 2.5 < per_step / (1024 * each) < 3.1, (
            name
        )  # a backward pass is two forward ones, less the inputs' gradients
