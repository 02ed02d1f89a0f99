"""The pipeline classes whose samples were compared with diffusers' own runs and found equal.

The list is the census's (`python -m benchmarks.published`); its table is docs/published.md.
"""

from __future__ import annotations

__all__ = ["COMPARED"]

COMPARED: frozenset[str] = frozenset()
