"""Guidance by a weaker expert in reports, search spaces and fingerprints."""

from __future__ import annotations

from pathlib import Path

import pytest

from jvid.cli.shorthand import guided
from jvid.strategy import Guidance
from jvid.strategy.shorthand import guidance_of
from jvid_training.generation.ensembles import ensemble_fingerprint
from jvid_training.report.words import words
from jvid_training.search.space import Space
from tests.toy import SCHEDULE, STRATEGY, Conditional, toy_ensemble

pytestmark = pytest.mark.usefixtures("toys")


def test_it_is_stated_in_texts_recipes_and_reports() -> None:
    strategy = guided(STRATEGY, ["video:scale=2,against=early,low=.2"])
    assert "video: scale 2 away from early for t from 0.2 to 1" in words(strategy)["guidance"]
    toy = toy_ensemble(guides={"early": Conditional(SCHEDULE, 1.5)})
    space = Space.of({"guidance": {"video": {"scale": [1.0, 2.0], "against": ["", "early"]}}}, STRATEGY, toy)
    found = space.strategy({"guidance.video.scale": 2.0, "guidance.video.against": "early"})
    assert guidance_of(found, "video") == Guidance(2.0, against="early")
    assert space.values(found) == {"guidance.video.scale": 2.0, "guidance.video.against": "early"}


def test_a_folder_with_another_expert_has_another_fingerprint(tmp_path: Path) -> None:
    from jvid_models.ensembles.export import ExportedExpert, export_ensemble
    from jvid_models.ensembles.folder import EnsembleFolder
    from tests.jvid_models.ensembles.test_folder import meta, parts

    experts, decoder, table = parts()
    plain = export_ensemble(tmp_path / "plain", experts, decoder, table, meta())
    early = ExportedExpert(EnsembleFolder(tmp_path / "plain").module("video"))
    led = export_ensemble(tmp_path / "led", {**experts, "early": early}, decoder, table, meta())
    assert (tmp_path / "led/early.safetensors").read_bytes() == (
        tmp_path / "plain/video.safetensors"
    ).read_bytes()
    assert ensemble_fingerprint(led) != ensemble_fingerprint(plain)
