"""Results of fixed seeds are those of ``digests.json``: bit for bit on the processor that made it, close elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import make_digests
from tests.make_digests import CLIPS, PLANS, SOLVERS, differences, drawn, planned, prepare, reduced, sampled

RECORDED: dict[str, Any] = json.loads(make_digests.FILE.read_text(encoding="utf-8"))
BITS = RECORDED["processor"] == make_digests.processor()
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
"""Of noise; a float32 is rounded from a float64."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("digests")
    prepare(made)
    return made


@pytest.mark.parametrize("case", CLIPS)
@pytest.mark.usefixtures("bundled_once")
def test_clip(case: str, folder: Path) -> None:
    assert torch.get_num_threads() == 1
    assert differences(sampled(CLIPS[case], folder), RECORDED["clips"][case], 1e-4, BITS) == []


@pytest.mark.parametrize("case", PLANS)
def test_plan(case: str, folder: Path) -> None:
    found, recorded = planned(PLANS[case], folder), RECORDED["plans"][case]
    assert differences(found.pop("levels"), recorded.pop("levels"), 1e-12, BITS) == []
    # Who predicts is the same everywhere.
    assert found == recorded


def test_noise() -> None:
    found = drawn()
    assert set(found) == set(RECORDED["noise"])
    # Keyed uniform numbers are whole numbers times 2^-53: no processor rounds them.
    assert differences(found.pop("uniform"), RECORDED["noise"]["uniform"], 0.0, bits=True) == []
    for name, values in found.items():
        recorded = RECORDED["noise"][name]
        assert differences(values, recorded, TOLERANCE[recorded["dtype"]], BITS) == [], name


def test_every_result_is_recorded_and_every_record_is_recomputed() -> None:
    assert set(RECORDED["clips"]) == set(CLIPS)
    assert set(RECORDED["plans"]) == set(PLANS)
    # A clip that did not depend on its arguments would have another's digest. Euler's steps are DDIM's and ancestral Euler's
    # are DDPM's, bit for bit.
    digests = {case: recorded["sha256"] for case, recorded in RECORDED["clips"].items()}
    assert digests.pop("solver euler") == digests["solver ddim"]
    assert digests.pop("solver euler-ancestral") == digests["solver ddpm"]
    assert len(set(digests.values())) == len(digests)


def test_every_registered_solver_and_noise_has_a_digest() -> None:
    from jvid.plugins.registry import current

    def own(kind: str) -> set[str]:
        return {c.name for c in current().components(kind) if c.distribution.startswith("jvid ")}

    assert own("solver") == set(SOLVERS)
    assert own("noise") == {name for name, _ in make_digests.NOISES.values()}


@pytest.mark.parametrize("bits", [True, False])
def test_a_changed_result_is_reported(bits: bool) -> None:
    values = np.linspace(-1.0, 1.0, 50, dtype=np.float32)
    recorded = reduced(values)
    assert differences(reduced(values), recorded, 1e-4, bits) == []
    last_bit = values.copy()
    last_bit[0] = np.nextafter(last_bit[0], np.float32(2.0))
    assert bool(differences(reduced(last_bit), recorded, 1e-4, bits)) is bits
    for wrong in (values + np.float32(2e-4), values[:-1], values.astype(np.float64), values.reshape(5, 10)):
        assert differences(reduced(wrong), recorded, 1e-4, bits) != []
    unknown = values.copy()
    unknown[-1] = np.nan
    assert differences(reduced(unknown), recorded, 1e-4, bits) != []
