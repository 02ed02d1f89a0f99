"""What every test shares: one thread, no network, no waiting for disks, a fixed hypothesis profile, the shared data."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Before torch and huggingface_hub are imported: tests never reach out, and never fight for cores.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.garbage import keep_from_forks
from tests.terminals import Terminal

os.fsync = os.fstat  # no test outlives the machine; a closed file is refused by both
gc.disable()  # until all tests are collected, below
keep_from_forks()


def pytest_configure(config: pytest.Config) -> None:
    """Set up torch and hypothesis in each process that runs tests; what hands them out to others imports neither."""
    if config.getoption("dist", "no") != "no":
        return
    import torch
    from hypothesis import HealthCheck, settings
    from hypothesis.internal.conjecture import providers

    torch.set_num_threads(1)
    # Else it draws constants of all files that are imported by then: other examples in each order of the tests.
    providers._get_local_constants = lambda: providers._local_constants
    settings.register_profile(
        "jvid",
        deadline=None,
        derandomize=True,
        max_examples=25,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("jvid")


def pytest_collection_finish() -> None:
    """Leave what is imported out of garbage collections: it stays, and each would look through a million objects."""
    gc.freeze()
    gc.set_threshold(5_000)  # the default of 700 spends a twentieth of the run on what tests import later
    gc.enable()


@pytest.fixture(scope="module")
def bundled_once() -> Iterator[None]:
    """The bundled ensembles are read once for all commands of a module."""
    from jvid_models.ensembles import bundled

    with pytest.MonkeyPatch.context() as patch:
        for name in bundled.__all__:
            patch.setattr(bundled, name, cache(getattr(bundled, name)))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of clips and weights that lies outside the repository; skips where it is absent."""
    from jvid_models.paths import shared_root

    try:
        root = shared_root()
    except (LookupError, OSError) as error:
        pytest.skip(str(error))
    if root is None or not Path(root).is_dir():
        pytest.skip(f"no shared data at {root}: set JVID_SHARED to the folder with data/ and weights/")
    return Path(root)


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder to work in, and the toy ensemble alone registered beside the built-ins."""
    from jvid.plugins.registry import using
    from tests.toy import built, toy_registry

    monkeypatch.chdir(tmp_path)
    built.clear()
    with using(toy_registry()):
        yield


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A pseudo-terminal of 120 columns that commands run on."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal(monkeypatch)
