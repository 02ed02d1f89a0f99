"""A page of HTML as its tags and texts, and a study to make one of."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


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


def toy_study(folder: Path) -> Path:
    """An ablation, a grid and a sweep of the toy ensemble."""
    from jvid_training.search.ablation import chosen_rows, grid_rows, make_table
    from jvid_training.search.sweep import open_trials, work
    from tests.search_tools import document, opened

    recipe, bench = opened(document(folder, ablation={"values": {"steps": [2, 3]}}))
    rows = chosen_rows(recipe, bench, ["video model", "image model", "mixture", "+ smoothing"])
    make_table(bench, "ablation", rows, 4, 0)
    make_table(bench, "grid-steps", grid_rows(recipe, bench, "steps"), 4, 0)
    work(bench, open_trials(bench, recipe.sweep), 4)
    return folder


def toy_sweep(folder: Path) -> Path:
    """A sweep of the toy ensemble alone, of which nothing is confirmed."""
    from jvid_training.search.sweep import open_trials, work
    from tests.search_tools import document, opened

    recipe, bench = opened(document(folder))
    work(bench, open_trials(bench, recipe.sweep), 2)
    return folder
