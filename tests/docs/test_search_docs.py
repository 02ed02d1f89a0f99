"""The page on evaluation repeats the keys and defaults of a study's recipe; the tests see to it that it does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.ensemble import compose
from jvid.ensemble.source import Source
from jvid.strategy import Strategy
from jvid_training.search.recipe import KINDS, Ablation, Pruning, Study, Sweep, structure_study
from jvid_training.search.rows import CODECS, GRIDS

PAGE = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "part"),
    [("study", Study), ("ablation", Ablation), ("sweep", Sweep), ("sweep.pruning", Pruning)],
)
def test_every_key_is_explained_with_its_default(heading: str, part: type) -> None:
    section = PAGE.split(f"### `{heading}`\n")[1].split("\n#")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\| .*\|$", section, re.MULTILINE))
    assert listed == {field.name: default(field) for field in attrs.fields(part)}


def default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "*needed*"
    value = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default
    if isinstance(value, Source):
        value = value.to_plain()
    if attrs.has(type(value)):
        return "table"
    return "" if value is None else f"`{json.dumps(value)}`"


def test_every_grid_row_and_objective_is_named() -> None:
    grids = PAGE.split("**Grids**:")[1].split("--grid all")[0]
    assert [name for name in GRIDS if f"`{name}`" not in grids] == []
    rows = PAGE.split("**Rows**:")[1].split("**Grids**")[0]
    assert [name for name in (*CODECS, "mixture", "+ smoothing") if f"`{name}`" not in rows] == []
    assert [
        name for name in KINDS if f"`{name}`" not in PAGE.split("**Objectives**")[1].split("**Pruning.**")[0]
    ] == []


def test_the_study_without_weights_is_one() -> None:
    """The recipe of the page, whole: its keys, its ensemble, and a space whose strategies that ensemble can be sampled with."""
    (recipe,) = [
        block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if 'name = "toy"' in block
    ]
    study = structure_study(tomllib.loads(recipe))
    ensemble = study.study.ensemble.load()
    assert ensemble.experts == ("high", "low")
    strategy = Strategy("boundary:experts=high+low,at=.5", "ddim", steps=study.sweep.space["steps"][0])
    assert compose(strategy, ensemble)(ensemble.shape, seeds=[0]).isfinite().all()
