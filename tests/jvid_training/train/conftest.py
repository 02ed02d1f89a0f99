"""Short validations, for all tests of training."""

from __future__ import annotations

import pytest

from jvid_training.train import trainer


@pytest.fixture(autouse=True)
def few_held_out_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses on held-out actors are means over fewer samples: one batch, and a part of one."""
    for kind in trainer.VALIDATION_SAMPLES:
        monkeypatch.setitem(trainer.VALIDATION_SAMPLES, kind, 6)
