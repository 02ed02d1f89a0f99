"""Where ``jvid.load`` finds components: kind and name to factory, across plugins.

A component is ``plugin/name``; the bare name works while one plugin alone has it, otherwise the
error lists every candidate. Nothing is renamed or overridden. Plugins are discovered at the first
question (see ``jvid.discovery``); torch and its like load with the factory.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jvid.discovery import (
    Failure,
    Plugin,
    Source,
    admit,
    allowed_plugins,
    installed_sources,
    is_strict,
)
from jvid.errors import (
    InputError,
    JvidError,
    MissingDependencyError,
    PluginError,
    PluginWarning,
    UnknownNameError,
)
from jvid.options import check_options
from jvid.registrar import KINDS, Component

__all__ = ["KINDS", "Component", "Registry", "current", "imported", "load", "names", "using"]


class Registry:
    """Plugins and what they registered.

    Args:
        entry_points: discover the installed plugins, at the first question; without, the registry
            starts empty and holds what ``add`` brings.
        strict: raise ``PluginError`` at the first broken plugin; None asks ``JVID_STRICT_PLUGINS``.
    """

    def __init__(self, entry_points: bool = True, *, strict: bool | None = None) -> None:
        self._pending = entry_points
        self._strict = strict
        self._plugins: list[Plugin] = []
        self._failures: list[Failure] = []

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The admitted plugins, jvid's own first."""
        self._discover()
        return tuple(self._plugins)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The plugins that were left out, and why."""
        self._discover()
        return tuple(self._failures)

    def add(self, module: object, name: str, distribution: str = "unknown") -> None:
        """Register a plugin by hand: a module, or any object with the hooks.

        Raises:
            PluginError: it is broken, and ``strict`` is set; otherwise a ``PluginWarning`` tells it.
        """
        self._discover()
        self._admit(Source(name, distribution, lambda: module))

    def names(self, kind: str) -> tuple[str, ...]:
        """The shortest name of each component of a kind: bare where unique, else qualified.

        Raises:
            UnknownNameError: no such kind.
        """
        found = self.components(kind)
        bare = [component.name for component in found]
        return tuple(c.name if bare.count(c.name) == 1 else c.qualified for c in found)

    def components(self, kind: str) -> tuple[Component, ...]:
        """The components of a kind, in order of plugins and of registration; nothing is imported for it.

        Raises:
            UnknownNameError: no such kind.
        """
        if kind not in KINDS:
            raise UnknownNameError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
        return tuple(c for plugin in self.plugins for c in plugin.components if c.kind == kind)

    def find(self, kind: str, name: str) -> Component:
        """The component of a bare or qualified name.

        Raises:
            UnknownNameError: nobody has it (close matches and broken plugins are told), or several do.
        """
        found = self.components(kind)
        matches = [c for c in found if name in (c.name, c.qualified)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = ", ".join(f"{c.qualified} ({c.distribution})" for c in matches)
            raise UnknownNameError(f"{kind} {name!r} is ambiguous: use one of {listed}")
        plugin, slash, rest = name.partition("/")
        owners = [owner for owner in self.plugins if owner.name == plugin] if slash else []
        for owner in owners or self.plugins:
            try:
                resolved = owner.resolve(kind, rest if owners else name)
            except Exception as error:
                raise PluginError(str(Failure(owner.name, owner.distribution, "resolve", error))) from error
            if resolved is not None:
                return resolved
        raise UnknownNameError(self._unknown(kind, name, found))

    def load(self, kind: str, name: str, /, **options: Any) -> Any:
        """Build a component: find its factory, check the options, call it.

        Raises:
            UnknownNameError: no such kind or name, or an ambiguous one.
            InputError: an option that the factory does not take, or a value that it refuses.
            MissingDependencyError: it needs a package or a file that is not there.
            PluginError: its target cannot be imported, or it fails in an unforeseen way.
        """
        component = self.find(kind, name)
        factory = imported(component)
        check_options(f"{kind} {name!r}", factory, options)
        try:
            return factory(**options)
        except InputError as error:
            raise InputError(f"{kind} {name!r}: {error}") from error
        except JvidError:
            raise
        except ValueError as error:
            raise InputError(f"{kind} {name!r}: {_said(error)}") from error
        except (ImportError, FileNotFoundError) as error:
            raise MissingDependencyError(f"{component} lacks something: {_said(error)}") from error
        except Exception as error:
            raise PluginError(f"{component} failed: {_said(error)}") from error

    def _unknown(self, kind: str, name: str, found: Iterable[Component]) -> str:
        known = [c.qualified if "/" in name else c.name for c in found]
        close = list(dict.fromkeys(difflib.get_close_matches(name, known, n=3, cutoff=0.5)))
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        else:
            hint = f"expected one of {', '.join(self.names(kind)) or 'none: no plugin registers any'}"
        return "; ".join([f"unknown {kind} {name!r}: {hint}", *map(str, self._failures)])

    def _discover(self) -> None:
        if not self._pending:
            return
        self._pending = False
        allowed = allowed_plugins()
        for source in installed_sources():
            if allowed is None or source.name in allowed:
                self._admit(source)

    def _admit(self, source: Source) -> None:
        outcome = admit(source, self._plugins)
        if isinstance(outcome, Plugin):
            self._plugins.append(outcome)
            return
        self._failures.append(outcome)
        if is_strict() if self._strict is None else self._strict:
            raise PluginError(str(outcome)) from outcome.error
        warnings.warn(str(outcome), PluginWarning, stacklevel=4)


def imported(component: Component) -> Callable[..., Any]:
    """The component's factory; a lazy target is imported now.

    Raises:
        MissingDependencyError: a package that it needs is not there.
        PluginError: its target fails to import, or is not there.
    """
    try:
        return component.factory()
    except JvidError:
        raise
    except ImportError as error:
        raise MissingDependencyError(f"{component} cannot be imported: {_said(error)}") from error
    except Exception as error:
        raise PluginError(f"{component} cannot be imported: {_said(error)}") from error


_default: Registry | None = None
_override: ContextVar[Registry | None] = ContextVar("jvid_registry", default=None)


def current() -> Registry:
    """The registry that ``jvid.load`` asks: that of ``using``, else the installed plugins'."""
    global _default
    if (override := _override.get()) is not None:
        return override
    if _default is None:
        _default = Registry()
    return _default


@contextmanager
def using(registry: Registry) -> Iterator[Registry]:
    """Let ``jvid.load`` and the command line ask another registry within the block."""
    token = _override.set(registry)
    try:
        yield registry
    finally:
        _override.reset(token)


def load(kind: str, name: str, /, **options: Any) -> Any:
    """Build a component of the current registry; see ``Registry.load``."""
    return current().load(kind, name, **options)


def names(kind: str) -> tuple[str, ...]:
    """The names of a kind in the current registry; see ``Registry.names``."""
    return current().names(kind)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
