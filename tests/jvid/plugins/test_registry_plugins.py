"""Plugins that are broken, each at a stage of its own: reported once with distribution and version, and without effect."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from jvid.errors import PluginError, PluginWarning, UnknownNameError
from jvid.plugins import hookimpl
from jvid.plugins.registrar import KINDS, Registrar
from jvid.plugins.registry import Registry
from jvid.selectors import Always
from tests.installed import HELLO, fork, lay_out

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with one plugin module on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("JVID_PLUGINS", raising=False)
    monkeypatch.delenv("JVID_STRICT_PLUGINS", raising=False)
    modules: list[str] = []

    def put(distribution: str, source: str, **more: str) -> None:
        modules.append(lay_out(tmp_path, distribution, source, **more))

    yield put
    for module in modules:
        sys.modules.pop(module, None)


STAGES = {
    # what is broken: (stage, words of the reason, source)
    "import": ("import", "RuntimeError: cannot start", "raise RuntimeError('cannot start')"),
    "missing": ("import", "No module named 'no_such_package'", "import no_such_package"),
    "syntax": ("import", "SyntaxError", "def broken(:"),
    "exit": ("import", "SystemExit: 3", "raise SystemExit(3)"),
    "base": ("import", "Stop: now", "class Stop(BaseException): pass\nraise Stop('now')"),
    "unsaid": (
        "import",
        "a message that cannot be read",
        "class Sly(Exception):\n    def __str__(self): raise KeyError\nraise Sly",
    ),
    "recursion": ("import", "RecursionError", "def f(): f()\nf()"),
    "stdout": ("import", "it replaced sys.stdout", "import io, sys\nsys.stdout = io.StringIO()" + HELLO),
    "stderr": ("import", "it replaced sys.stderr", "import io, sys\nsys.stderr = io.StringIO()" + HELLO),
    "closed": ("import", "it replaced sys.stdin", "import sys\nsys.stdin = None" + HELLO),
    "hook": ("import", "it replaced sys.excepthook", "import sys\nsys.excepthook = print" + HELLO),
    "folder": ("import", "it replaced the working folder", "import os\nos.chdir('/')" + HELLO),
    "later": ("api", "JVID_API 99, this jvid has 1", "JVID_API = 99" + HELLO),
    "odd": ("api", "JVID_API '1'", "JVID_API = '1'" + HELLO),
    "misspelt": ("api", "unknown hook 'jvid_registr'", "@hookimpl\ndef jvid_registr(register): pass"),
    "unmarked": ("api", "implements no hook", "def jvid_register(register): pass"),
    "argument": ("api", "registrar", "@hookimpl\ndef jvid_register(registrar): pass"),
    "half": ("register", "KeyError: 'half way'", HELLO + "    raise KeyError('half way')"),
    "exits": ("register", "SystemExit", HELLO + "    raise SystemExit"),
    "generator": ("register", "returned a generator: expected nothing", HELLO + "    yield"),
    "target": ("register", "expected 'module:attribute'", HELLO + "    register.selector('x', 'not a target')"),
    "no-call": ("register", "'x' is a int: expected a factory", HELLO + "    register.selector('x', 3)"),
    "kind": ("register", "there is no kind 'sorcerer'", HELLO + "    register.sorcerer('x', 'a:b')"),
    "twice": ("register", "registered twice", HELLO + "    register.selector('hello', 'a:b')"),
    "name": ("register", "'Hello World': expected a name", HELLO + "    register.selector('Hello World', 'a:b')"),
}  # fmt: skip


@pytest.mark.parametrize("how", STAGES)
def test_a_broken_plugin_changes_nothing_else(install: Install, how: str) -> None:
    stage, reason, source = STAGES[how]
    bare = Registry()
    before = {kind: bare.names(kind) for kind in KINDS}
    # Before and after it on the path of discovery, which is alphabetical.
    install("a-good", HELLO.replace("hello", "first"))
    install("cartoon-broken", source)
    install("z-good", HELLO.replace("hello", "last"))
    streams, folder, hook = (sys.stdin, sys.stdout, sys.stderr), os.getcwd(), sys.excepthook
    registry = Registry()
    with pytest.warns(PluginWarning) as stated:
        assert registry.load("selector", "last", name="video") == Always("video")
    assert ((sys.stdin, sys.stdout, sys.stderr), os.getcwd(), sys.excepthook) == (streams, folder, hook)
    assert [str(warning.message) for warning in stated] == [str(registry.failures[0])]
    assert str(registry.failures[0]).startswith(
        f"plugin 'cartoon_broken' of cartoon-broken 1.2 failed at {stage}: "
    )
    assert reason in str(registry.failures[0])
    assert "\n" not in str(registry.failures[0])
    with warnings.catch_warnings():  # warned once
        warnings.simplefilter("error")
        assert {kind: registry.names(kind) for kind in KINDS} == {
            **before,
            "selector": (*before["selector"], "first", "last"),
        }
        with pytest.raises(UnknownNameError, match=r"'hello'.*of cartoon-broken 1\.2 failed at " + stage):
            registry.load("selector", "hello")


def test_every_stage_is_broken_somewhere() -> None:
    assert {stage for stage, _, _ in STAGES.values()} == {
        "import",
        "api",
        "register",
    }  # name, metadata: below


@pytest.mark.parametrize("how", ["exit", "stdout", "half", "misspelt", "later"])
def test_a_really_installed_one_leaves_the_command_line_as_it_was(tmp_path: Path, how: str) -> None:
    stage, _, source = STAGES[how]
    before = fork("-m", "jvid", "names", "solver", path=tmp_path)
    lay_out(tmp_path, "cartoon-broken", "print('hello from me')\n" + source)
    after = fork("-m", "jvid", "names", "solver", path=tmp_path)
    assert (after.returncode, after.stdout) == (0, before.stdout)
    lines = [line for line in after.stderr.splitlines() if line != "hello from me"]
    assert len(lines) == 1
    assert lines[0].startswith(
        f"jvid: warning: plugin 'cartoon_broken' of cartoon-broken 1.2 failed at {stage}"
    )
    strict = fork("-m", "jvid", "names", "solver", path=tmp_path, JVID_STRICT_PLUGINS="1")
    assert (strict.returncode, strict.stdout) == (2, "")
    assert "jvid: error: plugin 'cartoon_broken'" in strict.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"entry_points": "[jvid]\nno equals sign here\n"}, "plugin 'cartoon-bad' of cartoon-bad 1.2 failed at metadata"),
        ({"entry_points": "[jvid]\ntoon = no_such_module\n"}, "plugin 'toon' of cartoon-bad 1.2 failed at import"),
        ({"entry_points": "[jvid]\ntoon = cartoon_bad:nobody\n"}, "of cartoon-bad 1.2 failed at import: AttributeError"),
        ({"entry": "a/b"}, "failed at name: InputError: namespace 'a/b': expected a-z"),
        ({"entry": "builtin"}, "failed at name: InputError: the namespace 'builtin' is taken by jvid"),
        ({"metadata": "", "source": "raise OSError"}, "plugin 'cartoon_bad' of cartoon_bad (version unknown) failed at import"),
        ({"metadata": "\x00\x01:", "source": "raise OSError"}, "failed at import"),
    ],
)  # fmt: skip
def test_a_broken_distribution_is_reported(install: Install, more: dict[str, str], words: str) -> None:
    install("cartoon-bad", **{"source": HELLO, **more})
    install("z-good", HELLO.replace("hello", "good"))
    registry = Registry()
    with pytest.warns(PluginWarning) as stated:
        names = registry.names("selector")
    assert len(stated) == 1
    assert words in str(stated[0].message)
    assert "good" in names
    assert "hello" not in names


def test_distributions_that_are_not_ours_are_not_read(install: Install) -> None:
    install("other", HELLO, entry_points="[console_scripts]\nno equals sign\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "ddpm" in Registry().names("solver")


def test_the_first_distribution_on_the_path_hides_the_others(install: Install, tmp_path: Path) -> None:
    install("cartoon", HELLO)
    later = tmp_path / "later"
    later.mkdir()
    lay_out(later, "cartoon", HELLO.replace("hello", "old"), module="older")
    sys.path.append(str(later))
    try:
        names = Registry().names("selector")
    finally:
        sys.path.remove(str(later))
    assert ("hello" in names, "old" in names) == (True, False)


def test_strict_raises_at_every_question(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("cartoon-broken", STAGES["import"][2])
    monkeypatch.setenv("JVID_STRICT_PLUGINS", "1")
    registry = Registry()
    for _ in range(2):
        with pytest.raises(
            PluginError, match=r"cartoon-broken 1\.2 failed at import.*cannot start"
        ) as caught:
            registry.names("solver")
        assert isinstance(caught.value.__cause__, RuntimeError)
    monkeypatch.setenv("JVID_STRICT_PLUGINS", "0")
    with pytest.warns(PluginWarning):
        assert "ddpm" in registry.names("solver")


def test_warnings_made_errors_leave_a_whole_registry(install: Install) -> None:
    install("a-broken", "raise RuntimeError")
    install("z-good", HELLO)
    registry = Registry()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PluginWarning, match="a-broken"):
            registry.names("solver")
        assert "hello" in registry.names("selector")


@pytest.mark.parametrize(
    ("allowed", "there"),
    [("", False), ("cartoon_good", True), ("models , cartoon_good", True), ("models", False)],
)
def test_plugins_can_be_restricted(
    install: Install, monkeypatch: pytest.MonkeyPatch, allowed: str, there: bool
) -> None:
    install("cartoon-broken", STAGES["import"][2])
    install("cartoon-good", HELLO)
    monkeypatch.setenv("JVID_PLUGINS", allowed)
    registry = Registry()
    assert ("hello" in registry.names("selector")) is there
    assert ("actions-64" in registry.names("ensemble")) is ("models" in allowed)
    assert "always" in registry.names("selector")
    assert registry.failures == ()
    assert ("cartoon_good" in registry.left_out) is not there
    assert "cartoon_broken" not in sys.modules
    if not there:
        with pytest.raises(UnknownNameError, match=r"JVID_PLUGINS leaves out .*cartoon_good"):
            registry.load("selector", "hello")


def test_a_restriction_to_no_clip_is_reported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("cartoon-good", HELLO)
    monkeypatch.setenv("JVID_PLUGINS", "cartoon_god")
    with pytest.warns(PluginWarning, match=r"names 'cartoon_god'.*installed plugin \(.*cartoon_good"):
        Registry().names("solver")


def test_a_namespace_is_taken_once(install: Install) -> None:
    install("first", HELLO, entry="toon")
    install("second", HELLO.replace("hello", "other"), entry="toon")
    install("usurper", HELLO, entry="builtin")
    registry = Registry()
    with pytest.warns(PluginWarning, match="taken by") as stated:
        names = registry.names("selector")
    assert len(stated) == 2
    assert "hello" in names
    assert "other" not in names
    assert {failure.distribution for failure in registry.failures} == {"second 1.2", "usurper 1.2"}
    assert {failure.stage for failure in registry.failures} == {"name"}


def test_a_collision_between_installed_plugins_lists_both(install: Install) -> None:
    install("one", HELLO)
    install("two", HELLO)
    with pytest.raises(
        UnknownNameError, match=r"ambiguous: use one of one/hello \(one 1\.2\), two/hello \(two 1\.2\)"
    ):
        Registry().load("selector", "hello")


def test_a_plugin_that_keeps_its_registrar_is_refused_later() -> None:
    kept: list[Registrar] = []

    @hookimpl
    def jvid_register(register: Registrar) -> None:
        kept.append(register)

    registry = Registry(entry_points=False)
    registry.add(jvid_register, "late")
    with pytest.raises(ValueError, match="'x' comes too late"):
        kept[0].selector("x", Always)
    assert registry.names("selector") == ()


def test_a_plugin_may_ask_for_names_while_it_registers(install: Install) -> None:
    install("asking", "import jvid.plugins.registry as r\nprint(r.current().names('solver'))" + HELLO)
    assert "hello" in Registry().names("selector")


def test_threads_see_all_plugins(install: Install) -> None:
    install("slow", "import time\ntime.sleep(.2)" + HELLO)
    registry, seen = Registry(), []
    threads = [threading.Thread(target=lambda: seen.append(registry.names("selector"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("hello" in names for names in seen)
    assert len(seen) == 3


def test_an_interrupt_stops(install: Install) -> None:
    install("interrupted", "raise KeyboardInterrupt")
    registry = Registry()
    with pytest.raises(KeyboardInterrupt):
        registry.names("solver")
    sys.modules["interrupted"] = SimpleNamespace(jvid_register=hookimpl(lambda register: None))
    assert "ddpm" in registry.names("solver")
