"""A choice as text, as JSON and back: nothing of it is lost, whatever its options are."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.plugins.choice import Choice, parse_value


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("ddpm", "ddpm", {}),
        ("ddim:eta=0", "ddim", {"eta": 0}),
        ("always:name=video", "always", {"name": "video"}),
        ("toys/x: a = .5 , b=true,c=none,d=1e-3", "toys/x", {"a": 0.5, "b": True, "c": None, "d": 0.001}),
        ("folder:folder=/a/b:c", "folder", {"folder": "/a/b:c"}),
        ("corrected:postprocessor=(temporal)", "corrected", {"postprocessor": Choice("temporal")}),
        (
            "scaled:inner=(mixed:alpha=1,of=(offset:strength=.5)),gamma=2",
            "scaled",
            {
                "inner": Choice("mixed", {"alpha": 1, "of": Choice("offset", {"strength": 0.5})}),
                "gamma": 2,
            },
        ),
    ],
)
def test_a_choice_is_read_from_text(text: str, name: str, options: dict[str, object]) -> None:
    choice = Choice.parse(text)
    assert (choice.name, dict(choice.options)) == (name, options)
    assert Choice.parse(str(choice)) == choice
    assert choice.to_plain() == str(choice)  # text holds all of it


@pytest.mark.parametrize(
    "text",
    [
        "", ":a=1", "x:", "x:a", "x:a=", "x:=1", "x:a=1,a=2", "x:a b=1", "x:a=1,,b=2",
        "x:a=(y", "x:a=y)", "x:a=(y:b=1", "x:a=()", "x:a=(y:b)",
    ],
)  # fmt: skip
def test_a_choice_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected|twice"):
        Choice.parse(text)


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_values_survive_text(value: object) -> None:
    shown = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    read = parse_value(shown)
    assert read == value
    assert type(read) is type(value)


# Text that looks like something else, beside any other.
looks = st.sampled_from(
    ["1", "-0.5", "1e3", "true", "None", "nan", "inf", "", " a", "a,b", "a=b", "(a)", "(", ")", "a:b"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | looks | st.text()
lists = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
names = st.from_regex(r"[a-z][a-z0-9._-]*(/[a-z]+)?", fullmatch=True) | st.text(min_size=1)
keys = st.from_regex(r"[a-z_]+", fullmatch=True) | st.text(min_size=1)


def choices(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Choice]:
    return st.builds(Choice, names, st.dictionaries(keys, values, max_size=3))


nested = st.recursive(choices(lists), lambda inner: choices(lists | inner), max_leaves=4)


def alike(one: Any, other: Any) -> bool:
    """Equal in types too: 1, 1.0 and true are three values."""
    return repr(one) == repr(other)


@given(nested)
@example(Choice("explicit", {"times": (1.0, 0.5, 0.0)}))
@example(Choice("a", {"b": {"name": "c", "options": {"d": "1"}}}))
@example(Choice("a", {"b": [Choice("c", {"d": 1.0})]}))
@example(Choice("a", {"b": {"c": Choice("d")}}))
def test_a_choice_is_json_and_back(choice: Choice) -> None:
    read = Choice.from_plain(json.loads(json.dumps(choice.to_plain())))
    assert read == choice
    assert alike(read, choice)
    for copied in (pickle.loads(pickle.dumps(choice)), copy.deepcopy(choice)):
        assert copied == choice
        assert hash(copied) == hash(choice)


@given(nested)
def test_text_is_used_only_where_it_holds_the_choice(choice: Choice) -> None:
    plain = choice.to_plain()
    if isinstance(plain, str):
        assert alike(Choice.parse(plain), choice)


def test_a_choice_with_other_options_on_top() -> None:
    choice = Choice.parse("guided:scale=2,low=.2")
    assert choice.but(scale=3, rescale=0.5) == Choice.parse("guided:scale=3,low=.2,rescale=.5")
    assert choice == Choice.parse("guided:scale=2,low=.2")
    assert (choice.bare, Choice("cartoon/strokes").bare) == ("guided", "strokes")


def test_options_are_the_choices_own() -> None:
    options = {"rows": [{"a": 1.0}]}
    choice = Choice("table", options)
    options["rows"][0]["a"] = 2.0
    options["more"] = []
    assert choice == Choice("table", {"rows": [{"a": 1.0}]})
    with pytest.raises(TypeError):
        choice.options["rows"] = []  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "expected a component's name and options"), ({}, "expected a component's name and options"),
        ({"name": 3}, "expected a component's name"), ({"name": "x", "option": {}}, "unknown key 'option'"),
        ({"name": "x", "options": [1]}, r"options \[1\]: expected an object"), ("x:a", "expected option=value"),
        ([math.nan] * 99, "expected a component's name and options"),
    ],
)  # fmt: skip
def test_values_that_are_no_choice_are_refused(value: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Choice.from_plain(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150
