"""What a set of clips is: all that its clips depend on, as ``set.json`` has it.

clip i    prompt = prompts[i mod len(prompts)],  seed = seed + i
batch k   clips [k batch, (k + 1) batch)          the last one too: files never change when a set grows
networks  see micro_batch clips at once           a clip's last bits depend on how many, and on the threads
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import validators

from jvid import documents
from jvid.documents import short
from jvid.ensemble.source import Source
from jvid.errors import InputError
from jvid.files import read_json
from jvid.limits import MOST_BATCHES, MOST_CLIPS, check_most
from jvid.pipeline.record import Clip
from jvid.strategy.strategy import Strategy

__all__ = ["FORMAT", "NAME", "GenerationProgress", "Spec"]

FORMAT = 2
NAME = "set.json"
_MOST = 2**31 - 1
"""Of anything that is counted, and of frames per second."""


@attrs.frozen
class GenerationProgress:
    """The progress of a run: ``clips`` of ``num`` (parts count), clips per second of this run, seconds left."""

    clips: float
    num: int
    rate: float = 0.0
    left: float = math.inf


def _at_least(least: int) -> Any:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if type(value) is not int or value < least:
            raise InputError(
                f"{field.name.replace('_', '-')} {short(value)}: expected a whole number, {least} or more"
            )
        if field.name != "seed" and value > _MOST:
            raise InputError(f"{field.name.replace('_', '-')}: expected at most {_MOST}, got {short(value)}")

    return check


_EACH: Any = validators.deep_iterable(_at_least(1))


def _rate(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not 0 < value <= _MOST:
        raise InputError(
            f"{field.name} {short(value)}: expected frames per second, more than 0 and at most {_MOST}"
        )


def _tuple(values: Iterable[Any]) -> Any:
    return tuple(values)


def _dict(values: Mapping[str, str]) -> dict[str, str]:
    return dict(values)


@attrs.frozen
class Spec:
    """The request that a set answers.

    Attributes:
        ensemble: as on the command line.
        ensemble_fingerprint: of what the ensemble is made of; equal wherever its folder lies.
        num: clips wanted; files hold whole batches, so there may be more.
        batch: clips of a file.
        micro_batch: clips that the networks see at once; ``batch`` is a multiple of it.
        threads: of each process.
        latents: ``(c, f, h, w)`` of a clip.
        frames: of a clip, decoded.
        size: ``(H, W)`` of a frame.
        untested: by expert, classes of models that were never compared with their reference.

    Raises:
        InputError: a value out of range, or a batch that is no multiple of the micro-batch.
    """

    ensemble: Source
    ensemble_fingerprint: str
    strategy: Strategy
    prompts: tuple[str, ...] = attrs.field(converter=_tuple)
    num: int = attrs.field(validator=_at_least(1))
    seed: int = attrs.field(validator=_at_least(0))
    batch: int = attrs.field(validator=_at_least(1))
    micro_batch: int = attrs.field(validator=_at_least(1))
    threads: int = attrs.field(validator=_at_least(1))
    dtype: str
    device: str
    latents: tuple[int, int, int, int] = attrs.field(converter=_tuple, validator=_EACH)
    frames: int = attrs.field(validator=_at_least(1))
    size: tuple[int, int] = attrs.field(converter=_tuple, validator=_EACH)
    fps: float = attrs.field(validator=_rate)
    versions: Mapping[str, str] = attrs.field(converter=_dict, hash=False)
    untested: Mapping[str, str] = attrs.field(factory=dict, converter=_dict, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.prompts or not all(isinstance(prompt, str) for prompt in self.prompts):
            raise InputError("no prompts: expected at least one sentence")
        check_most("files of a set", self.batches, MOST_BATCHES, "give a smaller --num or a larger --batch")
        check_most("batch", self.batch, MOST_CLIPS, "give a smaller --batch")
        if self.batch % self.micro_batch:
            raise InputError(
                f"micro-batch {self.micro_batch} in a batch of {self.batch}: expected a batch that is a multiple of it, "
                f"such as {self.micro_batch * math.ceil(self.batch / self.micro_batch)}"
            )

    @property
    def batches(self) -> int:
        """Files of the whole set."""
        return math.ceil(self.num / self.batch)

    def clips(self, batch: int) -> tuple[Clip, ...]:
        """The clips of a batch."""
        first = batch * self.batch
        return tuple(
            Clip(self.prompts[i % len(self.prompts)], self.seed + i) for i in range(first, first + self.batch)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in attrs.fields(Spec)}
        if not self.untested:  # as sets of earlier versions have it
            del values["untested"]
        return {
            "format": FORMAT,
            **values,
            "ensemble": self.ensemble.to_plain(),
            "strategy": self.strategy.to_dict(),
            "versions": dict(self.versions),
            **{name: list(values[name]) for name in ("prompts", "latents", "size")},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Spec:
        """From ``to_dict``'s values, or those of format 1, whose ensembles were pairs.

        Raises:
            InputError: another format, or a value of another type or out of range.
            KeyError, TypeError: another form.
        """
        values = dict(values)
        version = values.pop("format")
        if type(version) is not int or version not in (1, FORMAT):
            raise InputError(f"format {short(version)}: expected {FORMAT} or 1; update jvid")
        if version == 1:
            pair = values.pop("pair")
            latents: Any = values.get("latents")
            if not isinstance(pair, str):
                raise InputError(f"pair {short(pair)}: expected the name of an ensemble")
            values["ensemble"], values["ensemble_fingerprint"] = pair, values.pop("pair_fingerprint")
            # Latents of another form are refused by their own type, before the frames.
            whole = isinstance(latents, list | tuple) and len(latents) == 4
            values["frames"] = latents[1] if whole else 1
        # Strategies of older versions are read too, which the fields alone do not know.
        try:
            strategy = Strategy.from_dict(values["strategy"]).to_dict()
        except InputError as error:
            raise InputError(f"at strategy: {error}") from error
        return documents.structured({**values, "strategy": strategy}, cls, "a set's file")

    @classmethod
    def load(cls, folder: Path) -> Spec:
        """The spec of a folder.

        Raises:
            InputError: no set there, or one whose ``set.json`` is damaged or of another format.
        """
        path = folder / NAME
        if not path.exists():
            raise InputError(f"no set of clips in {folder}: expected a folder of jvid generate, or of videos")
        spec: Spec = read_json(path, "what jvid generate wrote", "give another folder", cls.from_dict)
        return spec

    def check_resumes(self, before: Spec) -> None:
        """Refuse to go on with a set of another request; ``num`` may grow, and the ensemble's folder may have moved.

        Raises:
            InputError: what differs, by name.
        """
        if self.num < before.num:
            raise InputError(
                f"num {self.num}: the set holds {before.num} already, give as many or more, or another folder"
            )
        then, now = ({**spec.to_dict(), "num": 0, "ensemble": ""} for spec in (before, self))
        remedy = "give another folder, or request the same"
        documents.check_same(then, now, "the set was made by another request", remedy)
