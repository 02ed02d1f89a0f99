"""Wrong plugins: heavy, half done, in the way of others."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from jvid.plugins import hookimpl
from tests.mutants import Mutant, add

Register = Callable[[Any], None]


def _plugin_mutant(check: str) -> Callable[[Register], Register]:
    """Register what ``jvid_register`` does as a mutant."""

    def decorate(function: Register) -> Register:
        hook = hookimpl(function, specname="jvid_register")
        why = " ".join((function.__doc__ or "").split())
        add(Mutant("plugin", function.__name__, check, lambda: SimpleNamespace(jvid_register=hook), why))
        return function

    return decorate


ALWAYS = "jvid.selectors:Always"


@_plugin_mutant("it_is_admitted")
def raises(register: Any) -> None:
    """It fails while it registers."""
    raise RuntimeError("no licence")


@_plugin_mutant("it_is_admitted")
def one_name_twice(register: Any) -> None:
    """One name for two components of a kind."""
    register.selector("mine", ALWAYS, help="One.")
    register.selector("mine", ALWAYS, help="Another.")


@_plugin_mutant("it_is_admitted")
def registers_nothing(register: Any) -> None:
    """It forgot to call the registrar."""


def _misspelt() -> Any:
    def jvid_registers(register: Any) -> None:
        register.selector("mine", ALWAYS, help="One.")

    return SimpleNamespace(jvid_registers=hookimpl(jvid_registers))


add(Mutant("plugin", "misspelt_hook", "it_is_admitted", _misspelt, "The hook's name has a letter too many."))

add(
    Mutant(
        "plugin",
        "imports_torch",
        "importing_is_light",
        lambda: "tests.mutants.heavy_plugin",
        "The plugin's module imports torch: listing names takes seconds.",
    )
)


@_plugin_mutant("names_are_its_own")
def takes_a_name(register: Any) -> None:
    """It registers a ddim of its own: the bare name stays the built-in's, and it is not found."""
    register.solver("ddim", "jvid.solvers:DDIM", help="Another DDIM.")


@_plugin_mutant("components_have_help")
def says_nothing(register: Any) -> None:
    """No help: a listing shows a name."""
    register.selector("mine", ALWAYS)


@_plugin_mutant("components_have_help")
def undocumented(register: Any) -> None:
    """The factory has no docstring: ``jvid show`` has nothing to show."""

    def factory() -> object:
        return object()

    register.selector("mine", factory, help="One.")


@_plugin_mutant("factories_build_or_say_why")
def target_is_gone(register: Any) -> None:
    """The target was renamed since."""
    register.selector("mine", "jvid.selectors:Alwayss", help="One.")


@_plugin_mutant("factories_build_or_say_why")
def fails_without_a_word(register: Any) -> None:
    """The factory stumbles over what it lacks."""

    def factory() -> Any:
        """An expert that needs a file."""
        return dict[str, str]()["weights"]

    register.denoiser("mine", factory, help="One.")


@_plugin_mutant("factories_build_or_say_why")
def wrong_default(register: Any) -> None:
    """The factory refuses its own defaults."""

    def factory(eta: float = 2.0) -> Any:
        """DDIM with much noise."""
        from jvid.solvers import DDIM

        return DDIM(eta)

    register.solver("mine", factory, help="One.")


@_plugin_mutant("factories_build_or_say_why")
def builds_nothing(register: Any) -> None:
    """The factory forgets to return what it made."""

    def factory() -> None:
        """A selector."""

    register.selector("mine", factory, help="One.")


_SEEN: list[int] = []


@_plugin_mutant("registering_repeats")
def registers_once(register: Any) -> None:
    """It registers in turn this and that: state in the module."""
    _SEEN.append(1)
    register.selector(f"mine-{len(_SEEN)}", ALWAYS, help="One.")


def _fewer_beside_others() -> Any:
    seen: list[str] = []

    def jvid_register(register: Any) -> None:
        register.selector("mine" if len(seen) % 2 == 0 else "other", ALWAYS, help="One.")
        seen.append(register.plugin)

    return SimpleNamespace(jvid_register=hookimpl(jvid_register))


add(
    Mutant(
        "plugin",
        "another_at_every_second_time",
        "neighbours_change_nothing",
        _fewer_beside_others,
        "What it registers depends on what was registered before.",
    )
)


@_plugin_mutant("globals_untouched")
def seeds_at_registration(register: Any) -> None:
    """It seeds torch's generator while it registers."""
    torch.manual_seed(0)
    register.selector("mine", ALWAYS, help="One.")
