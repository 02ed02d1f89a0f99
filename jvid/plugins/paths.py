"""The files and folders that the text of a choice names: its name, and the values of its options.

models/wan:lora=ink.safetensors+snow.safetensors    ->  models/wan, ink.safetensors, snow.safetensors
tiny#video                                          ->  tiny
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jvid.errors import InputError
from jvid.plugins.choice import Choice

__all__ = ["paths_in"]


def paths_in(text: str | Choice) -> Iterator[str]:
    """Those of the paths that exist."""
    if isinstance(text, Choice):
        choice = text
    else:
        try:
            choice = Choice.parse(text)
        except InputError:  # the name of a folder, say
            yield from _existing(text)
            return
    yield from _existing(choice.name)
    for value in choice.options.values():
        if isinstance(value, Choice):
            yield from paths_in(value)
        else:
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str):
                    yield from _existing(each)


def _existing(text: str) -> Iterator[str]:
    for path in dict.fromkeys([text, *text.split("+")]):
        path, _, _ = path.partition("#")
        try:
            if path and Path(path).exists():
                yield path
        except (OSError, ValueError):  # too long, or with a zero byte
            continue
