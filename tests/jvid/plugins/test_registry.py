"""The registry: names, options, and plugins that must not break one another."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import jvid
from jvid.ensemble import Composition
from jvid.errors import InputError, MissingDependencyError, PluginError, UnknownNameError
from jvid.plugins import builtins, discovery, hookimpl
from jvid.plugins.registrar import KINDS, Registrar
from jvid.plugins.registry import Registry, current, using
from jvid.schedules import TabulatedSchedule
from jvid.selectors import Always, PiecewiseAffine
from jvid.solvers import DDIM
from jvid.strategy import Strategy
from tests.toy import toy_registry

ROOT = Path(__file__).resolve().parents[3]
Install = Callable[..., None]


@pytest.fixture
def registry() -> Registry:
    return toy_registry()


def plugin(**components: Callable[..., object]) -> SimpleNamespace:
    """A plugin that registers selectors."""

    @hookimpl
    def jvid_register(register: Registrar) -> None:
        for name, factory in components.items():
            register.selector(name, factory)

    return SimpleNamespace(jvid_register=jvid_register)


def test_builtins_load_by_bare_and_qualified_name(registry: Registry) -> None:
    assert registry.load("selector", "always", name="video") == Always("video")
    assert registry.load("solver", "builtin/ddim", eta=0.5) == DDIM(0.5)


def test_every_builtin_is_what_its_kind_requires(registry: Registry) -> None:
    from jvid.core import protocols

    needs = {
        "piecewise-affine": {"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.3},
        "always": {"name": "video"},
        "explicit": {"times": (1.0, 0.0)},
        "native": {"steps": 2, "ensemble": SimpleNamespace(times=lambda steps: (1.0, 0.5, 0.0))},
        "shared": {"ratio": 0.5},
        "scaled": {"gamma": 0.5},
        "mixed": {"alpha": 1.0},
        "progressive": {"alpha": 1.0},
        "random": {"experts": "a+b"},
        "boundary": {"experts": "a+b", "at": 0.5},
        "cycle": {"experts": "a+b"},
        "table": {"rows": "a*2+b"},
        "blend": {"experts": "a+b", "knots": "0:1:0+1:0:1"},
    }
    reference = TabulatedSchedule.scaled_linear()
    kinds = {
        "selector": protocols.Selector, "solver": protocols.Solver, "schedule": protocols.NoiseSchedule,
        "noise": protocols.NoiseSampler, "postprocessor": protocols.LatentPostprocessor,
    }  # fmt: skip
    seen = 0
    for kind in (*kinds, "grid"):
        for name in registry.names(kind):
            options = needs.get(name, {"steps": 4} if kind == "grid" else {})
            built = registry.load(kind, name, **options)
            assert isinstance(built, kinds[kind]) if kind in kinds else built(reference)[-1] == 0.0
            seen += 1
    assert seen >= 34


def test_the_installed_distribution_registers_all_three_plugins() -> None:
    registry = Registry()
    names = [plugin.name for plugin in registry.plugins]
    assert names[:3] == ["builtin", "models", "training"]
    assert "actions-64" in registry.names("ensemble")


def test_a_source_tree_knows_the_plugins_that_pyproject_declares(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["jvid"] == discovery._declared()
    assert discovery._declared(tmp_path) == {"builtin": "jvid.plugins.builtins"}
    monkeypatch.setattr(discovery.importlib.metadata, "distributions", lambda: ())
    assert "ddpm" in Registry().names("solver")


def test_jvid_load_uses_the_current_registry(registry: Registry) -> None:
    registry.add(plugin(mine=lambda: Always("me")), "me")
    before = current()
    with using(registry):
        assert jvid.load("selector", "mine") == Always("me")
    assert current() is before
    with pytest.raises(UnknownNameError):
        jvid.load("selector", "mine")


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("selector", "piecewise-afine", "did you mean piecewise-affine?"),
        ("selector", "builtin/alway", "did you mean builtin/always or"),
        ("selector", "zzz", "expected one of piecewise-affine, always"),
        ("text", "zzz", "no plugin registers any"),
        ("selectr", "always", "unknown kind 'selectr': did you mean selector or solver"),
        ("zzz", "always", "unknown kind 'zzz': expected one of ensemble, denoiser"),
        ("solver", "always", "expected one of ddpm"),
        ("solver", "always", "there is a selector of this name"),
    ],
)
def test_unknown_names_say_what_there_is(registry: Registry, kind: str, name: str, words: str) -> None:
    with pytest.raises(UnknownNameError, match=words.replace("?", r"\?")):
        registry.load(kind, name)


@pytest.mark.parametrize(
    ("kind", "name", "options", "words"),
    [
        ("solver", "ddim", {"et": 1}, "solver 'ddim' has no option 'et': it accepts eta=0.0"),
        ("solver", "ddim", {"eta": "much"}, "solver 'ddim' got eta='much': expected a number"),
        ("solver", "ddim", {"eta": 3}, "eta=3; expected a number from 0"),
        ("solver", "ddpm", {"eta": 1}, "it accepts no options"),
        ("selector", "always", {}, "needs 'name'"),
        ("selector", "always", {"name": 3}, "expected text"),
        ("grid", "leading", {"steps": True}, "expected a whole number"),
        ("grid", "leading", {"steps": 2.5}, "expected a whole number"),
        ("selector", "piecewise-affine", {"t_v": 0.7, "t_e": 0.2, "p_e": 0, "p_f": 0}, "t_v < t_e"),
        ("postprocessor", "uniform", {"size": 4}, "odd number"),
    ],
)
def test_wrong_options_name_component_and_option(
    registry: Registry, kind: str, name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        registry.load(kind, name, **options)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_collision_lists_every_candidate(registry: Registry) -> None:
    registry.add(plugin(still=lambda: Always("theirs")), "cartoon", "cartoon 2.0")
    assert "still" in registry.names("selector")
    registry.add(plugin(still=lambda: Always("mine")), "comic", "jvid-comic 1.0")
    assert {"comic/still", "cartoon/still"} <= set(registry.names("selector")) - {"still"}
    with pytest.raises(
        UnknownNameError, match=r"cartoon/still \(cartoon 2\.0\), comic/still \(jvid-comic 1\.0\)"
    ):
        registry.load("selector", "still")
    assert registry.load("selector", "cartoon/still") == Always("theirs")
    assert registry.load("selector", "comic/still") == Always("mine")


def test_a_built_in_keeps_its_bare_name(registry: Registry) -> None:
    """A strategy that was saved with it stays what it is, whatever is installed later."""
    registry.add(plugin(always=lambda: Always("theirs")), "cartoon", "cartoon 2.0")
    assert {"always", "cartoon/always"} <= set(registry.names("selector")) - {"builtin/always"}
    assert registry.load("selector", "always", name="video") == Always("video")
    assert registry.load("selector", "builtin/always", name="video") == Always("video")
    assert registry.load("selector", "cartoon/always") == Always("theirs")
    with using(registry):
        assert Composition(Strategy(selector="always:name=video")).plan().experts == ("video",)


def test_the_registrar_decorates_and_takes_lazy_targets(registry: Registry) -> None:
    @hookimpl
    def jvid_register(register: Registrar) -> None:
        @register.selector("coin")
        def coin(p: float = 0.5) -> PiecewiseAffine:
            return PiecewiseAffine(0.0, 0.1, p, p)

        assert coin(0.25).p_e == 0.25
        register.selector("lazy", "jvid.selectors:Always")
        register.selector("gone", "no_such_package:Thing")
        register.selector("typo", "jvid.selectors:Allways")

    registry.add(SimpleNamespace(jvid_register=jvid_register), "cartoon", "cartoon 2.0")
    assert registry.load("selector", "coin", p=0.1).p_f == 0.1
    assert registry.load("selector", "lazy", name="image") == Always("image")
    with pytest.raises(MissingDependencyError, match=r"cartoon/gone \(cartoon 2\.0\).*no_such_package"):
        registry.load("selector", "gone")
    with pytest.raises(PluginError, match=r"cartoon/typo \(cartoon 2\.0\).*Allways"):
        registry.load("selector", "typo")


def test_a_factory_that_fails_is_named_with_its_distribution(registry: Registry) -> None:
    def bad() -> None:
        raise RuntimeError("oh\nno")

    registry.add(plugin(bad=bad), "cartoon", "cartoon 2.0")
    with pytest.raises(PluginError, match=r"cartoon/bad \(cartoon 2\.0\) failed: RuntimeError: oh no"):
        registry.load("selector", "bad")


def test_a_folder_may_begin_with_the_name_of_a_plugin(registry: Registry) -> None:
    @hookimpl
    def jvid_resolve(kind: str, name: str) -> object:
        return (lambda: Always(name)) if (kind, name) == ("selector", "builtin/here") else None

    registry.add(SimpleNamespace(jvid_resolve=jvid_resolve), "files", "files 1")
    assert registry.load("selector", "builtin/here") == Always("builtin/here")
    with pytest.raises(UnknownNameError):
        registry.load("selector", "builtin/there")


def test_dynamic_names_are_resolved_last(registry: Registry) -> None:
    @hookimpl
    def jvid_resolve(kind: str, name: str) -> object:
        if name == "trouble":
            raise OSError("no network")
        return (lambda: Always(f"{kind}:{name}")) if name in ("anything", "always") else None

    registry.add(SimpleNamespace(jvid_resolve=jvid_resolve), "hub", "hub 3")
    assert registry.load("selector", "anything") == Always("selector:anything")
    assert registry.load("selector", "hub/always") == Always("selector:always")
    assert registry.load("selector", "always", name="video") == Always("video")
    with pytest.raises(UnknownNameError):
        registry.load("selector", "nothing")
    with pytest.raises(
        UnknownNameError, match=r"unknown selector 'trouble'.*'hub' of hub 3 failed at resolve.*no network"
    ):
        registry.load("selector", "trouble")


def test_a_registry_without_entry_points_is_empty() -> None:
    assert all(Registry(entry_points=False).names(kind) == () for kind in KINDS)


def test_the_registrar_has_a_method_for_each_kind() -> None:
    assert set(KINDS) == set(Registrar.__annotations__)


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys, jvid, jvid.plugins.registry, jvid.cli, jvid.cli.app\n"
        "[jvid.plugins.registry.names(kind) for kind in jvid.plugins.registry.KINDS]\n"
        "jvid.cli.app.command()\n"
        "assert jvid.cli.main(['names']) == 0 and jvid.cli.main([]) == 0\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'matplotlib', 'av', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_builtins_declare_the_hooks_that_they_were_written_for() -> None:
    assert builtins.JVID_API == 1
