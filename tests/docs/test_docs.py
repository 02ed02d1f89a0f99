"""Pages that repeat what code states: each key of a recipe, each sheet."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.testing import strategies
from jvid.testing.checking import KINDS, checks_of
from jvid_training import recipe, recipe_buckets, recipe_published
from jvid_training.train.compatible import MAY_CHANGE
from tests.mutants import mutants_of
from tests.mutants.table import checks_table, pasted

DOCS = Path(__file__).parents[2] / "docs"
TRAINING = (DOCS / "training.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, str]:
    """Key to default, of the table below a heading."""
    section = TRAINING.split(f"### {heading}\n")[1].split("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\| .*\|$", section, re.MULTILINE))


def toml(value: Any) -> str:
    if value is None:
        return ""
    return f"`{json.dumps(value)}`"


@pytest.mark.parametrize(
    ("heading", "part"),
    [
        ("`data`", recipe.Data),
        ("`data.buckets`, each", recipe_buckets.StatedBucket),
        ("`data.aspects`", recipe_buckets.Aspects),
        ("`optimiser`", recipe.Optimiser),
        ("`training`", recipe.Training),
        ("`noise`", recipe_published.Noise),
        ("`lora`", recipe_published.Lora),
        ("`network` of a published model", recipe_published.PipelineNetwork),
        ("`samples`", recipe.Samples),
    ],
)
def test_every_key_of_a_recipe_is_explained_with_its_default(heading: str, part: type) -> None:
    expected = {}
    for field in attrs.fields(part):
        default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default
        expected[field.name] = "*needed*" if default is attrs.NOTHING else toml(default)
    assert table(heading) == expected


def test_the_recipes_own_keys_are_explained() -> None:
    needed = {field.name: field.default is attrs.NOTHING for field in attrs.fields(recipe.Recipe)}
    assert {key: default == "*needed*" for key, default in table("The recipe").items()} == needed
    parts = [recipe.CodecChoice, recipe.Text, recipe.Schedule]
    names = ", ".join(toml(part().name) for part in parts)
    assert table("`codec`, `text`, `schedule`") == {"name": names, "options": "`{}`"}
    assert all([field.name for field in attrs.fields(part)] == ["name", "options"] for part in parts)


def test_what_may_change_on_resuming_is_listed() -> None:
    listed = TRAINING.split("These may change between the two:")[1].split("\n\n")[0]
    keys = {f"{section}.{key}" for section, names in MAY_CHANGE.items() for key in names}
    assert set(re.findall(r"`([\w.]+)`", listed)) == keys


def test_the_sheets_page_shows_every_action() -> None:
    page = (DOCS / "sheets.md").read_text(encoding="utf-8")
    phrases = recipe.load_recipe(DOCS.parent / "recipes/actions-64/image.toml").data.phrases
    shown = dict(re.findall(r"^!\[(.+)\]\((.+)\)$", page, re.MULTILINE))
    expected = {f"A person {phrase}": f"sheets/{phrase.replace(' ', '-')}.png" for phrase in phrases.values()}
    assert shown == expected
    if (DOCS / "sheets").is_dir():
        assert [file for file in shown.values() if not (DOCS / file).is_file()] == []


def test_the_conformance_page_lists_every_check_and_counts_every_mutant() -> None:
    page = (DOCS / "conformance.md").read_text(encoding="utf-8")
    assert pasted(page, "checks", checks_table()) == page, "python -m tests.mutants.table docs/conformance.md"
    rows = re.findall(r"(?m)^\| (\w+) \| (\d+) \| (\d+) of (\d+) \|$", page)
    counts = {kind: (len(checks_of(kind)), len(mutants_of(kind))) for kind in KINDS}
    counts["together"] = tuple(map(sum, zip(*counts.values(), strict=True)))
    assert {kind: (int(checks), int(all_)) for kind, checks, _, all_ in rows} == counts
    assert all(killed == all_ for _, _, killed, all_ in rows)


def test_the_conformance_page_names_every_strategy() -> None:
    page = (DOCS / "conformance.md").read_text(encoding="utf-8")
    named = page.split("## Strategies\n")[1].split("They draw")[0]
    assert set(re.findall(r"`(\w+)`", named)) | {"SCHEDULES"} == set(strategies.__all__)
