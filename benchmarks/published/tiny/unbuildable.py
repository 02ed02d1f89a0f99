"""Classes that no recipe builds, and why."""

from __future__ import annotations

UNBUILDABLE: dict[str, str] = {}
