"""How a pipeline's loop calls its scheduler, where that is not once a turn."""

from __future__ import annotations

import attrs

__all__ = ["ONCE", "Manner"]


@attrs.frozen
class Manner:
    """How a loop calls its scheduler.

    Attributes:
        delegates: the real scheduler forms x_0 first, and is handed x_0 in a second call (Cosmos).
        parts: so many copies of the scheduler are called in its place, each with a part of the latents that is a view of them:
            one for each frame (SkyReels' diffusion forcing). 0 is none.
    """

    delegates: bool = False
    parts: int = 0


ONCE = Manner()
"""One call of the scheduler a turn."""
