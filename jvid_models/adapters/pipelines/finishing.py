"""Methods that a pipeline calls behind its loop, and that change its latents in ways that a layout does not explain.

    scheduler.step ---> finishing method ---> decoder       a first frame that is fitted to the others (Kandinsky 5)

jvid's latents are those before such a method: it is left out where the layout is learned, and called by ``frames``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from jvid_models.adapters.pipelines.replaced import replaced

__all__ = ["Finishing"]


class Finishing:
    """The methods of a pipeline that take its latents and give others of their shape behind the loop.

    Args:
        loop: the pipeline.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self.names: list[str] = []
        self.left_out: str | None = None

    @contextmanager
    def noted(self, behind: Callable[[], bool]) -> Iterator[None]:
        """Within the block such methods are noted; ``behind``: whether the loop is at its end."""

        def noting(name: str, own: Any) -> Any:
            @functools.wraps(own)
            def method(*args: Any, **kwargs: Any) -> Any:
                found = own(*args, **kwargs)
                if behind() and name not in self.names and _kept_shape(args, kwargs, found) is not None:
                    self.names.append(name)
                return found

            return method

        with replaced(
            self._loop, **{name: noting(name, getattr(self._loop, name)) for name in self._methods()}
        ):
            yield

    @contextmanager
    def leaving_out(self) -> Iterator[None]:
        """Within the block the method ``left_out`` gives back what it is given."""
        if self.left_out is None:
            yield
            return
        own = getattr(self._loop, self.left_out)

        @functools.wraps(own)
        def method(*args: Any, **kwargs: Any) -> Any:
            found = own(*args, **kwargs)
            given = _kept_shape(args, kwargs, found)
            return found if given is None else given

        with replaced(self._loop, **{self.left_out: method}):
            yield

    def _methods(self) -> list[str]:
        kind = type(self._loop)
        return [
            name
            for name in dir(kind)
            if not name.startswith("__")
            and inspect.isroutine(inspect.getattr_static(kind, name))
            and not isinstance(inspect.getattr_static(kind, name), classmethod)
        ]


def _kept_shape(args: Any, kwargs: Any, found: Any) -> Tensor | None:
    """The first tensor that a method was given, where what it gave has the same shape."""
    given = next((each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)), None)
    alike = isinstance(found, Tensor) and given is not None and given.shape == found.shape
    return given if alike else None
