"""The states of diffusers' caches in a pipeline's networks: each run has its own.

A cache (first block, pyramid attention broadcast, ...) is a hook in a network, with a state that holds what it computed at the
steps before. A run of the pipeline ends with a reset of these states; an evaluation never comes to that end. So the states of a
run are put into the hooks for each of its evaluations, and taken out behind it: they last from step to step, and neither another
run nor another expert with the same network meets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from torch import nn

from jvid.extras import extra
from jvid_models.adapters.pipelines.networks import hooked_in

with extra("models"):
    from diffusers.hooks.hooks import StateManager

__all__ = ["CacheStates", "has_caches"]


@attrs.frozen(eq=False)
class _Place:
    """An attribute of a hook, or of what hooks share, that holds a state."""

    owner: Any
    name: str

    def fresh(self) -> Any:
        """The state of a run that begins."""
        return {} if isinstance(self.owner, StateManager) else type(getattr(self.owner, self.name))()


def has_caches(network: Any) -> bool:
    """Whether a cache is enabled in a network."""
    return next(_places(hooked_in([network])), None) is not None


class CacheStates:
    """The states of one run; none so far."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], tuple[Any, Any]] = {}

    @contextmanager
    def within(self, hooked: Iterable[nn.Module]) -> Iterator[None]:
        """Within the block the caches in a pipeline's modules have these states; behind it, those from before.

        ``hooked``: its modules with hooks.
        """
        before = []
        try:
            for place in _places(hooked):
                before.append((place, getattr(place.owner, place.name)))
                # The owner is kept beside its state: another object may get its address.
                _, kept = self._kept.get((id(place.owner), place.name), (None, None))
                setattr(place.owner, place.name, place.fresh() if kept is None else kept)
            yield
        finally:
            self._kept = {}
            for place, state in before:
                self._kept[id(place.owner), place.name] = (place.owner, getattr(place.owner, place.name))
                setattr(place.owner, place.name, state)


def _places(hooked: Iterable[nn.Module]) -> Iterator[_Place]:
    """Where the stateful hooks of some modules hold their states, each once."""
    found: set[int] = set()
    for module in hooked:
        registry = module.__dict__.get("_diffusers_hook")
        for hook in () if registry is None else registry.hooks.values():
            if not hook._is_stateful or id(hook) in found:
                continue
            found.add(id(hook))
            for name, value in vars(hook).items():
                if isinstance(value, StateManager):
                    if id(value) not in found:
                        found.add(id(value))
                        yield _Place(value, "_state_cache")
                elif name == "state":
                    yield _Place(hook, name)
