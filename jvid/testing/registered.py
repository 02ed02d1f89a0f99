"""What ``conforms`` is called with for a component of the registry: the component, and the reference that its plugin declares."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.plugins.registrar import REFERENCED
from jvid.plugins.registry import current
from jvid.schedules import TabulatedSchedule
from jvid.testing.oracles import GaussianOracle

__all__ = ["declared_reference", "registered"]


def registered(kind: str, name: str, /, **options: Any) -> Any:
    """The component; of a wrapper its factory, of a plugin its name.

    Raises:
        InputError: a sampler, which has no name, or options that the component refuses.
        UnknownNameError, MissingDependencyError, PluginError: as of ``jvid.load``.
    """
    if kind == "plugin":
        return name
    if kind == "sampler":
        raise InputError(
            "a sampler has no name: check it where it is made, jvid.testing.conforms('sampler', sampler)"
        )
    if kind != "wrapper":
        return current().load(kind, name, **options)

    component = current().find(kind, name)
    factory = partial(component.factory(), **current().parts(kind, name, options, _no_expert))
    try:
        inspect.signature(factory).bind("denoiser")
    except TypeError as error:
        raise InputError(
            f"{component}: {error} besides the denoiser: give it as an option ({name}:a=1), or check it in Python, "
            "jvid.testing.conforms('wrapper', factory)"
        ) from None
    # A wrong option is one line, and not a failure of every check.
    oracle = GaussianOracle(TabulatedSchedule.scaled_linear())
    current().wrap(Choice(name, options), oracle, _no_expert)
    return factory


def declared_reference(kind: str, name: str, /, **options: Any) -> dict[str, Any]:
    """``reference``, ``ranges`` and ``factory`` for ``conforms``, as the component's plugin declares them; else empty.

    Raises:
        UnknownNameError, MissingDependencyError, PluginError: as of ``jvid.load``, or the reference cannot be imported.
    """
    declared = current().find(kind, name).reference if kind in REFERENCED else None
    if declared is None:
        return {}
    reference = partial(declared.function(), **current().parts(kind, name, options, _no_expert))
    ranges = {each: values for each, values in declared.ranges.items() if each not in options}
    if kind == "wrapper":
        return {"reference": reference, "ranges": ranges}
    return {
        "reference": reference,
        "ranges": ranges,
        "factory": partial(current().load, kind, name, **options),
    }


def _no_expert(name: str) -> Any:
    raise LookupError(f"there is no expert {name!r} where a wrapper is checked: check it in Python")
