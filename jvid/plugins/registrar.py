"""The object passed to a plugin's ``jvid_register``: one method for each kind of component.

What is registered are *factories*: called with options, they return the component. A method takes
the factory or its "module:attribute", or decorates it:

    register.selector("always", "jvid.selectors:Always")

    @register.selector("coin")
    def coin(p: float = 0.5) -> Selector: ...
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from types import FunctionType
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

__all__ = ["KINDS", "NAME", "Component", "Registrar", "Slot"]

KINDS = (
    "ensemble", "denoiser", "wrapper", "selector", "solver", "grid", "schedule", "noise", "postprocessor", "codec",
    "text", "features", "metric", "command",
)  # fmt: skip
"""Every kind of component, in the order of listings."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What names of components and of plugins look like."""

T = TypeVar("T")


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
    """

    kind: str
    plugin: str
    name: str
    target: str | Callable[..., Any]
    help: str = ""
    distribution: str = "unknown"
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
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
            if not callable(found):
                raise TypeError(f"{self.target} is a {type(found).__name__}, not something to call")
        except (KeyboardInterrupt, MemoryError):
            raise
        except MissingDependencyError as error:
            raise MissingDependencyError(f"{self}: {error}") from error
        except ImportError as error:
            raise MissingDependencyError(
                f"{self} cannot be imported: {one_line(error, typed=True)}"
            ) from error
        except BaseException as error:
            raise PluginError(f"{self} cannot be imported: {one_line(error, typed=True)}") from error
        return found  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return f"{self.kind} {self.qualified} ({self.distribution})"


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
        if isinstance(target, str):
            module, colon, attribute = target.partition(":")
            parts = [*module.split("."), *attribute.split(".")]
            if not colon or not all(part.isidentifier() for part in parts):
                raise InputError(f"{kind} {name!r} has target {target!r}: expected 'module:attribute'")
        elif not callable(target):
            raise InputError(f"{kind} {name!r} is a {type(target).__name__}: expected a factory to call")
        if not help and isinstance(target, type | FunctionType):
            help = (target.__doc__ or "").strip().partition("\n\n")[0]
        return Component(kind, self.plugin, name, target, " ".join(help.split()), self.distribution)

    def close(self) -> None:
        """Refuse further registrations: the plugin's hook has returned."""
        self._closed = True

    def _add(self, kind: str, name: str, target: str | Callable[..., Any], help: str) -> None:
        if self._closed:
            raise InputError(f"{kind} {name!r} comes too late: register it before jvid_register returns")
        if not NAME.fullmatch(name):
            raise InputError(f"{kind} {name!r}: expected a name of a-z, 0-9, '.', '_' and '-'")
        if (kind, name) in self.components:
            raise InputError(f"{kind} {name!r} is registered twice by one plugin")
        self.components[kind, name] = self.component(kind, name, target, help)
