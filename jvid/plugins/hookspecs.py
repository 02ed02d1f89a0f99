"""What a plugin of jvid may implement.

A plugin is a module named by an entry point of the group ``jvid``; the entry point's name is the
namespace of what it registers. It implements one or both hooks, marked with ``hookimpl``:

    from jvid.plugins import hookimpl

    @hookimpl
    def jvid_register(register):
        register.denoiser("cartoon", "my_package.models:Cartoon")

Importing a plugin module must be light: name heavy code as "module:attribute", which is imported at
``jvid.load``. A module may state ``JVID_API = 1``, the version of these hooks that it was written for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from jvid.plugins.registrar import Registrar

__all__ = ["API_VERSION", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "jvid"
"""The entry-point group, and pluggy's project name."""

API_VERSION = 1
"""The version of the hooks below; a plugin that requires a later one is left out."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def jvid_register(register: Registrar) -> None:
    """Register factories, by kind and name; called once, when plugins are discovered."""


@hookspec(firstresult=True)
def jvid_resolve(kind: str, name: str) -> str | Callable[..., Any] | None:
    """A factory, or its "module:attribute", for a name that no plugin registers; None where it is not this plugin's."""
