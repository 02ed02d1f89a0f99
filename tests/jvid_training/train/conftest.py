"""Short validations, for all tests of training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.training_tools import few_held_out_samples


@pytest.fixture(autouse=True)
def short_validations() -> Iterator[None]:
    with few_held_out_samples():
        yield
