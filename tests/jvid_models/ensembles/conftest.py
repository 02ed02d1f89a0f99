"""A small ensemble in a folder: one for all tests, and a copy for each."""

from __future__ import annotations

import shutil

import pytest

from jvid_models.ensembles.export import export_ensemble
from tests.jvid_models.ensembles.exported import meta, parts


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles") / "tiny"
    export_ensemble(folder, *parts(), meta(card="# Tiny\n"))
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    """An exported ensemble that a test may damage."""
    return shutil.copytree(exported, tmp_path / "tiny")
