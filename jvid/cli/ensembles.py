"""Options that name the ensemble of a command: ``--ensemble``, or ``--expert`` for each expert."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import attrs

from jvid.cli.groups import option_of
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.ensemble.source import Source

__all__ = ["EnsembleOptions", "default_source"]

_PANEL = "Ensemble"
_option = option_of(_PANEL)


@attrs.frozen
class EnsembleOptions:
    """The options that name an ensemble or its experts."""

    ensemble: Annotated[
        str | None,
        _option(
            "--ensemble", "--pair", metavar="NAME|FOLDER",
            help="Experts and what surrounds them (default: the first of jvid names ensemble).",
        ),
    ] = None  # fmt: skip
    expert: Annotated[
        list[str] | None,
        _option(
            "--expert", metavar="NAME=SOURCE",
            help="An expert by name: a folder, a denoiser of jvid names denoiser, or ENSEMBLE#EXPERT. May be repeated; "
            "added to those of --ensemble.",
        ),
    ] = None  # fmt: skip
    text: Annotated[
        list[str] | None,
        _option(
            "--text", metavar="[NAME=]CHOICE",
            help="Text encoder of one expert, or of each that has none: minilm, clip:path=FOLDER. May be repeated.",
        ),
    ] = None  # fmt: skip
    codec: Annotated[
        str | None, _option("--codec", metavar="NAME:A=1", help="Latents to pixels; see jvid names codec.")
    ] = None
    shape: Annotated[
        str | None,
        _option("--shape", metavar="C,F,H,W", help="Latents of one clip: channels, frames, height, width."),
    ] = None
    fps: Annotated[float | None, _option("--fps", metavar="N", help="Frames per second of the clips.")] = None

    inputs: Annotated[
        list[str] | None,
        _option(
            "--input", metavar="NAME.ARGUMENT=FILE",
            help="A picture, clip or tensor that an expert's pipeline takes beside its prompt. May be repeated.",
        ),
    ] = None  # fmt: skip

    same_space: Annotated[
        bool,
        _option(
            "--same-space",
            help="Take latent spaces of experts that differ as one: for users who know that they are.",
        ),
    ] = False

    def source(self, base: Source | None = None) -> Source | None:
        """What the options name; None where they name nothing.

        Args:
            base: which changes where ``--input`` and ``--same-space`` alone are given; None is the default ensemble.

        Raises:
            InputError: an option of another form, an expert or an input that is named twice, or a file that is not there.
        """
        from jvid.ensemble.source import Source

        inputs = _inputs(self.inputs or ())
        stated = (self.ensemble, self.expert, self.text, self.codec, self.shape, self.fps)
        if all(option in (None, []) for option in stated):
            if not inputs and not self.same_space:
                return None
            changed = _with_inputs(base or default_source(), inputs)
            return attrs.evolve(changed, same_space=changed.same_space or self.same_space)
        for option, stated_name in (("--ensemble", self.ensemble), ("--codec", self.codec)):
            if stated_name is not None and not stated_name.strip():
                raise InputError(f"{option} {stated_name!r}: expected a name")
        experts: dict[str, str] = {}
        for given in self.expert or ():
            name, equals, source = (part.strip() for part in given.partition("="))
            if not equals or not name or not source or ":" in name:
                raise InputError(f"--expert {given!r}: expected NAME=SOURCE, such as video=FOLDER")
            if name in experts:
                raise InputError(f"--expert {name!r} is given twice: expected it once")
            experts[name] = source
        text: dict[str, str] = {}
        for given in self.text or ():
            name, choice = named(given)
            if not name or not choice:
                raise InputError(f"--text {given!r}: expected CHOICE or NAME=CHOICE, such as video=minilm")
            if name in text:
                raise InputError(
                    f"--text {given!r}: a text encoder of {name} is given twice, expected it once"
                )
            text[name] = choice
        name = self.ensemble or ("" if experts else default_source().name)
        return Source(
            name, experts, text, self.codec, _shape(self.shape), self.fps,
            same_space=self.same_space, inputs=inputs,
        )  # fmt: skip


def named(text: str) -> tuple[str, str]:
    """``high=guided:scale=3`` as name and choice; a choice alone is that of ``"*"``, each expert."""
    name, equals, choice = text.partition("=")
    if equals and ":" not in name:
        return name.strip(), choice.strip()
    return "*", text.strip()


def default_source() -> Source:
    """The ensemble that is registered first, jvid's own before those of others.

    Raises:
        InputError: no plugin registers one.
    """
    from jvid.ensemble.source import Source
    from jvid.plugins.registry import current

    names = current().names("ensemble")
    if not names:
        raise InputError(
            "no ensemble is installed: name a folder (--ensemble FOLDER), compose one (--expert NAME=SOURCE), or install "
            "jvid with its models, pip install 'jvid[models]'"
        )
    return Source(names[0])


def _inputs(given: Iterable[str]) -> dict[str, dict[str, str]]:
    """``video.image=FILE`` as files by expert and argument."""
    found: dict[str, dict[str, str]] = {}
    for text in given:
        target, equals, path = (part.strip() for part in text.partition("="))
        expert, dot, name = target.rpartition(".")
        if not equals or not dot or not expert or not name.isidentifier() or not path:
            raise InputError(f"--input {text!r}: expected NAME.ARGUMENT=FILE, such as video.image=first.png")
        if name in found.setdefault(expert, {}):
            raise InputError(f"--input {target!r} is given twice: expected it once")
        found[expert][name] = path
    return found


def _with_inputs(source: Source, inputs: dict[str, dict[str, str]]) -> Source:
    """The source with these files in the place of its own, or beside them."""
    kept: dict[str, dict[str, Any]] = {name: dict(files) for name, files in source.inputs.items()}
    for expert, files in inputs.items():
        kept.setdefault(expert, {}).update(files)
    return attrs.evolve(source, inputs=kept)


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        shape = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if len(shape) != 4 or min(shape) < 1:
        raise InputError(f"--shape {text!r}: expected four sizes of latents, channels,frames,height,width")
    return shape
