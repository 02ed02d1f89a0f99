"""Where ``jvid.load`` finds components: kind and name to factory, across plugins.

A component is ``plugin/name``; the bare name works while one plugin alone has it, otherwise the
error lists every candidate. Nothing is renamed or overridden. Plugins are discovered at the first
question (see ``jvid.plugins.discovery``); torch and its like load with the factory.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from jvid.core.members import missing_members
from jvid.errors import (
    InputError,
    JvidError,
    MissingDependencyError,
    PluginError,
    PluginWarning,
    UnknownNameError,
    located,
    one_line,
)
from jvid.machine.device import check_device
from jvid.plugins.choice import Choice, as_choice
from jvid.plugins.discovery import (
    Failure,
    Plugin,
    PluginSource,
    admit,
    is_strict,
    wanted_sources,
)
from jvid.plugins.isolation import LOCK
from jvid.plugins.options import check_options, fitting, parameters
from jvid.plugins.parts import Experts, with_parts
from jvid.plugins.registrar import KINDS, Component

__all__ = ["KINDS", "Component", "Registry", "current", "load", "names", "using"]


class Registry:
    """Plugins and what they registered.

    Args:
        entry_points: discover the installed plugins, at the first question; without, the registry
            starts empty and holds what ``add`` brings.
        strict: raise ``PluginError`` at the first broken plugin; None reads ``JVID_STRICT_PLUGINS``.
    """

    def __init__(self, entry_points: bool = True, *, strict: bool | None = None) -> None:
        self._pending = entry_points
        self._strict = strict
        self._plugins: list[Plugin] = []
        self._failures: list[Failure] = []
        self._left_out: list[str] = []
        self._lock = LOCK  # a plugin may look up names while it is imported

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The admitted plugins, jvid's own first."""
        self._discover()
        return tuple(self._plugins)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The plugins that were left out because they are broken, and why."""
        self._discover()
        return tuple(self._failures)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The installed plugins that ``JVID_PLUGINS`` leaves out; they were not imported."""
        self._discover()
        return tuple(self._left_out)

    def add(self, module: object, name: str, distribution: str = "unknown") -> None:
        """Register a plugin by hand.

        Args:
            module: a module, any object with the hooks, or a hook by itself (a function
                ``jvid_register`` marked with ``hookimpl``).
            name: its namespace.
            distribution: the name and version that errors give.

        Raises:
            PluginError: it is broken, and ``strict`` is set; otherwise it is a ``PluginWarning``.
        """
        self._discover()
        with self._lock:
            failures = self._admit([PluginSource(name, distribution, lambda: module)])
        self._tell(failures)

    def names(self, kind: str) -> tuple[str, ...]:
        """The shortest name that loads each component of a kind.

        Raises:
            UnknownNameError: no such kind.
        """
        return tuple(map(self.shortest, self.components(kind)))

    def shortest(self, component: Component) -> str:
        """The name that loads a registered component: bare while it is unique or a part of jvid, else qualified."""
        named = [c for c in self.components(component.kind) if c.name == component.name]
        return component.name if _meant(named) is component else component.qualified

    def components(self, kind: str) -> tuple[Component, ...]:
        """The components of a kind, in order of plugins and of registration; nothing is imported for it.

        Raises:
            UnknownNameError: no such kind.
        """
        if kind not in KINDS:
            raise UnknownNameError(f"unknown kind {kind!r}: {_close(kind, KINDS)}")
        return tuple(c for plugin in self.plugins for c in plugin.components if c.kind == kind)

    def find(self, kind: str, name: str) -> Component:
        """The component of a bare or qualified name; a bare name that a part of jvid has is that part's.

        Raises:
            UnknownNameError: no plugin has it (the message lists close matches and broken plugins), or several do.
        """
        found = self.components(kind)
        matches = [c for c in found if name in (c.name, c.qualified)]
        if (meant := _meant(matches)) is not None:
            return meant
        if matches:
            raise UnknownNameError(_ambiguous(kind, name, matches))
        resolved, failures = self._resolve(kind, name)
        if len(resolved) == 1:
            return resolved[0]
        if resolved:
            raise UnknownNameError(_ambiguous(kind, name, resolved))
        raise UnknownNameError(self._unknown(kind, name, found, failures))

    def load(self, kind: str, name: str | Choice, /, **options: Any) -> Any:
        """Build a component: find its factory, check the options, call it.

        Args:
            kind: of the component.
            name: bare or qualified, or a ``Choice`` that brings options.
            options: for the factory; text, a choice or a mapping where the factory takes a component (``jvid.plugins.parts``).

        Raises:
            UnknownNameError: no such kind or name, or an ambiguous one.
            InputError: an option that the factory does not take, or a value that it refuses.
            MissingDependencyError: it needs a package or a file that is not there.
            PluginError: its target cannot be imported, it fails in an unforeseen way, or it returns
                what cannot be of the kind.
        """
        return self.build(kind, Choice(name) if isinstance(name, str) else as_choice(name), **options)

    def build(self, kind: str, choice: Choice, /, **more: Any) -> Any:
        """Build the component of a choice; ``more`` are options beside its own. Raises what ``load`` raises."""
        if both := sorted(set(more) & set(choice.options)):
            raise InputError(f"{kind} {choice.name!r} got {both[0]!r} among its options: it is set elsewhere")
        return self._made(self.find(kind, choice.name), choice.name, {**choice.options, **more})

    def fitted(
        self,
        kind: str,
        choice: Choice,
        offered: Mapping[str, Any],
        more: Mapping[str, Any] = MappingProxyType({}),
        /,
        free: bool = False,
    ) -> Any:
        """Build the component of a choice with those of the ``offered`` options that its factory takes.

        Args:
            kind: of the component.
            choice: its own options are stronger.
            offered: options such as a device.
            more: options that it has to take, of values that no choice holds, such as pictures.
            free: whether a factory that takes any option (``**options``) takes these.

        Raises:
            InputError, UnknownNameError, MissingDependencyError, PluginError: as ``load``.
        """
        component = self.find(kind, choice.name)
        if both := sorted(set(more) & set(choice.options)):
            raise InputError(f"{kind} {choice.name!r} got {both[0]!r} among its options: it is set elsewhere")
        options = fitting(component.factory(), {**choice.options, **more}, offered, free)
        return self._made(component, choice.name, options)

    def wrap(self, choice: Choice, denoiser: Any, expert: Experts | None = None, /) -> Any:
        """Build the wrapper of a choice around a denoiser.

        Args:
            choice: of the kind "wrapper".
            denoiser: is the factory's first parameter.
            expert: other denoisers by name, for options that take one; a LookupError where there is none.

        Raises:
            InputError, UnknownNameError, MissingDependencyError, PluginError: as ``load``.
        """
        component = self.find("wrapper", choice.name)
        first = next(iter(parameters(component.factory())), "denoiser")
        if first in choice.options:
            raise InputError(
                f"wrapper {choice.name!r} got {first!r} among its options: it is the expert's denoiser"
            )
        return self._made(component, choice.name, {first: denoiser, **choice.options}, expert)

    def parts(
        self, kind: str, name: str, options: Mapping[str, Any], expert: Experts | None = None, /
    ) -> dict[str, Any]:
        """Options for a component, those that name a component built; ``expert`` as for ``wrap``. Raises what ``load`` raises."""
        factory = self.find(kind, name).factory()
        return with_parts(f"{kind} {name!r}", factory, options, self.build, expert)

    def check(self, kind: str, choice: Choice, offered: Mapping[str, Any] | None = None, /) -> None:
        """Refuse a choice whose name or options are wrong, without building it; ``offered`` as for ``fitted``.

        Raises:
            UnknownNameError: no such name, or an ambiguous one.
            InputError: an option that the factory does not take.
        """
        factory = self.find(kind, choice.name).factory()
        check_options(f"{kind} {choice.name!r}", factory, fitting(factory, choice.options, offered or {}))

    def _made(
        self,
        component: Component,
        name: str,
        options: Mapping[str, Any],
        expert: Experts | None = None,
    ) -> Any:
        who, factory = f"{component.kind} {name!r}", component.factory()
        check_options(who, factory, options)
        if isinstance(options.get("device"), str):
            with located(who):
                check_device(options["device"])
        options = with_parts(who, factory, options, self.build, expert)
        try:
            made = factory(**options)
        except InputError as error:
            raise InputError(f"{who}: {error}") from error
        except MissingDependencyError as error:
            raise MissingDependencyError(f"{component}: {error}") from error
        except (JvidError, KeyboardInterrupt, MemoryError):
            raise
        except ValueError as error:
            raise InputError(f"{component}: {one_line(error, typed=True)}") from error
        except (ImportError, FileNotFoundError) as error:
            raise MissingDependencyError(
                f"{component} lacks something: {one_line(error, typed=True)}"
            ) from error
        except BaseException as error:
            raise PluginError(f"{component} failed: {one_line(error, typed=True)}") from error
        if wrong := missing_members(component.kind, made):
            what = "None; expected it to return the component" if made is None else wrong
            raise PluginError(f"{component} made {what}")
        return made

    def _resolve(self, kind: str, name: str) -> tuple[list[Component], list[Failure]]:
        """What the plugins' ``jvid_resolve`` make of a name; of ``plugin/name``, that plugin's alone if it makes anything."""
        plugin, slash, rest = name.partition("/")
        owners = [owner for owner in self.plugins if owner.name == plugin] if slash else []
        answers = [owner.resolve(kind, rest) for owner in owners]
        if not any(isinstance(answer, Component) for answer in answers):
            # A folder's path may begin with the name of a plugin.
            answers += [owner.resolve(kind, name) for owner in self.plugins]
        return (
            [answer for answer in answers if isinstance(answer, Component)],
            [answer for answer in answers if isinstance(answer, Failure)],
        )

    def _unknown(
        self, kind: str, name: str, found: Iterable[Component], failures: Iterable[Failure] = ()
    ) -> str:
        known = [c.qualified if "/" in name else c.name for c in found]
        parts = [f"unknown {kind} {name!r}: {_close(name, known, self.names(kind))}"]
        rest = name.rpartition("/")[2]
        if (
            kind == "ensemble"
            and "/" in name
            and not difflib.get_close_matches(rest, [c.name for c in found])
        ):
            # A path rather than a name: README's own folders are called models/..., as a plugin is.
            parts = [
                f"no folder {name!r}: expected that of an ensemble or a pipeline, or one of {', '.join(self.names(kind))}"
            ]
        if others := [c.kind for plugin in self.plugins for c in plugin.components
                      if name in (c.name, c.qualified)]:  # fmt: skip
            parts.append(f"there is a {' and a '.join(dict.fromkeys(others))} of this name")
        if self._left_out:
            parts.append(f"JVID_PLUGINS leaves out {', '.join(self._left_out)}")
        return "; ".join([*parts, *map(str, (*self._failures, *failures))])

    def _discover(self) -> None:
        with self._lock:
            if not self._pending:
                return
            self._pending = False
            try:
                failures = self._admit(wanted_sources(self._left_out))
            except BaseException:
                self._forget()
                raise
        self._tell(failures, forget=True)

    def _admit(self, sources: Iterable[PluginSource]) -> list[Failure]:
        failures = []
        for source in sources:
            outcome = admit(source, self._plugins)
            if isinstance(outcome, Plugin):
                self._plugins.append(outcome)
            else:
                failures.append(outcome)
        self._failures += failures
        return failures

    def _tell(self, failures: Iterable[Failure], forget: bool = False) -> None:
        """Once all are admitted, so that a warning turned into an error leaves no half of them."""
        for failure in failures:
            if is_strict() if self._strict is None else self._strict:
                if forget:
                    self._forget()
                raise PluginError(str(failure)) from failure.error
            warnings.warn(str(failure), PluginWarning, stacklevel=4)

    def _forget(self) -> None:
        """As before the first question: what failed then fails again, rather than half of it going on."""
        self._plugins, self._failures, self._left_out, self._pending = [], [], [], True


_default: Registry | None = None
_override: ContextVar[Registry | None] = ContextVar("jvid_registry", default=None)


def current() -> Registry:
    """The registry that ``jvid.load`` uses: that of ``using``, else the installed plugins'."""
    global _default
    if (override := _override.get()) is not None:
        return override
    if _default is None:
        _default = Registry()
    return _default


@contextmanager
def using(registry: Registry) -> Iterator[Registry]:
    """Let ``jvid.load`` and the command line use another registry within the block."""
    token = _override.set(registry)
    try:
        yield registry
    finally:
        _override.reset(token)


def load(kind: str, name: str | Choice, /, **options: Any) -> Any:
    """Build a component of the current registry; see ``Registry.load``."""
    return current().load(kind, name, **options)


def names(kind: str) -> tuple[str, ...]:
    """The names of a kind in the current registry; see ``Registry.names``."""
    return current().names(kind)


def _meant(matches: Sequence[Component]) -> Component | None:
    """The one component of a name; of several, jvid's own: strategies that were saved with its bare name stay what they are."""
    own = [component for component in matches if component.distribution.split()[:1] == ["jvid"]]
    found = matches if len(matches) == 1 else own
    return found[0] if len(found) == 1 else None


def _ambiguous(kind: str, name: str, candidates: Iterable[Component]) -> str:
    listed = ", ".join(f"{c.qualified} ({c.distribution})" for c in candidates)
    return f"{kind} {name!r} is ambiguous: use one of {listed}"


def _close(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """What was probably meant, else all there is."""
    known = tuple(known)
    if close := list(dict.fromkeys(difflib.get_close_matches(name, known, n=3, cutoff=0.5))):
        return f"did you mean {' or '.join(close)}?"
    return (
        f"expected one of {', '.join(known if listed is None else listed) or 'none: no plugin registers any'}"
    )
