"""Optional libraries: a missing one is named with the command that installs it.

``pip install jvid`` installs the core alone. Every import of a library that only an extra brings is made
within ``extra``, also in the packages beside the core::

    with extra("media"):
        import av

The name is that of the extra in pyproject.toml: cli, media, models, training, datasets, testing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jvid.errors import MissingDependencyError, one_line

__all__ = ["extra"]

# Where the name that is imported is not the name that is installed.
_DISTRIBUTIONS = {"PIL": "pillow"}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Run a block that imports libraries of the extra ``name``; also a decorator of a function that does.

    Raises:
        MissingDependencyError: a library is not installed, or cannot be imported; the message names it and the command
            that installs it.
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        if library.startswith("jvid"):  # a fault of jvid itself: no installation mends it
            raise
        shown = _DISTRIBUTIONS.get(library, library) or f"a library of the extra {name!r}"
        absent = isinstance(error, ModuleNotFoundError) and error.name == library
        reason = "is not installed" if absent else f"cannot be imported ({one_line(error)})"
        raise MissingDependencyError(f"{shown} {reason}: pip install 'jvid[{name}]'") from error
