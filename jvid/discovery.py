"""Finding plugins, so that a broken one changes nothing for the others.

Each entry point of the group ``jvid`` passes three stages: *import* the module, check the *api*
(version, hooks spelt right), *register* into a staging registrar. All or nothing: a plugin that
fails at any stage contributes nothing, and the failure is kept with its distribution and version.
pluggy's own loader has no ``try`` around these, hence the loop.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import attrs
import pluggy

from jvid import hookspecs
from jvid.errors import InputError
from jvid.registrar import Component, Registrar

__all__ = ["Failure", "Plugin", "Source", "admit", "allowed_plugins", "installed_sources", "is_strict"]

# What pyproject.toml declares, for a source tree that nobody installed.
_OWN = {"builtin": "jvid.builtins", "models": "jvid_models.plugin", "training": "jvid_training.plugin"}


@attrs.frozen
class Source:
    """A plugin that may be loaded: its namespace, its distribution and version, and how to import it."""

    name: str
    distribution: str
    load: Callable[[], object] = attrs.field(eq=False)


@attrs.frozen
class Failure:
    """Why a plugin was left out."""

    plugin: str
    distribution: str
    stage: str
    error: BaseException = attrs.field(eq=False)

    def __str__(self) -> str:
        said = " ".join(str(self.error).split()) or "no message"
        return (
            f"plugin {self.plugin!r} of {self.distribution} failed at {self.stage}: "
            f"{type(self.error).__name__}: {said}"
        )


@attrs.frozen(eq=False)
class Plugin:
    """A plugin that was admitted, with what it registered."""

    name: str
    distribution: str
    components: tuple[Component, ...]
    manager: pluggy.PluginManager

    def resolve(self, kind: str, name: str) -> Component | None:
        """What its ``jvid_resolve`` makes of a name that nobody registered."""
        target = self.manager.hook.jvid_resolve(kind=kind, name=name)
        if target is None:
            return None
        return Component(kind, self.name, name, target, distribution=self.distribution)


def is_strict() -> bool:
    """Whether ``JVID_STRICT_PLUGINS`` asks for an error instead of a warning."""
    return os.environ.get("JVID_STRICT_PLUGINS", "") not in ("", "0")


def allowed_plugins() -> frozenset[str] | None:
    """The namespaces that ``JVID_PLUGINS`` admits (comma separated), or None for all.

    The built-ins are always admitted: without them nothing can be composed.
    """
    value = os.environ.get("JVID_PLUGINS")
    if value is None:
        return None
    return frozenset(part.strip() for part in value.split(",") if part.strip()) | {"builtin"}


def installed_sources() -> Iterator[Source]:
    """jvid's own plugins, then those of other distributions by name and distribution."""
    found: list[tuple[bool, str, str, Source]] = []
    for point in importlib.metadata.entry_points(group=hookspecs.PROJECT):
        owner = point.dist.name if point.dist is not None else "unknown"
        label = f"{owner} {point.dist.version}" if point.dist is not None else owner
        found.append((owner != "jvid", point.name, label, Source(point.name, label, point.load)))
    names = {source.name for foreign, _, _, source in found if not foreign}
    for name, module in _OWN.items():
        if name not in names and _is_there(module):
            source = Source(name, "jvid (source tree)", partial(importlib.import_module, module))
            found.append((False, name, "", source))
    yield from (source for *_, source in sorted(found, key=lambda row: row[:3]))


def admit(source: Source, taken: Iterable[Plugin]) -> Plugin | Failure:
    """Take one plugin through the stages; never raises for what the plugin does."""
    stage = "import"
    try:
        module = source.load()
        stage = "api"
        for other in taken:
            if other.name == source.name:
                raise InputError(f"the namespace {source.name!r} is taken by {other.distribution}")
        manager = _manager(module)
        stage = "register"
        registrar = Registrar(source.name, source.distribution)
        manager.hook.jvid_register(register=registrar)
    except (Exception, SystemExit) as error:
        return Failure(source.name, source.distribution, stage, error)
    return Plugin(source.name, source.distribution, tuple(registrar.components.values()), manager)


def _manager(module: object) -> pluggy.PluginManager:
    """A manager of this plugin alone, with its hooks checked against the specifications."""
    wants: Any = getattr(module, "JVID_API", hookspecs.API_VERSION)
    if not isinstance(wants, int) or not 1 <= wants <= hookspecs.API_VERSION:
        raise InputError(f"it asks for JVID_API {wants!r}, this jvid has {hookspecs.API_VERSION}: update one")
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    if not manager.get_hookcallers(module):
        what = module.__name__ if isinstance(module, ModuleType) else repr(module)
        raise InputError(f"{what} implements no hook: mark jvid_register with jvid.hookspecs.hookimpl")
    return manager


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
