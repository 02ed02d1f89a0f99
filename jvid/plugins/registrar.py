"""The object passed to a plugin's ``jvid_register``: one method for each kind of component.

What is registered are *factories*: called with options, they return the component. A method takes
the factory or its "module:attribute", or decorates it:

    register.selector("always", "jvid.selectors:Always")

    @register.selector("coin")
    def coin(p: float = 0.5) -> Selector: ...

``register.reference`` declares the equation that a component is checked against (docs/conformance.md).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import attrs

from jvid.errors import InputError, MissingDependencyError, PluginError, one_line

if TYPE_CHECKING:
    from jvid.core.metrics import FeatureNetwork, Metric
    from jvid.core.protocols import (
        Codec,
        Denoiser,
        LatentPostprocessor,
        NoiseSampler,
        NoiseSchedule,
        Selector,
        Solver,
        TextEncoder,
    )

__all__ = ["KINDS", "NAME", "REFERENCED", "Component", "Reference", "Registrar", "Slot"]

KINDS = (
    "ensemble", "denoiser", "wrapper", "selector", "solver", "grid", "schedule", "noise", "postprocessor", "codec",
    "text", "features", "metric", "command",
)  # fmt: skip
"""Every kind of component, in the order of listings."""

REFERENCED = (
    "denoiser", "wrapper", "selector", "solver", "grid", "schedule", "noise", "postprocessor", "features", "metric",
)  # fmt: skip
"""The kinds whose components may declare a reference: those that the conformance kit checks by name."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What names of components and of plugins look like."""

T = TypeVar("T")


def _read_only(ranges: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(ranges))


@attrs.frozen
class Reference:
    """The equation that a component is checked against, and the options that it is checked with.

    Attributes:
        target: the function, or its "module:attribute"; it takes the component's options by keyword.
        ranges: by option, lowest and highest value as ``(low, high)``, or a list of values.
    """

    target: str | Callable[..., Any]
    ranges: Mapping[str, Any] = attrs.field(factory=dict, converter=_read_only, hash=False)

    def function(self) -> Callable[..., Any]:
        """The function itself; a lazy target is imported now.

        Raises:
            MissingDependencyError, PluginError: as of ``Component.factory``.
        """
        return _imported(f"the reference {self.target!r}", self.target)


@attrs.frozen
class Component:
    """One registered factory and where it comes from.

    Attributes:
        kind: one of ``KINDS``.
        plugin: the namespace of who registered it.
        name: bare, unique within kind and plugin.
        target: the factory, or its "module:attribute".
        help: one line, for listings; a factory given as such lends the first of its docstring.
        distribution: name and version of what brought the plugin.
        reference: what the conformance kit compares it with, if the plugin declares that.
    """

    kind: str
    plugin: str
    name: str
    target: str | Callable[..., Any]
    help: str = ""
    distribution: str = "unknown"
    reference: Reference | None = attrs.field(default=None, eq=False, repr=False)
    qualified: str = attrs.field(init=False, eq=False, repr=False)
    """``plugin/name``, which is unique within a kind."""

    @qualified.default
    def _qualified(self) -> str:
        return f"{self.plugin}/{self.name}"

    def factory(self) -> Callable[..., Any]:
        """The factory itself; a lazy target is imported now.

        Raises:
            MissingDependencyError: a package that it needs is not there.
            PluginError: its target fails to import, or is not there.
        """
        return _imported(self, self.target)

    def __str__(self) -> str:
        return f"{self.kind} {self.qualified} ({self.distribution})"


def _imported(who: object, target: str | Callable[..., Any]) -> Callable[..., Any]:
    """A target itself, imported where it is lazy; what importing it raises is one line with ``who``."""
    if not isinstance(target, str):
        return target
    try:
        return _attribute(target)
    except (KeyboardInterrupt, MemoryError):
        raise
    except MissingDependencyError as error:
        raise MissingDependencyError(f"{who}: {error}") from error
    except ImportError as error:
        raise MissingDependencyError(f"{who} cannot be imported: {one_line(error, typed=True)}") from error
    except BaseException as error:
        raise PluginError(f"{who} cannot be imported: {one_line(error, typed=True)}") from error


def _attribute(target: str) -> Callable[..., Any]:
    """What "module:attribute" names."""
    module, _, attribute = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{target} is a {type(found).__name__}, not something to call")
    return found  # type: ignore[no-any-return]


def _checked_target(who: str, target: object) -> str | Callable[..., Any]:
    if isinstance(target, str):
        module, colon, attribute = target.partition(":")
        parts = [*module.split("."), *attribute.split(".")]
        if not colon or not all(part.isidentifier() for part in parts):
            raise InputError(f"{who} has target {target!r}: expected 'module:attribute'")
    elif not callable(target):
        raise InputError(f"{who} is a {type(target).__name__}: expected a factory to call")
    return target


class Slot(Generic[T]):
    """Registers factories of one kind; ``T`` is what they return."""

    def __init__(self, kind: str, add: Callable[[str, str, str | Callable[..., Any], str], None]) -> None:
        self._kind = kind
        self._add = add

    @overload
    def __call__(self, name: str, target: str | Callable[..., T], *, help: str = "") -> None: ...

    @overload
    def __call__(self, name: str, *, help: str = "") -> Callable[[Callable[..., T]], Callable[..., T]]: ...

    def __call__(
        self, name: str, target: str | Callable[..., T] | None = None, *, help: str = ""
    ) -> Callable[[Callable[..., T]], Callable[..., T]] | None:
        """Register ``target`` under ``name``; without a target, return a decorator that does.

        Raises:
            InputError: a name that is not of lower-case letters, digits, ".", "_" and "-", a name given
                twice, or a target that is neither callable nor "module:attribute".
        """
        if target is None:

            def decorate(factory: Callable[..., T]) -> Callable[..., T]:
                self._add(self._kind, name, factory, help)
                return factory

            return decorate
        self._add(self._kind, name, target, help)
        return None


class Registrar:
    """Collects what one plugin registers; nothing of it counts until the plugin's hook has returned."""

    schedule: Slot[NoiseSchedule]
    denoiser: Slot[Denoiser]
    wrapper: Slot[Denoiser]
    selector: Slot[Selector]
    noise: Slot[NoiseSampler]
    solver: Slot[Solver[Any]]
    postprocessor: Slot[LatentPostprocessor]
    ensemble: Slot[Any]
    grid: Slot[Callable[[NoiseSchedule], Sequence[float]]]
    codec: Slot[Codec]
    text: Slot[TextEncoder]
    features: Slot[FeatureNetwork]
    metric: Slot[Metric]
    command: Slot[Any]

    def __init__(self, plugin: str, distribution: str = "unknown") -> None:
        self.plugin = plugin
        self.distribution = distribution
        self.components: dict[tuple[str, str], Component] = {}
        self.references: dict[tuple[str, str], Reference] = {}
        self._closed = False
        for kind in KINDS:
            setattr(self, kind, Slot(kind, self._add))

    if not TYPE_CHECKING:  # a type checker should miss a kind that is not there

        def __getattr__(self, kind):
            raise AttributeError(f"there is no kind {kind!r}: expected register.{', register.'.join(KINDS)}")

    def component(self, kind: str, name: str, target: object, help: str = "") -> Component:
        """The component of a target that is a factory, or its "module:attribute"; it is not registered.

        Raises:
            InputError: it is neither.
        """
        checked = _checked_target(f"{kind} {name!r}", target)
        if not help and isinstance(target, type | FunctionType):
            help = (target.__doc__ or "").strip().partition("\n\n")[0]
        return Component(kind, self.plugin, name, checked, " ".join(help.split()), self.distribution)

    def reference(
        self,
        kind: str,
        name: str,
        target: str | Callable[..., Any],
        *,
        ranges: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Declare the equation that a component of this plugin is checked against, by ``jvid check`` and the kit's tests.

        Args:
            kind: of the component.
            name: that it is registered under, before or after.
            target: the function, or its "module:attribute", of the signature that docs/conformance.md gives for the kind; options
                of the component come by keyword.
            ranges: values of options that it is checked with: lowest and highest ``(low, high)``, or a list.

        Raises:
            InputError: a kind without references, a second one, or one that is no function.
        """
        who = f"the reference of {kind} {name!r}"
        if self._closed:
            raise InputError(f"{who} comes too late: declare it before jvid_register returns")
        if kind not in REFERENCED:
            raise InputError(
                f"{who}: expected one of {', '.join(REFERENCED)}; others are not compared by value"
            )
        if (kind, name) in self.references:
            raise InputError(f"{who} is declared twice")
        self.references[kind, name] = Reference(_checked_target(who, target), ranges)

    def close(self) -> None:
        """Refuse further registrations: the plugin's hook has returned.

        Raises:
            InputError: a reference of a component that is not registered.
        """
        self._closed = True
        for key, reference in self.references.items():
            if key not in self.components:
                raise InputError(f"the reference of {key[0]} {key[1]!r}: expected a component of this plugin")
            self.components[key] = attrs.evolve(self.components[key], reference=reference)

    def _add(self, kind: str, name: str, target: str | Callable[..., Any], help: str) -> None:
        if self._closed:
            raise InputError(f"{kind} {name!r} comes too late: register it before jvid_register returns")
        if not NAME.fullmatch(name):
            raise InputError(f"{kind} {name!r}: expected a name of a-z, 0-9, '.', '_' and '-'")
        if (kind, name) in self.components:
            raise InputError(f"{kind} {name!r} is registered twice by one plugin")
        self.components[kind, name] = self.component(kind, name, target, help)
