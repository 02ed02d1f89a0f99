"""A page of HTML as its tags and texts, and sets and a study to make one of."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.plugins.registry import using
from jvid.strategy import Strategy
from jvid.strategy.shorthand import guidance_of, noise_of
from tests.once import made_once
from tests.toy import PROMPTS, STRATEGY, toy_registry


class Page(HTMLParser):
    """Tags with their attributes, and the text in each of some."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def check_self_contained(text: str) -> None:
    """No address of any other place in anything that a browser would follow, nor in the text."""
    bare = re.sub(r"data:image/webp;base64,[\w+/=]*", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", bare)
    parsed = Page(text)
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href"):
            if (value := attributes.get(name)) is not None:
                assert value.startswith(("data:", "#")), (tag, name)
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = [m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def alone(expert: str) -> Strategy:
    """One expert of the toy ensemble in three steps."""
    return attrs.evolve(STRATEGY, steps=3, selector=f"always:name={expert}")


def toy_sets(factory: pytest.TempPathFactory) -> list[Path]:
    """Two strategies, six clips of two prompts each, the second from another seed that overlaps; made once for all tests."""
    root = made_once(factory, "toy-sets", _make_sets)
    return [root / "mixture", root / "video only"]


def _make_sets(root: Path) -> None:
    from jvid_training.generation import generate

    base = attrs.evolve(STRATEGY, steps=3)
    with using(toy_registry()):
        for name, strategy, seed in (("mixture", base, 10), ("video only", alone("video"), 12)):
            generate(
                root / name, num=6, ensemble="toy", strategy=strategy, prompts=PROMPTS, seed=seed, batch=2
            )


def toy_study(factory: pytest.TempPathFactory) -> Path:
    """An ablation, a grid and a sweep of the toy ensemble; made once for all tests."""
    return made_once(factory, "toy-study", _make_study)


def _make_study(folder: Path) -> None:
    from jvid_training.search.ablation import chosen_rows, grid_rows, make_table
    from jvid_training.search.sweep import open_trials, work
    from tests.search_tools import document, opened

    with using(toy_registry()):
        recipe, evaluator = opened(document(folder, ablation={"values": {"steps": [2, 3]}}))
        rows = chosen_rows(recipe, evaluator, ["video model", "image model", "mixture", "+ smoothing"])
        make_table(evaluator, "ablation", rows, 4, 0)
        make_table(evaluator, "grid-steps", grid_rows(recipe, evaluator, "steps"), 4, 0)
        work(evaluator, open_trials(evaluator, recipe.sweep), 4)


def of_version_0_1(values: dict[str, Any]) -> dict[str, Any]:
    """A strategy's values as version 0.1 wrote them, of the toy ensemble's experts with one guidance."""
    strategy = Strategy.from_dict(values)
    guidance = guidance_of(strategy, "video") or guidance_of(strategy, "image")
    noises = {name: noise_of(strategy, name) or (1.0, 0.0) for name in ("video", "image")}
    choices = {name: getattr(strategy, name) for name in ("selector", "solver", "grid")}
    smoothing = next(iter(strategy.postprocessors), None)
    return {
        **{name: {"name": each.name, "options": dict(each.options)} for name, each in choices.items()},
        "steps": strategy.steps,
        "guidance": 2.0 if guidance is None else guidance.scale,
        "noise": {name: {"gamma": gamma, "ratio": r} for name, (gamma, r) in noises.items() if (gamma, r) != (1.0, 0.0)},
        "smoothing": smoothing and {"name": smoothing.name, "options": dict(smoothing.options)},
        "plan_seed": strategy.plan_seed,
        "overlap": strategy.overlap,
    }  # fmt: skip


def set_of_version_0_1(folder: Path) -> None:
    """Rewrite a set's description as version 0.1 wrote it."""
    values = json.loads((folder / "set.json").read_text())
    values |= {
        "format": 1,
        "pair": values.pop("ensemble"),
        "pair_fingerprint": values.pop("ensemble_fingerprint"),
    }
    values["strategy"] = of_version_0_1(values["strategy"])
    del values["frames"]
    (folder / "set.json").write_text(json.dumps(values))
