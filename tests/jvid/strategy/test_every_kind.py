"""Every registered component can be named by a strategy or an ensemble's source, and by the command line.

Feature networks and metrics are named by ``jvid evaluate`` and by the recipes of studies instead, see
``tests/jvid_training/evaluation/test_named_metrics.py``. The registry here is that of the installed plugins with the example
plugin's parts beside. A kind that is added without a route fails; so does a component that no one of the lists knows and that
its route does not load.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file

from jvid.cli import main
from jvid.cli.ensembles import EnsembleOptions
from jvid.cli.strategies import StrategyOptions
from jvid.ensemble import Composition, Source
from jvid.errors import InputError
from jvid.media import read_metadata
from jvid.plugins.choice import Choice
from jvid.plugins.registrar import KINDS, Component
from jvid.plugins.registry import Registry, using
from jvid.strategy import ExpertStrategy, Strategy

EXAMPLE = Path(__file__).parents[3] / "examples" / "jvid-cartoon" / "jvid_cartoon.py"

OPTIONS = {
    # what a component needs, as one writes it; others are named alone
    "selector builtin/piecewise-affine": "t_v=.2,t_e=.7,p_e=.5,p_f=.3,video=cartoon,image=painter",
    "selector builtin/always": "name=painter", "selector builtin/random": "experts=cartoon+painter",
    "selector builtin/boundary": "experts=cartoon+painter,at=.5", "selector builtin/cycle": "experts=painter+cartoon",
    "selector builtin/table": "rows=cartoon+painter", "selector builtin/blend": "experts=cartoon+painter,knots=0:1:0+1:0:1",
    "grid builtin/explicit": "times=1+.5+0", "grid builtin/zigzag": "low=0,high=1",
    "noise builtin/shared": "ratio=.5", "noise builtin/scaled": "gamma=.5",
    "noise builtin/mixed": "alpha=1", "noise builtin/progressive": "alpha=1",
    "wrapper builtin/guided": "scale=2,against=painter", "wrapper builtin/bridged": "schedule=cosine",
    "wrapper builtin/windowed": "size=2,stride=1", "wrapper builtin/corrected": "postprocessor=(uniform:size=3)",
    "wrapper builtin/known": "mask=mask.safetensors,latents=latents.safetensors", "wrapper builtin/cached": "dtype=float64",
    "wrapper builtin/first-frame": "others=painter",
    "denoiser builtin/gaussian": "schedule=cosine,std=.5", "denoiser builtin/two-modes": "schedule=cosine",
    "text models/table": "path=prompts.safetensors", "text models/words": "vocabulary=words.txt",
}  # fmt: skip

NEEDS_FILES = {
    "codec models/taesd": "weights that are not part of the package",
    "codec models/autoencoder": "a folder of diffusers",
    "codec models/autoencoder-kl": "a folder of diffusers",
    "text models/minilm": "weights that are not part of the package",
    "text models/clip": "a folder of transformers",
    "denoiser models/diffusers": "a folder of diffusers",
    "ensemble models/pipeline": "a folder of diffusers, see tests/jvid_models/ensembles/test_pipelines.py",
    "grid builtin/native": "an ensemble of such a folder",
}
IN_PYTHON_ALONE = {"denoiser models/unet": "it is built around a module of torch"}
LARGE = {
    "denoiser models/table-1-image": "denoises=frames",
    "denoiser models/table-1-video": "denoises=clips",
    "ensemble models/actions-64": "",
    "ensemble models/sprites-64": "",
}
"""Named and loaded as far as it takes no network: hundreds of millions of weights are drawn at the first use."""


class Recording(Registry):
    """The installed plugins and the example's; ``made`` are the components that were built."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []
        found = importlib.util.spec_from_file_location("jvid_cartoon", EXAMPLE)
        assert found is not None and found.loader is not None  # noqa: PT018
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        self.add(module, "cartoon", "jvid-cartoon 0.1.0")

    def _made(self, component: Component, *arguments: Any) -> Any:
        made = super()._made(component, *arguments)
        self.made.append(label(component))
        return made


def label(component: Component) -> str:
    return f"{component.kind} {component.qualified}"


EVALUATED = ("features", "metric")
"""Kinds of clips that are there already: no strategy has them."""
EVERY = [component for kind in KINDS for component in Recording().components(kind)]
NAMED = [
    c
    for c in EVERY
    if c.kind not in ("command", *EVALUATED) and label(c) not in {**NEEDS_FILES, **IN_PYTHON_ALONE, **LARGE}
]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """The registry, in a folder with the files that components of the list read."""
    from jvid_models.text import EmbeddingTable

    monkeypatch.chdir(tmp_path)
    save_file({"mask": torch.zeros(1, 1, 1, 1, 1)}, "mask.safetensors")
    save_file({"latents": torch.zeros(1, 1, 1, 1, 1)}, "latents.safetensors")
    EmbeddingTable(["", "a stroke"], torch.randn(2, 3, 4)).save("prompts.safetensors")
    Path("words.txt").write_text("a stroke\n")
    with using(Recording()) as made:
        yield made  # type: ignore[misc]


BASE = Source(
    experts={
        "cartoon": "gaussian:schedule=scaled-linear,std=.4",
        "painter": "gaussian:schedule=scaled-linear",
    },
    codec="pixels",
    shape=(3, 4, 6, 6),
)
START = Strategy("cycle:experts=cartoon+painter", steps=2)


def text_of(component: Component) -> str:
    """How one writes it: by its qualified name, with what it needs."""
    options = OPTIONS.get(label(component), "")
    return f"{component.qualified}:{options}" if options else component.qualified


@attrs.frozen
class Route:
    """How a component of a kind is named: by a strategy or a source in Python, and by the same on the command line."""

    strategy: Callable[[str], Strategy] = lambda text: START
    source: Callable[[str], Source] = lambda text: BASE
    options: Callable[[str], list[str]] = lambda text: []


def of_cartoon(**parts: Any) -> Strategy:
    return attrs.evolve(START, experts={"cartoon": ExpertStrategy(**parts)})


ROUTES = {
    "selector": Route(lambda t: attrs.evolve(START, selector=t), options=lambda t: ["--selector", t]),
    "solver": Route(lambda t: attrs.evolve(START, solver=t), options=lambda t: ["--solver", t]),
    "grid": Route(lambda t: attrs.evolve(START, grid=t), options=lambda t: ["--grid", t]),
    "schedule": Route(lambda t: attrs.evolve(START, schedule=t), options=lambda t: ["--schedule", t]),
    "noise": Route(
        lambda t: attrs.evolve(of_cartoon(noise=t), initial=t), options=lambda t: ["--noise", f"cartoon={t}", "--initial", t]
    ),
    "postprocessor": Route(
        lambda t: attrs.evolve(START, postprocessors=(t,)), options=lambda t: ["--postprocessor", t]
    ),
    "wrapper": Route(lambda t: of_cartoon(wrappers=(t,)), options=lambda t: ["--wrapper", f"cartoon={t}"]),
    "denoiser": Route(
        source=lambda t: attrs.evolve(BASE, experts={**BASE.experts, "cartoon": t}),
        options=lambda t: ["--expert", f"cartoon={t}"],
    ),
    "codec": Route(source=lambda t: attrs.evolve(BASE, codec=t), options=lambda t: ["--codec", t]),
    "text": Route(source=lambda t: attrs.evolve(BASE, text={"*": t}), options=lambda t: ["--text", t]),
    "ensemble": Route(source=lambda t: Source(t, dict(BASE.experts)), options=lambda t: ["--ensemble", t]),
}  # fmt: skip


def command_line(kind: str, text: str) -> list[str]:
    """The base's options, but for those that the component's own take the place of."""
    own = ROUTES[kind].options(text)
    stated = {
        "--codec": ["pixels"],
        "--shape": ["3,4,6,6"],
        "--selector": [str(START.selector)],
        "--steps": ["2"],
    }
    words = [word for name, values in stated.items() if name not in own for word in (name, *values)]
    if kind == "ensemble":  # which brings its own
        words = [word for word in words if word not in ("--codec", "pixels", "--shape", "3,4,6,6")]
    experts = {name: each for name, each in BASE.experts.items() if f"{name}=" not in " ".join(own[1:2])}
    if kind != "denoiser":
        experts = dict(BASE.experts)
    return [*(w for name, each in experts.items() for w in ("--expert", f"{name}={each}")), *words, *own]


def test_every_kind_has_a_route() -> None:
    assert set(KINDS) == {*ROUTES, *EVALUATED, "command"}


def test_the_lists_name_what_is_registered() -> None:
    labels = {label(component) for component in EVERY}
    for known in (OPTIONS, NEEDS_FILES, IN_PYTHON_ALONE, LARGE):
        assert set(known) <= labels
    assert {c.kind for c in EVERY} == set(KINDS)
    assert {label(c) for c in EVERY if c.plugin == "cartoon"} == {
        "denoiser cartoon/two-tone",
        "selector cartoon/strokes",
    }
    assert len(NAMED) >= 40


@pytest.mark.parametrize("component", NAMED, ids=label)
def test_a_strategy_or_a_source_names_it(component: Component, registry: Recording) -> None:
    route, text = ROUTES[component.kind], text_of(component)
    strategy, source = route.strategy(text), route.source(text)
    # Through JSON, as a file or a clip's metadata has them.
    strategy = Strategy.from_dict(strategy.to_dict())
    ensemble = Source.from_plain(source.to_plain()).load()
    composition = Composition(strategy, ensemble)
    sampler = composition.sampler()
    cond = composition.condition(["a stroke"])
    clip = sampler(ensemble.shape, seeds=[0], cond=cond, plan=composition.plan())
    assert clip.isfinite().all()
    assert ensemble.codec.decode(clip).shape == (1, 3, 4, 6, 6)
    assert label(component) in registry.made


@pytest.mark.parametrize("component", NAMED, ids=label)
def test_the_command_line_names_it(
    component: Component, registry: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    route, text = ROUTES[component.kind], text_of(component)
    words = ["sample", "a stroke", "-o", "clip.gif", "--scale", "1", *command_line(component.kind, text)]
    assert main(words) == 0, capsys.readouterr().err
    assert label(component) in registry.made
    reported = read_metadata("clip.gif")
    assert Strategy.from_dict(reported["strategy"]) == route.strategy(text)
    assert Source.from_plain(reported["ensemble"]) == route.source(text)


@pytest.mark.parametrize("component", [c for c in EVERY if label(c) in LARGE], ids=label)
def test_what_is_large_is_named_and_its_networks_wait(component: Component, registry: Recording) -> None:
    text = f"{component.qualified}:{options}" if (options := LARGE[label(component)]) else component.qualified
    route = ROUTES[component.kind]
    ensemble = Source.from_plain(route.source(text).to_plain()).load()
    assert set(BASE.experts) <= set(ensemble.experts)
    waiting = [
        each.denoiser for each in ensemble.members.values() if not getattr(each.denoiser, "is_made", True)
    ]
    assert waiting
    given = command_line(component.kind, text)
    # The two oracles take no prompt, so the recommended guidance is not theirs.
    assert main(["plan", *given, "--wrapper", "none"]) == 0
    assert not [name for name in registry.made if name.startswith("denoiser models/")]


@pytest.mark.parametrize("component", [c for c in EVERY if label(c) in NEEDS_FILES], ids=label)
def test_what_needs_files_is_found_by_its_route(component: Component, registry: Recording) -> None:
    """Its name and options are accepted; that the file is not there is what stops it."""
    text = f"{component.qualified}:folder=nowhere" if component.kind == "denoiser" else component.qualified
    source = ROUTES[component.kind].source(text)
    assert Source.from_plain(source.to_plain()) == source
    assert registry.find(component.kind, component.qualified) == component


def test_what_is_for_python_alone_states_what_it_needs(registry: Recording) -> None:
    for name in IN_PYTHON_ALONE:
        with pytest.raises(InputError, match="needs 'unet'"):
            ROUTES["denoiser"].source(name.split()[1]).load()


@pytest.mark.parametrize("component", [c for c in EVERY if c.kind == "command"], ids=label)
def test_a_command_is_one_of_the_command_line(
    component: Component, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([component.name, "--help"]) == 0
    assert f"jvid {component.name}" in capsys.readouterr().out


def test_options_and_values_are_one_grammar() -> None:
    """What the options of the command line make is what the classes make of the same text."""
    for component in NAMED:
        route, text = ROUTES[component.kind], text_of(component)
        words = command_line(component.kind, text)
        given: dict[str, Any] = {}
        for name, value in zip(words[::2], words[1::2], strict=True):
            given.setdefault(name.removeprefix("--").replace("-", "_"), []).append(value)
        several = ("expert", "text", "wrapper", "noise", "postprocessor", "guidance")
        single = {name: values if name in several else values[0] for name, values in given.items()}
        single["steps"] = int(single["steps"])
        ensemble = {n: v for n, v in single.items() if n in attrs.fields_dict(EnsembleOptions)}
        changes = {n: v for n, v in single.items() if n in attrs.fields_dict(StrategyOptions)}
        assert set(single) == {*ensemble, *changes}
        assert EnsembleOptions(**ensemble).source() == route.source(text)
        assert StrategyOptions(**changes).changed(START) == route.strategy(text)
        assert Choice.parse(text).name == component.qualified
