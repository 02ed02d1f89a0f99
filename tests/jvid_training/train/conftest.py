"""Short validations, for all tests of training."""

from __future__ import annotations

import pytest

from jvid_training.train import held_out


@pytest.fixture(autouse=True)
def few_held_out_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses on held-out actors are means over fewer samples: one batch, and a part of one."""
    for kind in held_out.VALIDATION_SAMPLES:
        monkeypatch.setitem(held_out.VALIDATION_SAMPLES, kind, 6)
