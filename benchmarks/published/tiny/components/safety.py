"""A safety checker that lets everything pass."""

from __future__ import annotations

from typing import Any


class PassingChecker:
    """Accepts every text and clip: Cosmos' pipelines insist on a checker, whose package is not for tests."""

    def to(self, *_: Any, **__: Any) -> PassingChecker:
        return self

    def check_text_safety(self, text: str) -> bool:
        """Accept a text."""
        return True

    def check_video_safety(self, frames: Any) -> Any:
        """Return the frames as they are."""
        return frames
