"""``jvid plugins``, ``jvid names`` and ``jvid show``: what is installed, listed without loading it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from jvid.cli import main
from jvid.errors import PluginWarning
from jvid.plugins import hookimpl
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry, using
from jvid.selectors import Always
from tests.installed import HELLO, fork, lay_out, run
from tests.toy import toy_registry

HEAVY = {"av", "diffusers", "matplotlib", "numpy", "torch", "transformers"}


@attrs.frozen
class Windy:
    """Blows.

    Args:
        force: how much.
    """

    force: float = attrs.field(converter=float)
    names: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    table: dict[str, int] = attrs.field(factory=dict)

    def __call__(self, step: object, u: float) -> dict[str, float]:
        return {}


def breezy(name: str, *, often: "bool | None" = None, **more: object) -> Always:  # noqa: UP037
    return Always(name)


class Weather:
    @hookimpl
    def jvid_register(self, register: Registrar) -> None:
        register.selector("windy", Windy)
        register.selector("gusty", Windy, help="Another name for it.")
        register.selector("breezy", partial(breezy, often=True))
        register.selector("always", "jvid.selectors:Always")
        register.selector("gone", "no_such_package:Thing")

    @hookimpl
    def jvid_resolve(self, kind: str, name: str) -> object:
        return breezy if name == "hurricane" else None


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = toy_registry()
    registry.add(Weather(), "weather", "weather 0.3")
    with pytest.warns(PluginWarning):
        registry.add(SimpleNamespace(JVID_API=99), "stale", "stale 9.9")
    with using(registry):
        yield registry


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    stated = capsys.readouterr()
    assert stated.err == ""
    return stated.out


def test_plugins_lists_each_and_what_it_registers(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "plugins").splitlines()
    assert [line.split()[0] for line in lines] == ["builtin", "toys", "training", "weather", "stale"]
    assert lines[1].split() == ["toys", "toys", "1.0", "ensemble", "1,", "command", "2"]
    assert lines[3].split() == ["weather", "weather", "0.3", "selector", "5,", "names", "on", "demand"]
    solvers = len(registry.names("solver"))
    assert f"solver {solvers}," in lines[0]
    assert "stale 9.9" in lines[4]
    assert "BROKEN at api: InputError: it requires JVID_API 99" in lines[4]


def test_plugins_of_installed_distributions(tmp_path: Path) -> None:
    lay_out(tmp_path, "cartoon", HELLO)
    lay_out(tmp_path, "cartoon-broken", "raise RuntimeError('cannot start')")
    done = run("-m", "jvid", "plugins", path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()) for line in done.stdout.splitlines()}
    assert rows["cartoon"] == "cartoon cartoon 1.2 selector 1"
    assert rows["cartoon_broken"] == (
        "cartoon_broken cartoon-broken 1.2 BROKEN at import: RuntimeError: cannot start"
    )
    strict = fork("-m", "jvid", "plugins", path=tmp_path, JVID_STRICT_PLUGINS="1")
    assert strict.returncode == 2
    restricted = fork("-m", "jvid", "plugins", path=tmp_path, JVID_PLUGINS="cartoon")
    rows = {line.split()[0]: " ".join(line.split()) for line in restricted.stdout.splitlines()}
    assert list(rows) == ["builtin", "cartoon", "models", "training", "cartoon_broken"]
    assert rows["cartoon_broken"] == "cartoon_broken - left out by JVID_PLUGINS"


def test_an_empty_registry_has_no_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    with using(Registry(entry_points=False)):
        assert printed(capsys, "plugins") == "no plugins\n"


def test_names_of_a_kind(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {line.split()[0]: line for line in printed(capsys, "names", "selector").splitlines()}
    assert {"windy", "gusty", "weather/always", "always"} <= set(rows) - {"builtin/always"}
    assert rows["windy"].split()[1:] == ["weather", "(weather", "0.3)", "Blows."]
    assert main(["names", "selectr"]) == 2
    assert "did you mean selector" in capsys.readouterr().err


def test_show_prints_options_origin_and_words(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "show", "selector", "windy")
    head, options, words = shown.split("\n\n", 2)
    assert head.splitlines() == [
        "selector weather/windy",
        "  from    plugin weather of weather 0.3",
        "  source  tests.jvid.cli.test_plugins:Windy",
        "  names   windy, weather/windy, gusty, weather/gusty",
        "  help    Blows.",
    ]
    assert options.splitlines() == [
        "  force  float            needed",
        "  names  tuple[str, ...]  default ()",
        "  table  dict[str, int]   default made for each",
    ]
    assert words == "  Blows.\n\n  Args:\n      force: how much.\n"


def test_show_of_functions_partials_and_ambiguous_names(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(capsys, "show", "selector", "breezy")
    assert "source  tests.jvid.cli.test_plugins:breezy" in shown
    assert [line.split() for line in shown.splitlines()[-3:]] == [
        ["name", "str", "needed"], ["often", "bool", "|", "None", "default", "True"], ["**more", "any", "others"],
    ]  # fmt: skip
    assert "names   weather/always, always, builtin/always" in printed(
        capsys, "show", "selector", "weather/always"
    )
    assert "names   weather/hurricane" in printed(capsys, "show", "selector", "hurricane")
    shown = printed(capsys, "show", "selector", "always")
    assert "plugin builtin of jvid test" in " ".join(shown.split())
    assert "names   always, builtin/always" in shown
    assert main(["show", "selector", "windi"]) == 2
    assert "did you mean windy" in capsys.readouterr().err
    assert main(["show", "selector", "gone"]) == 2
    assert "selector weather/gone (weather 0.3) cannot be imported" in capsys.readouterr().err


def test_every_registered_component_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    registry = Registry()
    with using(registry):
        for plugin in registry.plugins:
            for component in plugin.components:
                shown = printed(capsys, "show", component.kind, component.qualified)
                assert f"plugin {plugin.name} of " in shown, component
                assert component.help in shown


def modules_after(*words: str) -> set[str]:
    code = (
        "import json, sys, jvid.cli\n"
        f"assert jvid.cli.main({list(words)!r}) == 0\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [["plugins"], ["names"], ["names", "solver"], ["--help"], ["show", "--help"]]
)
def test_listing_loads_nothing_heavy(words: list[str]) -> None:
    loaded = modules_after(*words)
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.startswith("jvid.solvers")} == set()


def test_show_imports_the_one_module_alone() -> None:
    loaded = modules_after("show", "selector", "always")
    assert "jvid.selectors" in loaded
    assert loaded & {*HEAVY, "jvid.schedules", "jvid.solvers", "jvid.noise", "jvid.core.sampler"} == set()
    loaded = modules_after("show", "solver", "ddim")
    assert "jvid.solvers.ddim" in loaded
    assert (
        loaded & {"diffusers", "transformers", "jvid.selectors", "jvid.noise", "jvid.core.sampler"} == set()
    )
