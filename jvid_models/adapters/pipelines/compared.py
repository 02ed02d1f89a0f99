"""The pipeline classes whose samples were compared with diffusers' own runs and found equal.

The list is the census's (`python -m benchmarks.published`); its table is docs/published.md.
"""

from __future__ import annotations

__all__ = ["COMPARED", "KEEP_STATE"]

COMPARED: frozenset[str] = frozenset()

KEEP_STATE: frozenset[str] = frozenset({"LTX2Pipeline", "LTX2ImageToVideoPipeline", "LTX2ConditionPipeline"})
"""Classes whose loop keeps a state: sound beside frames. They run in a `Stream`."""
