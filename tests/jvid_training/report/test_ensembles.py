"""Pages about ensembles of any experts, of ensembles that are not here, and of sets of version 0.1."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from jvid.cli import main
from jvid.ensemble import Source
from jvid.plugins import builtins
from jvid.plugins.registry import Registry, using
from jvid.strategy import ExpertStrategy, Strategy
from jvid_training.generation import ClipSet, generate
from jvid_training.report.commands import file_name
from jvid_training.report.inputs import read
from jvid_training.report.page import page
from tests.report_tools import Page, check_self_contained, set_of_version_0_1, toy_sets
from tests.toy import toy_registry


@pytest.fixture(scope="module", autouse=True)
def _toy() -> Iterator[None]:
    with using(toy_registry()):
        yield


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return toy_sets(tmp_path_factory)


THREE = Source(
    experts={
        "high": "gaussian:mean=0.5,std=0.5,schedule=cosine",
        "low": "gaussian:std=0.2,schedule=cosine",
        "still": "gaussian:std=0.8,schedule=cosine,denoises=frames",
    },
    codec="pixels", shape=(1, 4, 8, 8),
)  # fmt: skip
"""An ensemble composed on the spot, which takes any prompt."""


def test_sets_of_three_experts_beside_each_other(tmp_path: Path) -> None:
    """Each expert has one colour on the page; the commands make the sets again."""
    cycle = Strategy("cycle:experts=low+still", steps=4, experts={"low": ExpertStrategy((), "mixed:alpha=1")})
    for name, strategy in (("cycle", cycle), ("still", attrs.evolve(cycle, selector="always:name=still"))):
        generate(tmp_path / name, num=2, ensemble=THREE, strategy=strategy, prompts=["Anything"], batch=2)
    folders = [tmp_path / "cycle", tmp_path / "still"]
    content = read(folders, clips=2, title="Three")
    assert [row.ensemble.experts for row in content.rows] == [("high", "low", "still")] * 2
    text = page(content)
    check_self_contained(text)
    parsed = Page(text)
    assert [cell["class"] for cell in parsed.all("rect")] == ["e1", "e2", "e1", "e2", *["e2"] * 4]
    legend = [one["class"] for one in parsed.all("span") if (one.get("class") or "").startswith("swatch")]
    assert legend == ["swatch e1", "swatch e2"]
    assert [line for line in parsed.text("li") if line.endswith("predicts")] == [
        "low predicts",
        "still predicts",
    ]
    assert "low steps: mixed (alpha 1)" in parsed.text("dd")
    for folder, row in zip(folders, content.rows, strict=True):
        row.strategy.save(tmp_path / file_name(row.name))
        (command,) = [line for line in content.commands if f"--out {folder} " in line]
        before = ClipSet.open(folder)
        kept = {path.name: path.read_bytes() for path in folder.glob("batch-*")}
        again = shlex.split(command.replace(f"--out {folder} ", f"--out {folder}-again "))
        assert again[0] == "jvid"
        again[again.index("--strategy") + 1] = str(tmp_path / file_name(row.name))
        with using(toy_registry()):
            assert main(again[1:]) == 0
        made = ClipSet.open(f"{folder}-again")
        assert made.fingerprint == before.fingerprint
        assert {path.name for path in made.folder.glob("batch-*")} == set(kept)


def test_ensembles_that_are_not_here_any_more(sets: list[Path]) -> None:
    """The plan is the paper's schedule's; the experts are those that the selectors declare."""
    with using(Registry(entry_points=False)) as registry:
        registry.add(builtins, "builtin")
        content = read(sets)
        assert [row.ensemble for row in content.rows] == [None, None]
        parsed = Page(page(content))
    assert {cell["class"] for cell in parsed.all("rect")} == {"e0", "e1"}
    assert parsed.text("li")[:2] == ["video predicts", "image predicts"]


def test_a_set_of_version_0_1_is_the_same_row(sets: list[Path], tmp_path: Path) -> None:
    old = shutil.copytree(sets[0], tmp_path / sets[0].name)
    set_of_version_0_1(old)
    new, then = read([sets[0]]), read([old])
    assert page(attrs.evolve(then, commands=())) == page(attrs.evolve(new, commands=()))
    assert then.commands[0] == new.commands[0].replace(str(sets[0]), str(old))
