"""Every registered metric and feature network is named by ``jvid evaluate`` and by a study's recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jvid.cli import main
from jvid.core.metrics import DeclaresTarget
from jvid.errors import InputError
from jvid.plugins import hookimpl
from jvid.plugins.choice import Choice
from jvid.plugins.registrar import Component, Registrar
from jvid.plugins.registry import Registry, using
from jvid_training.evaluation.figures import base_of
from jvid_training.search.evaluator import Evaluator
from jvid_training.search.recipe import structure_study
from tests.evaluation_tools import Means, random_i3d
from tests.search_tools import document
from tests.training_tools import prepare

KIND_OF = {
    "fvd": "clip", "action": "clip",
    "fid": "frame", "inception-score": "frame", "agreement": "frame", "identity": "frame",
}  # fmt: skip
"""The rows that a metric of any network reads; the others have networks of their own."""
NEEDS_FILES = ("i3d", "i3d-frame", "efficientnet-lite0", "torchscript", "attributes")


class Networks:
    """A network of clips and one of frames."""

    @hookimpl
    def jvid_register(self, register: Registrar) -> None:
        register.features("means-clip", lambda: Means("clip", "means-clip"), help="Of clips.")
        register.features("means-frame", lambda: Means("frame", "means-frame"), help="Of frames.")


class Recording(Registry):
    """The installed plugins and the networks; ``made`` are the components that were built."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        self.add(Networks(), "means")

    def _made(self, component: Component, *arguments: Any) -> Any:
        made = super()._made(component, *arguments)
        self.made.append(f"{component.kind} {component.qualified}")
        return made


EVERY = [component for kind in ("features", "metric") for component in Recording().components(kind)]
METRICS = [
    component for component in EVERY if component.kind == "metric" and component.name not in NEEDS_FILES
]
NETWORKS = [
    component for component in EVERY if component.kind == "features" and component.name not in NEEDS_FILES
]


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    prepare(folder)
    return folder / "latents"


@pytest.fixture
def registry() -> Iterator[Recording]:
    with using(Recording()) as made:
        yield made  # type: ignore[misc]


def text_of(component: Component) -> str:
    kind = KIND_OF.get(component.name)
    return f"{component.qualified}:features=means-{kind}" if kind else component.qualified


def evaluated(capsys: pytest.CaptureFixture[str], latents: Path, *words: str) -> dict[str, Any]:
    given = ["evaluate", "real:held-out", "-r", str(latents), "--bootstrap", "5", "--json", *words]
    assert main(given) == 0, capsys.readouterr().err
    (found,) = json.loads(capsys.readouterr().out)["evaluations"]
    return dict(found)


def test_the_lists_name_what_is_registered() -> None:
    assert set(KIND_OF) <= {component.name for component in METRICS}
    assert set(NEEDS_FILES) < {component.name for component in EVERY if component.kind == "features"}
    assert len(METRICS) >= 10


@pytest.mark.parametrize("component", METRICS, ids=lambda each: each.qualified)
def test_the_command_names_a_metric(
    component: Component, registry: Recording, latents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(capsys, latents, "--metric", text_of(component))
    assert f"metric {component.qualified}" in registry.made
    metric = registry.load("metric", Choice.parse(text_of(component)))
    ((name, figure),) = found["figures"].items()
    assert (base_of(name), figure["better"]) == (metric.name, metric.better)
    assert figure["note"].startswith(metric.unit)
    assert list(found["floors"]["real"]) == [metric.name]


@pytest.mark.parametrize("component", NETWORKS, ids=lambda each: each.qualified)
def test_the_command_names_a_network(
    component: Component, registry: Recording, latents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(capsys, latents, "--network", component.qualified)
    assert f"features {component.qualified}" in registry.made
    network = registry.load("features", component.qualified)
    assert found["fingerprints"][network.name] == network.fingerprint
    assert "flicker ratio" in found["figures"]


def test_weights_are_named_by_their_path(registry: Recording, tmp_path: Path) -> None:
    from jvid_models.weights import save_weights
    from jvid_training.evaluation.networks import load_network

    path = tmp_path / "i3d.safetensors"
    save_weights(random_i3d(), path)
    prints = {
        load_network(text).fingerprint for text in (f"i3d:{path}", f"i3d:path={path}", f"training/i3d:{path}")
    }
    assert len(prints) == 1
    metric = registry.load("metric", "fvd", features=f"i3d:path={path}")
    assert {network.fingerprint for network in metric.features} == prints


@pytest.mark.parametrize("component", METRICS, ids=lambda each: each.qualified)
def test_a_recipe_names_a_metric(component: Component, registry: Recording, tmp_path: Path) -> None:
    text = text_of(component)
    found = document(tmp_path, study={"metrics": [text]}, sweep={"objectives": ["cost", text]})
    recipe = structure_study(found, "study.toml")
    evaluator = Evaluator(recipe.study, networks=[])
    (metric,) = (each.metric for each in evaluator.metrics if each.name == evaluator.columns[0])
    assert f"metric {component.qualified}" in registry.made
    if metric.better is None and not isinstance(metric, DeclaresTarget):
        with pytest.raises(InputError, match=rf"metric '{text}' has no direction"):
            evaluator.objectives(recipe.sweep.objectives)
    else:
        cost, own = evaluator.objectives(recipe.sweep.objectives)
        assert (cost.name, own.name, own.figure) == ("cost", text, metric.name)
        assert own.better == (metric.better or "lower")
