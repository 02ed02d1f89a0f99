"""docs/architecture.md shows the rooms and arrows that the imports have."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from tests.test_architecture import LAYERS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_lists_every_room_with_what_it_imports_from() -> None:
    spec = importlib.util.spec_from_file_location("draw", DOCS / "figures" / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = page.split("<!-- rooms -->")[1].split("<!-- end of rooms -->")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| .+ \| (.*) ?\|$", table)
    assert {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows} == draw.rooms()
    assert [room for room, _ in rows] == [room for layer in LAYERS for room in layer]
    assert set(draw.ROOMS) == set(draw.rooms())
    drawn = (DOCS / "figures" / "rooms.svg").read_text(encoding="utf-8")
    assert [room for room in draw.ROOMS if f">{room}<" not in drawn] == []
