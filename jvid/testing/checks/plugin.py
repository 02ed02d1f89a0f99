"""Checks of plugins: a module with ``jvid_register``, or the namespace of an installed one.

The subject is the namespace of an entry point (``"builtin"``), the name of a module, a module, or any object with the hook.
Options: ``options``, by ``kind/name``, what a factory is built with beside its defaults; ``unbuilt``, kinds that are not
built because that takes files or time.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import warnings
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from jvid.errors import InputError, JvidError, MissingDependencyError, PluginWarning
from jvid.plugins.hookspecs import PROJECT
from jvid.plugins.options import parameters
from jvid.plugins.registrar import Component
from jvid.plugins.registry import Registry
from jvid.testing.checking import check, declare
from jvid.testing.interpreters import run_script
from jvid.testing.trial import Trial

declare("plugin", options={}, unbuilt=("command",))

HEAVY = ("torch", "diffusers", "transformers", "tensorflow", "jax", "cv2", "av", "PIL", "scipy", "pandas")
"""What listing plugins must not import."""

NAME = "subject"

SCRIPT = f"""
import sys, warnings
from jvid.plugins.registry import Registry
before = {{name for name in {HEAVY!r} if name in sys.modules}}
import importlib
module = importlib.import_module(sys.argv[1])
registry = Registry(entry_points=False)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    registry.add(module, {NAME!r})
print(",".join(name for name in {HEAVY!r} if name in sys.modules and name not in before))
"""


def _module_name(subject: Any) -> str | None:
    """Of the plugin's module, None for an object that is none."""
    if isinstance(subject, ModuleType):
        return subject.__name__
    if not isinstance(subject, str):
        return None
    for point in importlib.metadata.entry_points(group=PROJECT):
        if point.name == subject:
            return str(point.module)
    return subject


def _object(subject: Any) -> Any:
    name = _module_name(subject)
    return subject if name is None else importlib.import_module(name)


def _registry(subject: Any, *others: tuple[object, str]) -> Registry:
    """A registry of the built-ins, the others and the subject, in this order."""
    import jvid.plugins.builtins

    registry = Registry(entry_points=False, strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        own = _object(subject)
        if own is not jvid.plugins.builtins:
            registry.add(jvid.plugins.builtins, "builtin")
        for other, name in others:
            registry.add(other, name)
        registry.add(own, NAME)
    return registry


def _components(subject: Any) -> tuple[Component, ...]:
    registry = _registry(subject)
    failed = [str(failure) for failure in registry.failures]
    assert not failed, f"left out: {failed[0]}"
    (found,) = [plugin.components for plugin in registry.plugins if plugin.name == NAME]
    return found


@check("plugin")
def it_is_admitted(subject: Any, trial: Trial) -> None:
    """It is imported and registers without an error, and registers or resolves something."""
    found = _components(subject)
    resolves = hasattr(_object(subject), "jvid_resolve")
    assert found or resolves, "it registers nothing"


@check("plugin")
def importing_is_light(subject: Any, trial: Trial) -> None:
    """Importing and registering it loads none of torch and its like; seen in a process of its own."""
    name = _module_name(subject)
    if name is None:
        trial.skip("it is no module")
    done = run_script(SCRIPT, name)
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    assert done.returncode == 0, f"a process that imports {name} fails: {last}"
    heavy = (done.stdout.strip().splitlines() or [""])[-1]
    assert not heavy, f"it imports {heavy}: name the code that needs it as 'module:attribute'"


@check("plugin")
def names_are_its_own(subject: Any, trial: Trial) -> None:
    """None of its names is a built-in's: the bare name would be the built-in's."""
    import jvid.plugins.builtins

    if _object(subject) is jvid.plugins.builtins:
        trial.skip("it is the built-ins")
    taken = {
        (c.kind, c.name) for p in _registry(subject).plugins if p.name == "builtin" for c in p.components
    }
    for component in _components(subject):
        label = f"{component.kind} {component.name!r}"
        assert (component.kind, component.name) not in taken, f"{label} is a built-in's name"


@check("plugin")
def components_have_help(subject: Any, trial: Trial) -> None:
    """Each component has one line of help, and its factory has a docstring."""
    for component in _components(subject):
        label = f"{component.kind} {component.name!r}"
        one_line = component.help.strip() != "" and "\n" not in component.help
        assert one_line, f"{label} has help {component.help!r}: expected one line"
        try:
            factory = component.factory()
        except MissingDependencyError:
            continue
        documented = inspect.getdoc(factory) or inspect.getdoc(getattr(factory, "func", None))
        assert documented, f"{label}: its factory has no docstring"


@check("plugin")
def factories_build_or_say_why(subject: Any, trial: Trial) -> None:
    """Each factory builds, or raises an error of jvid that names the option or package that it lacks."""
    registry = _registry(subject)
    given = trial.option("options")
    for component in _components(subject):
        label = f"{component.kind} {component.name!r}"
        try:
            factory = component.factory()
        except MissingDependencyError:
            continue
        except JvidError as error:
            raise AssertionError(f"{label}: {error}") from error
        if component.kind in trial.option("unbuilt"):
            continue
        options = given.get(f"{component.kind}/{component.name}", {})
        built, refusal = _built(registry, component, options)
        if refusal is None:
            assert built is not None, f"{label} built None"
            continue
        lacks = any(
            p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
            for p in parameters(factory).values()
        )
        named = isinstance(refusal, MissingDependencyError) or (
            isinstance(refusal, InputError) and lacks and not options
        )
        assert named, f"{label} with {options or 'no options'}: {refusal}"


def _built(registry: Registry, component: Component, options: Any) -> tuple[Any, JvidError | None]:
    try:
        with torch.random.fork_rng(devices=[]):  # networks draw the weights that they begin with
            return registry.load(component.kind, f"{NAME}/{component.name}", **options), None
    except JvidError as error:
        return None, error


@check("plugin")
def registering_repeats(subject: Any, trial: Trial) -> None:
    """In a second registry it registers the same: nothing is kept in the module."""
    first = [(c.kind, c.name) for c in _components(subject)]
    second = [(c.kind, c.name) for c in _components(subject)]
    assert first == second, f"first {first}, then {second}"


@check("plugin")
def neighbours_change_nothing(subject: Any, trial: Trial) -> None:
    """Beside a broken plugin it registers the same, and beside it the built-ins are what they were."""

    def broken(register: Any) -> None:
        register.selector("half", "jvid.selectors:Always")
        raise RuntimeError("broken on purpose")

    from jvid.plugins import hookimpl

    neighbour = SimpleNamespace(jvid_register=hookimpl(broken, specname="jvid_register"))
    alone = [(c.kind, c.name, c.help) for c in _components(subject)]
    registry = _registry(subject, (neighbour, "neighbour"))
    beside = {p.name: [(c.kind, c.name, c.help) for c in p.components] for p in registry.plugins}
    assert [f.plugin for f in registry.failures] == ["neighbour"], f"left out: {registry.failures}"
    assert beside[NAME] == alone, "it registers something else beside a broken plugin"
    import jvid.plugins.builtins

    plain = Registry(entry_points=False)
    plain.add(jvid.plugins.builtins, "builtin")
    if "builtin" in beside:
        own = [(c.kind, c.name, c.help) for c in plain.plugins[0].components]
        assert beside["builtin"] == own, "the built-ins are others beside it"
