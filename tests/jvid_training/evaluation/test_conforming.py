"""Built-in feature networks and metrics conform to their protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jvid.plugins.registry import load, names
from jvid.testing import conforms
from jvid.testing.registered import declared_reference
from tests.evaluation_tools import Means, random_i3d

NETWORKS: dict[str, Any] = {
    "fvd": Means("clip"), "action": Means("clip"),
    "fid": Means(), "inception-score": Means(), "agreement": Means(), "identity": Means(),
}  # fmt: skip
"""What the metrics of any network are checked with; the others have networks of their own."""

UNREFERENCED = ("action", "attributes")
"""A classifier that is trained first, or read from a folder: no equation."""

NEEDS_FILES = ("attributes",)
"""Checked in test_truth."""


@pytest.mark.parametrize("name", [name for name in names("metric") if name not in NEEDS_FILES])
def test_metrics_conform(name: str) -> None:
    options = {"features": NETWORKS[name]} if name in NETWORKS else {}
    declared = declared_reference("metric", name, **options)
    assert bool(declared) == (name not in UNREFERENCED)
    # Splits of the inception score are of clips in their order.
    ordered = name == "inception-score"
    report = conforms("metric", load("metric", name, **options), examples=5, ordered=ordered, **declared)
    report.raise_for_failures()
    skipped = {"order_means_nothing"} if ordered else set()
    # Clips without actors have no accuracy, and networks without classes no score.
    skipped |= {"a_finite_value", "as_referenced", "the_clips_count"} if name == "action" else set()
    # Others have a direction, and a value that the reference enters.
    skipped |= (
        set() if name in ("fvd", "fid", "psnr", "psnr-mean-frame", "motion-error") else {"closer_is_better"}
    )
    assert {each.check for each in report.outcomes if each.status == "skipped"} == skipped


def test_pixels_conform() -> None:
    report = conforms("features", load("features", "pixels"), **declared_reference("features", "pixels"))
    report.raise_for_failures()
    assert report["as_referenced"].status == "passed"


def test_networks_of_weights_alone_have_no_reference() -> None:
    assert {name for name in names("features") if not declared_reference("features", name)} == {
        "i3d", "i3d-frame", "efficientnet-lite0", "torchscript", "attributes",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["i3d", "i3d-frame"])
def test_i3d_conforms(name: str, tmp_path: Path) -> None:
    from jvid_models.weights import save_weights

    save_weights(random_i3d(), tmp_path / "i3d.safetensors")
    network = load("features", name, path=str(tmp_path / "i3d.safetensors"))
    frames = 4 if name == "i3d" else 2
    conforms("features", network, examples=1, batch=1, frames=frames, sides=16).raise_for_failures()
