"""Components by name: discovery, the registry, options as text.

A plugin marks its function with ``hookimpl``; importing it loads neither torch nor numpy.
"""

from __future__ import annotations

from jvid.plugins.hookspecs import hookimpl

__all__ = ["hookimpl"]
