"""Studies in files that nobody waits for the disk to have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


def _unsynchronised(connection: Any, record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True)
def unsynchronised() -> Iterator[None]:
    event.listen(Engine, "connect", _unsynchronised)
    yield
    event.remove(Engine, "connect", _unsynchronised)
