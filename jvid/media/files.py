"""The table of output formats: a row for each ending of files, with what writes and reads them.

Commands take the endings of their outputs and their help from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import attrs

from jvid.errors import InputError
from jvid.files import check_file
from jvid.media import mp4, pictures, tensors

__all__ = [
    "ENDINGS", "FORMATS", "PLOTS", "STILLS", "Format", "check_path", "described", "endings", "format_of", "listed",
]  # fmt: skip

Content = Literal["clip", "sheet", "latents"]

_NOTES: dict[Content, str] = {"clip": "", "sheet": " (contact sheet: a row a clip)", "latents": " (latents)"}


@attrs.frozen
class Format:
    """A format of output files.

    Args:
        ending: of the files, with its dot.
        holds: one clip that plays, a sheet of several clips, or latents as they are.
        write: ``write(part, frames, text, fps, look)`` for frames ``(b f H W 3)`` of bytes, ``write(part, latents, text)``
            for latents.
        read: from the path to the text that was written, "" where there is none.
        libraries: that both import, of the extra "media".
        own_key: whether the text is stored under a key "jvid"; else in a comment, as a JSON object with that key.
        transparent: whether frames may be without their background.
        side: pixels to which the short side is enlarged by default.
        load: from the path to the latents.
    """

    ending: str
    holds: Content
    write: Callable[..., None]
    read: Callable[[Path], str]
    libraries: tuple[str, ...] = ()
    own_key: bool = attrs.field(default=False, kw_only=True)
    transparent: bool = attrs.field(default=False, kw_only=True)
    side: int = attrs.field(default=256, kw_only=True)
    load: Callable[[Path], Any] | None = attrs.field(default=None, kw_only=True)

    def __str__(self) -> str:
        return self.ending + _NOTES[self.holds]


FORMATS: dict[str, Format] = {
    form.ending: form
    for form in (
        Format(".mp4", "clip", mp4.write, mp4.read, ("av", "PIL")),
        Format(".gif", "clip", pictures.write_gif, pictures.read_gif, ("PIL",), transparent=True),
        Format(".webp", "clip", pictures.write_webp, pictures.read_webp, ("PIL",), transparent=True),
        Format(
            ".png",
            "sheet",
            pictures.write_png,
            pictures.read_png,
            ("PIL",),
            own_key=True,
            transparent=True,
            side=128,
        ),
        Format(".safetensors", "latents", tensors.write, tensors.read, own_key=True, load=tensors.load),
    )
}
"""The formats of clips, by their endings."""

ENDINGS = tuple(FORMATS)
"""Endings of files of clips."""

PLOTS = (".png", ".svg", ".pdf")
"""Endings of plots, which matplotlib writes."""

STILLS: dict[str, dict[str, Any]] = {
    ".png": {"optimize": True},
    ".jpg": {"quality": 92},
    ".webp": {"quality": 92},
}
"""Endings of labelled sheets, with the options that Pillow writes them with."""


def endings(*holds: Content) -> tuple[str, ...]:
    """The endings of formats that hold one of these."""
    return tuple(ending for ending, form in FORMATS.items() if form.holds in holds)


def listed(items: Iterable[object]) -> str:
    """Items in a sentence: "a, b or c"."""
    *others, last = map(str, items)
    return f"{', '.join(others)} or {last}" if others else last


def described() -> str:
    """The formats of clips in a sentence, for help."""
    return listed(FORMATS.values())


def format_of(path: str | Path) -> Format:
    """The format of a path.

    Raises:
        InputError: no format has its ending.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"{str(path)!r} ends in {ending!r}: expected {', '.join(FORMATS)}")
    return FORMATS[ending]


def check_path(path: str | Path, *holds: Content) -> Path:
    """`jvid.files.check_file`, of the endings whose formats hold one of these; of all if none is given.

    Raises:
        InputError: as there.
    """
    return check_file(path, endings(*holds) if holds else tuple(FORMATS))
