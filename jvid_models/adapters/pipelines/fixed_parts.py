"""Parts of a pipeline that an expert was made with: its network, and the scheduler whose levels were read.

A pipeline is the user's own, and may get another part later (``pipe.unet = other``). What was read of the first one does not hold
for it, so the next evaluation refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from jvid.errors import InputError
from jvid_models.adapters.pipelines.turns import in_turn

__all__ = ["FixedParts"]


@attrs.frozen(eq=False)
class FixedParts:
    """Parts of a pipeline that stay the same objects; what they hold may change.

    Attributes:
        pipe: the pipeline.
        parts: by the pipeline's names of them.
    """

    pipe: Any
    parts: Mapping[str, Any]

    @classmethod
    def of(cls, pipe: Any, *names: str) -> FixedParts:
        """The parts of these names as they are now."""
        return cls(pipe, {name: getattr(pipe, name) for name in names})

    @in_turn  # within a call of the pipeline its scheduler is another
    def check(self) -> None:
        """Refuse a part that was replaced.

        Raises:
            InputError: one was.
        """
        for name, part in self.parts.items():
            if (found := getattr(self.pipe, name, None)) is not part:
                raise InputError(
                    f"{type(self.pipe).__name__} has another {name} than its ensemble was made with (now a "
                    f"{type(found).__name__}): make the ensemble again, or put the {type(part).__name__} back"
                )
