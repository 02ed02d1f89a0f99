"""References that a plugin declares for its components: kept lazily, refused in one line where they are wrong."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from jvid.errors import InputError, MissingDependencyError
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry


def _registrar() -> Registrar:
    registrar = Registrar("mine")
    registrar.selector("movie", "jvid.selectors:Always")
    return registrar


def test_a_reference_belongs_to_its_component_and_is_not_imported() -> None:
    registrar = _registrar()
    registrar.reference("selector", "movie", "no_such_module:movie", ranges={"name": ["a", "b"]})
    registrar.close()
    reference = registrar.components["selector", "movie"].reference
    assert reference is not None
    assert dict(reference.ranges) == {"name": ["a", "b"]}
    assert "no_such_module" not in sys.modules
    with pytest.raises(
        MissingDependencyError, match="the reference 'no_such_module:movie' cannot be imported"
    ):
        reference.function()


def test_a_reference_may_come_before_its_component() -> None:
    registrar = Registrar("mine")
    registrar.reference("selector", "movie", dict)
    registrar.selector("movie", "jvid.selectors:Always")
    registrar.close()
    reference = registrar.components["selector", "movie"].reference
    assert reference is not None
    assert reference.function() is dict


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        (lambda r: r.reference("command", "x", dict), "reference of command 'x': expected one of denoiser"),
        (lambda r: r.reference("selector", "movie", 3), "is a int: expected a factory to call"),
        (lambda r: r.reference("selector", "movie", "nothing"), "expected 'module:attribute'"),
        (lambda r: (r.reference("selector", "movie", dict),) * 2 and r.reference("selector", "movie", dict), "twice"),
        (lambda r: r.reference("selector", "still", dict), "expected a component of this plugin"),
        (lambda r: r.close() or r.reference("selector", "movie", dict), "comes too late"),
    ],
)  # fmt: skip
def test_a_wrong_reference_is_one_line(wrong: Callable[[Any], Any], printed: str) -> None:
    registrar = _registrar()

    def declare() -> None:
        wrong(registrar)
        registrar.close()

    with pytest.raises(InputError) as caught:
        declare()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plugin_with_a_wrong_reference_is_left_out() -> None:
    from jvid.plugins import hookimpl

    @hookimpl
    def jvid_register(register: Any) -> None:
        register.selector("movie", "jvid.selectors:Always")
        register.reference("selector", "still", dict)

    registry = Registry(entry_points=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry.add(jvid_register, "mine")
    assert registry.names("selector") == ()
    assert "the reference of selector 'still'" in registry.failures[0].reason
