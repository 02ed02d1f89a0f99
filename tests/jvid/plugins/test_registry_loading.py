"""What ``load`` reports of a factory that fails, or that makes what cannot be of its kind."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from jvid.core.members import missing_members
from jvid.errors import InputError, MissingDependencyError, PluginError, UnknownNameError
from jvid.plugins import builtins, hookimpl
from jvid.plugins.registrar import KINDS, Registrar
from jvid.plugins.registry import Registry
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid.testing import GaussianOracle
from tests.installed import ROOT
from tests.jvid.plugins import typed


def registry_of(kind: str, factory: Any, name: str = "mine") -> Registry:
    @hookimpl
    def jvid_register(register: Registrar) -> None:
        getattr(register, kind)(name, factory)

    registry = Registry(entry_points=False)
    registry.add(jvid_register, "cartoon", "cartoon 2.0")
    return registry


class NoStep:
    order = 1

    def init(self) -> None: ...


class NoSchedule:
    def __call__(self, x: Any, t: Any, cond: Any) -> Any: ...


class Lazy:
    """A denoiser whose schedule is known when its network is."""

    @property
    def schedule(self) -> FlowMatching:
        raise AssertionError("loaded")

    def __call__(self, x: Any, t: Any, cond: Any) -> Any: ...


class Module(torch.nn.Module):
    """As networks are: its attributes come from ``__getattr__``, its call takes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = torch.nn.Identity()


@pytest.mark.parametrize(
    ("kind", "made", "words"),
    [
        ("solver", NoStep(), "type NoStep that has no 'step'; expected order, init() and step(x, step, denoise, noise, memory)"),
        ("solver", DDIM, "made the class DDIM; expected an object of it"),
        ("solver", lambda x: x, "has no 'order'"),
        ("denoiser", NoSchedule(), "type NoSchedule that has no 'schedule'; expected schedule and a call (x, t, cond)"),
        ("wrapper", NoSchedule(), "has no 'schedule'"),
        ("denoiser", torch.nn.Identity(), "type Identity that has no 'schedule'"),
        ("selector", "video", "type str that cannot be called; expected a call (step, u)"),
        ("selector", lambda step: {}, "cannot be called as (step, u)"),
        ("noise", lambda shape: None, "cannot be called as (shape, draw)"),
        ("postprocessor", lambda x, t: x, "cannot be called as (x)"),
        ("grid", (1.0, 0.0), "type tuple that cannot be called; expected a call (schedule)"),
        ("grid", lambda: (1.0, 0.0), "cannot be called as (schedule)"),
        ("schedule", lambda t: (t, t), "has no 'time_at'"),
        ("codec", object(), "has no 'decode'"),
        ("text", lambda: {}, "cannot be called as (prompts)"),
        ("ensemble", None, "made None; expected it to return the component"),
    ],
)  # fmt: skip
def test_a_factory_that_makes_the_wrong_thing_is_reported(kind: str, made: object, words: str) -> None:
    with pytest.raises(PluginError) as caught:
        registry_of(kind, lambda: made).load(kind, "mine")
    printed = str(caught.value)
    assert printed.startswith(f"{kind} cartoon/mine (cartoon 2.0) made ")
    assert words in printed
    assert "\n" not in printed


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("denoiser", Lazy()), ("denoiser", Module()), ("wrapper", GaussianOracle(FlowMatching())),
        ("ensemble", object()), ("selector", lambda *anything: {}), ("selector", Always("a")), ("solver", DDIM()),
        ("schedule", TabulatedSchedule.cosine()), ("noise", lambda shape, draw, extra=1: draw("z", shape)),
        ("grid", lambda schedule=None: (1.0, 0.0)), ("postprocessor", torch.nn.Identity()), ("postprocessor", abs),
    ],
)  # fmt: skip
def test_what_can_be_of_its_kind_is_let_through(kind: str, made: object) -> None:
    assert registry_of(kind, lambda: made).load(kind, "mine") is made


def test_every_kind_that_is_loaded_is_looked_at() -> None:
    assert {kind for kind in KINDS if missing_members(kind, None) is None} == {"command"}


def test_built_ins_are_what_their_kind_requires() -> None:
    registry = Registry(entry_points=False)
    registry.add(builtins, "builtin")
    needs = {"grid": {"steps": 4}, "noise": {"ratio": 0.5}, "postprocessor": {}, "schedule": {}, "solver": {}}
    built = 0
    for kind, options in needs.items():
        for name in registry.names(kind):
            try:
                registry.load(kind, name, **options)
            except InputError:  # it has other options
                continue
            built += 1
    assert built >= 15


def raiser(error: BaseException) -> Callable[[], None]:
    def factory() -> None:
        raise error

    return factory


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RuntimeError("oh\nno"), PluginError, "failed: RuntimeError: oh no"),
        (SystemExit(3), PluginError, "failed: SystemExit: 3"),
        (AttributeError(), PluginError, "failed: AttributeError: no message"),
        (ValueError("bad"), InputError, "ValueError: bad"),
        (FileNotFoundError("w.bin"), MissingDependencyError, "lacks something: FileNotFoundError: w.bin"),
        (ModuleNotFoundError("No module named 'x'"), MissingDependencyError, "lacks something"),
        (MissingDependencyError("pip install x"), MissingDependencyError, "pip install x"),
    ],
)
def test_a_factory_that_fails_is_named_with_its_distribution(
    error: BaseException, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        registry_of("selector", raiser(error)).load("selector", "mine")
    assert "selector cartoon/mine (cartoon 2.0)" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError("4 GB"), KeyboardInterrupt()])
def test_no_memory_and_an_interrupt_pass_as_they_are(error: BaseException) -> None:
    """Neither is a fault of the plugin."""
    with pytest.raises(type(error)) as caught:
        registry_of("selector", raiser(error)).load("selector", "mine")
    assert caught.value is error
    registry = Registry(entry_points=False)
    registry.add(resolver(lambda kind, name: raiser(error)()), "large", "large 1")
    with pytest.raises(type(error)) as caught:
        registry.load("selector", "any")
    assert caught.value is error


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        ("no_such_package:Thing", MissingDependencyError, "no_such_package"),
        ("jvid.selectors:Allways", PluginError, "Allways"),
        ("jvid.plugins.registrar:KINDS", PluginError, "is a tuple, not something to call"),
        ("tests.exits:anything", PluginError, "SystemExit: 4"),
    ],
)
def test_a_lazy_target_that_fails_is_named_too(target: str, kind: type[Exception], words: str) -> None:
    registry = registry_of("selector", target)
    assert registry.names("selector") == ("mine",)  # listing does not import it
    with pytest.raises(kind, match=r"selector cartoon/mine \(cartoon 2\.0\) cannot be imported: ") as caught:
        registry.load("selector", "mine")
    assert words in str(caught.value)


def resolver(answer: Callable[[str, str], object]) -> Any:
    @hookimpl
    def jvid_resolve(kind: str, name: str) -> object:
        return answer(kind, name)

    return jvid_resolve


def test_dynamic_names_of_several_plugins() -> None:
    registry = Registry(entry_points=False)
    registry.add(resolver(lambda kind, name: 1 / 0), "broken", "broken 1")
    registry.add(
        resolver(lambda kind, name: raiser(SystemExit())() if name == "out" else None), "exits", "exits 1"
    )
    registry.add(resolver(lambda kind, name: "not a target" if name == "odd" else None), "odd", "odd 1")
    registry.add(resolver(lambda kind, name: (lambda: Always(name)) if name < "c" else None), "hub", "hub 1")
    # A broken neighbour changes nothing.
    assert registry.load("selector", "b") == Always("b")
    assert registry.load("selector", "hub/b") == Always("b")
    with pytest.raises(
        UnknownNameError, match=r"'broken' of broken 1 failed at resolve of selector 'z'.*ZeroDivision"
    ):
        registry.load("selector", "z")
    with pytest.raises(
        UnknownNameError, match=r"'odd' of odd 1 failed at resolve.*expected 'module:attribute'"
    ):
        registry.load("selector", "odd/odd")
    with pytest.raises(UnknownNameError, match=r"'exits' of exits 1 failed at resolve.*SystemExit"):
        registry.load("selector", "out")
    registry.add(resolver(lambda kind, name: lambda: Always("other")), "other", "other 1")
    with pytest.raises(UnknownNameError, match=r"ambiguous: use one of hub/b \(hub 1\), other/b \(other 1\)"):
        registry.load("selector", "b")
    assert registry.load("selector", "other/b") == Always("other")


def test_a_literal_is_one_of_its_values() -> None:
    registry = Registry(entry_points=False)
    registry.add(builtins, "builtin")
    assert registry.load("solver", "pndm", start="runge-kutta").start == "runge-kutta"
    with pytest.raises(InputError, match="solver 'pndm' got start='rk': expected 'plms' or 'runge-kutta'"):
        registry.load("solver", "pndm", start="rk")


def test_a_factory_lends_its_docstring() -> None:
    def mine(names: Sequence[str] = ()) -> Always:
        """One expert,
        always.

        And more.
        """
        return Always("a")

    (component,) = registry_of("selector", mine).components("selector")
    assert component.help == "One expert, always."


def test_a_type_checker_finds_wrong_registrations() -> None:
    """mypy, strictly, in `make lint`: an error that it no longer finds is an unused "type: ignore", itself an error."""
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert typed.__name__ in mypy["modules"]
    assert mypy["strict"] is True
    assert not {"warn_unused_ignores", "disable_error_code"} & mypy.keys()
    assert "$(BIN)/mypy\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    errors = re.findall(
        r"(\S+)\(.*# type: ignore\[([\w, -]+)\]", Path(typed.__file__).read_text(encoding="utf-8")
    )
    assert errors == [
        ("register.solver", "arg-type"), ("register.sorcerer", "attr-defined"), ("@register.noise", "arg-type")
    ]  # fmt: skip
