"""Which run an evaluation belongs to, for denoisers that keep values from one step to the next.

    kept = memo({"run": current_scope(), ...}, make)

Without it such a denoiser cannot know whose cache or encoded prompts it has: two iterators of one sampler may take turns, and one
denoiser may be two experts of a run. A scope is referenced weakly, so what is kept for a run ends with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["RunScope", "current_scope", "in_scope"]


class RunScope:
    """A run of a sampler, or one expert in it, by identity: a copy is another, and so is one that was pickled."""

    def __init__(self) -> None:
        self._experts: dict[str, RunScope] = {}
        self._run: weakref.ref[object] | None = None

    def taken_by(self, run: object) -> RunScope:
        """This scope for a run that goes on in it; a new one where another run that has it may still go on."""
        if self._run is not None and self._run() is not None:
            return RunScope().taken_by(run)
        self._run = weakref.ref(run)
        return self

    def of(self, expert: str) -> RunScope:
        """The scope of one expert of this run: the same object each time."""
        return self._experts.setdefault(expert, RunScope())

    def __reduce__(self) -> tuple[type[RunScope], tuple[()]]:
        return RunScope, ()


# Weak: a thread that waits for its run has a copy of the context, and would keep the run whose end ends the thread.
_CURRENT: ContextVar[weakref.ref[RunScope] | None] = ContextVar("jvid_scope", default=None)


def current_scope() -> RunScope | None:
    """The scope of the evaluation at hand; None outside of a run."""
    reference = _CURRENT.get()
    return None if reference is None else reference()


@contextmanager
def in_scope(scope: RunScope) -> Iterator[None]:
    """Within the block evaluations belong to this scope."""
    token = _CURRENT.set(weakref.ref(scope))
    try:
        yield
    finally:
        _CURRENT.reset(token)
