"""What a network was made of, as diffusers' models have it: a mapping whose values are attributes too."""

from __future__ import annotations

from typing import Any

__all__ = ["Settings"]


class Settings(dict[str, Any]):
    """Options by name, as ``settings["name"]`` and ``settings.name``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no setting {name!r}: expected one of {', '.join(self)}") from None
