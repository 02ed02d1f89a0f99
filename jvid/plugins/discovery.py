"""Finding plugins, so that a broken one changes nothing for the others.

Each distribution with an entry point of the group ``jvid`` passes these stages:

    metadata   its entry points can be read
    name       the namespace may precede a "/", and no other plugin has it
    import     its module is imported
    api        it was written for these hooks, and spells them right
    register   its ``jvid_register`` runs, into a registrar of its own

All or nothing: a plugin that fails at any stage contributes nothing, and the failure is kept with its
distribution and version. pluggy's own loader has no ``try`` around these, and ``entry_points()`` of
the standard library stops at the first distribution whose file it cannot read; hence the loops.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import attrs
import pluggy

from jvid.errors import InputError, one_line
from jvid.plugins import hookspecs
from jvid.plugins.isolation import preserving_process_state
from jvid.plugins.registrar import NAME, Component, Registrar

__all__ = [
    "Failure",
    "Plugin",
    "PluginSource",
    "admit",
    "allowed_plugins",
    "installed_sources",
    "is_strict",
    "wanted_sources",
]

_BUILTIN = {"builtin": "jvid.plugins.builtins"}
"""What there is in any case, however jvid came here."""


@attrs.frozen
class PluginSource:
    """A plugin that may be loaded: its namespace, its distribution and version, and how to import it."""

    name: str
    distribution: str
    load: Callable[[], object] = attrs.field(eq=False)
    stage: str = "import"
    """An error of ``load`` is reported as of this stage."""


@attrs.frozen
class Failure:
    """Why a plugin was left out."""

    plugin: str
    distribution: str
    stage: str
    error: BaseException = attrs.field(eq=False)

    @property
    def reason(self) -> str:
        """The error in one line."""
        return one_line(self.error, typed=True)

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution} failed at {self.stage}: {self.reason}"


@attrs.frozen(eq=False)
class Plugin:
    """A plugin that was admitted, with what it registered."""

    name: str
    distribution: str
    components: tuple[Component, ...]
    manager: pluggy.PluginManager

    @property
    def resolves(self) -> bool:
        """Whether it may know names that it did not register."""
        return bool(self.manager.hook.jvid_resolve.get_hookimpls())

    def resolve(self, kind: str, name: str) -> Component | Failure | None:
        """The component that its ``jvid_resolve`` gives for a name that no plugin registers; never raises."""
        if not self.resolves:
            return None
        registrar = Registrar(self.name, self.distribution)
        try:
            with preserving_process_state():
                target = self.manager.hook.jvid_resolve(kind=kind, name=name)
            return None if target is None else registrar.component(kind, name, target)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            return Failure(self.name, self.distribution, f"resolve of {kind} {name!r}", error)


def is_strict() -> bool:
    """Whether ``JVID_STRICT_PLUGINS`` turns warnings about plugins into errors."""
    return os.environ.get("JVID_STRICT_PLUGINS", "") not in ("", "0")


def allowed_plugins() -> frozenset[str] | None:
    """The namespaces that ``JVID_PLUGINS`` admits (comma separated), or None for all.

    The built-ins are always admitted: without them nothing can be composed.
    """
    value = os.environ.get("JVID_PLUGINS")
    if value is None:
        return None
    return frozenset(part.strip() for part in value.split(",") if part.strip()) | {"builtin"}


def installed_sources() -> Iterator[PluginSource]:
    """jvid's own plugins, then those of other distributions by name and distribution."""
    found: list[tuple[bool, str, str, PluginSource]] = []
    for distribution, text in _distributions():
        owner, label = _label(distribution)
        try:
            points = [p for p in distribution.entry_points if p.group == hookspecs.PROJECT]
        except Exception as error:
            if f"[{hookspecs.PROJECT}]" in text.replace(" ", ""):
                unread = PluginSource(owner, label, partial(_raise, error), "metadata")
                found.append((True, owner, label, unread))
            continue
        for point in points:
            found.append((owner != "jvid", point.name, label, PluginSource(point.name, label, point.load)))
    names = {source.name for foreign, _, _, source in found if not foreign}
    for name, module in _declared().items():
        if name not in names and _is_there(module):
            source = PluginSource(name, "jvid (source tree)", partial(importlib.import_module, module))
            found.append((False, name, "", source))
    yield from (source for *_, source in sorted(found, key=lambda row: row[:3]))


def wanted_sources(left_out: list[str]) -> Iterator[PluginSource]:
    """What is installed, but for what ``JVID_PLUGINS`` leaves out: those names are appended to ``left_out``."""
    allowed = allowed_plugins()
    wanted = set(allowed or ())
    for source in installed_sources():
        wanted.discard(source.name)
        if allowed is None or source.name in allowed:
            yield source
        else:
            left_out.append(source.name)
    for name in sorted(wanted - {"builtin"}):
        yield _missing_source(name, left_out)


def _missing_source(name: str, others: Iterable[str]) -> PluginSource:
    """A source for a name of ``JVID_PLUGINS`` that is not installed: loading it raises with the names that are."""
    there = ", ".join(others) or "no other"
    error = InputError(f"JVID_PLUGINS names {name!r}: expected the name of an installed plugin ({there})")
    return PluginSource(name, "nothing installed", partial(_raise, error), "search")


def admit(source: PluginSource, taken: Iterable[Plugin]) -> Plugin | Failure:
    """Take one plugin through the stages; never raises for what the plugin does."""
    stage = "name"
    try:
        if source.stage == "import" and not NAME.fullmatch(source.name):
            raise InputError(f"namespace {source.name!r}: expected a-z, 0-9, '.', '_' and '-'")
        for other in taken:
            if other.name == source.name:
                raise InputError(f"the namespace {source.name!r} is taken by {other.distribution}")
        stage = source.stage
        with preserving_process_state():
            module = source.load()
        stage = "api"
        manager = _manager(module)
        stage = "register"
        registrar = Registrar(source.name, source.distribution)
        with preserving_process_state():
            returned = manager.hook.jvid_register(register=registrar)
        if returned:
            what = type(returned[0]).__name__
            raise InputError(f"jvid_register returned a {what}: expected nothing, call register.<kind>(...)")
        registrar.close()
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        return Failure(source.name, source.distribution, stage, error)
    return Plugin(source.name, source.distribution, tuple(registrar.components.values()), manager)


def _distributions() -> Iterator[tuple[importlib.metadata.Distribution, str]]:
    """Distributions with entry points of the group, each with its file of entry points; the first on the path counts."""
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            # Of the folder's name where the standard library has it: parsing hundreds of METADATA files is slow.
            name = getattr(distribution, "_normalized_name", None) or distribution.metadata["Name"]
            if name in seen:
                continue
            seen.add(name)
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:
            continue  # not a plugin of ours, as far as can be seen
        if hookspecs.PROJECT in text:
            yield distribution, text


def _label(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """The distribution's name, and its name and version, as far as its metadata have them."""
    try:
        name: str | None = distribution.metadata["Name"]
        version: str | None = distribution.version
    except Exception:
        name = version = None
    owner = name or getattr(distribution, "_normalized_name", None) or "unknown"
    return str(owner), f"{owner} {version or '(version unknown)'}"


def _manager(module: object) -> pluggy.PluginManager:
    """A manager of this plugin alone, with its hooks checked against the specifications."""
    if isinstance(module, FunctionType):  # a hook by itself
        module = SimpleNamespace(**{module.__name__: module})
    wants: Any = getattr(module, "JVID_API", hookspecs.API_VERSION)
    if type(wants) is not int or not 1 <= wants <= hookspecs.API_VERSION:
        raise InputError(f"it requires JVID_API {wants!r}, this jvid has {hookspecs.API_VERSION}: update one")
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    if not manager.get_hookcallers(module):
        what = module.__name__ if isinstance(module, ModuleType) else repr(module)
        raise InputError(f"{what} implements no hook: mark jvid_register with jvid.plugins.hookimpl")
    return manager


def _declared(root: Path = Path(__file__).parents[2]) -> dict[str, str]:
    """The plugins that the pyproject.toml of a source tree declares, for a tree that is not installed."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        declared = project["entry-points"][hookspecs.PROJECT] if project["name"] == "jvid" else {}
    except (OSError, ValueError, KeyError, TypeError):
        declared = {}
    return {**_BUILTIN, **declared}


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _raise(error: Exception) -> object:
    raise error
