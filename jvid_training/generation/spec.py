"""What a set of clips is: all that its clips depend on, as ``set.json`` has it.

clip i    prompt = prompts[i mod len(prompts)],  seed = seed + i
batch k   clips [k batch, (k + 1) batch)          the last one too: files never change when a set grows
networks  see micro_batch clips at once           a clip's last bits depend on how many, and on the threads
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from jvid.cli.story import Clip
from jvid.errors import InputError
from jvid.files import read_json
from jvid.strategy import Strategy

__all__ = ["FORMAT", "NAME", "Progress", "Spec"]

FORMAT = 1
NAME = "set.json"


@attrs.frozen
class Progress:
    """What a run tells: ``clips`` of the ``num`` wanted (a part of one counts), clips per second of this run, seconds left."""

    clips: float
    num: int
    rate: float = 0.0
    left: float = math.inf


def _at_least(least: int) -> Any:
    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if type(value) is not int or value < least:
            raise InputError(
                f"{field.name.replace('_', '-')} {value!r}: expected a whole number, {least} or more"
            )

    return check


@attrs.frozen
class Spec:
    """The request that a set answers.

    Attributes:
        pair: as on the command line.
        pair_fingerprint: of what the pair is made of; equal wherever its folder lies.
        num: clips wanted; files hold whole batches, so there may be more.
        batch: clips of a file.
        micro_batch: clips that the networks see at once; ``batch`` is a multiple of it.
        threads: of each process.
        latents: ``(c, f, h, w)`` of a clip.
        size: ``(H, W)`` of a frame.

    Raises:
        InputError: a value out of range, or a batch that is no multiple of the micro-batch.
    """

    pair: str
    pair_fingerprint: str
    strategy: Strategy
    prompts: tuple[str, ...] = attrs.field(converter=tuple)
    num: int = attrs.field(validator=_at_least(1))
    seed: int = attrs.field(validator=_at_least(0))
    batch: int = attrs.field(validator=_at_least(1))
    micro_batch: int = attrs.field(validator=_at_least(1))
    threads: int = attrs.field(validator=_at_least(1))
    dtype: str
    device: str
    latents: tuple[int, int, int, int] = attrs.field(converter=tuple)
    size: tuple[int, int] = attrs.field(converter=tuple)
    fps: float
    versions: Mapping[str, str] = attrs.field(converter=dict, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.prompts or not all(isinstance(prompt, str) for prompt in self.prompts):
            raise InputError("no prompts: expected at least one sentence")
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
        values = {name: getattr(self, name) for name in (field.name for field in attrs.fields(Spec))}
        return {
            "format": FORMAT,
            **values,
            "strategy": self.strategy.to_dict(),
            "versions": dict(self.versions),
            **{name: list(values[name]) for name in ("prompts", "latents", "size")},
        }

    @classmethod
    def load(cls, folder: Path) -> Spec:
        """The spec of a folder.

        Raises:
            InputError: no set there, or one whose ``set.json`` is damaged or of another format.
        """
        path = folder / NAME
        if not path.exists():
            raise InputError(f"no set of clips in {folder}: expected a folder of jvid generate")

        def structured(values: dict[str, Any]) -> Spec:
            if values.pop("format") != FORMAT:
                raise InputError(f"another format: expected {FORMAT}; update jvid")
            return cls(**{**values, "strategy": Strategy.from_dict(values["strategy"])})

        spec: Spec = read_json(path, "what jvid generate wrote", "give another folder", structured)
        return spec

    def check_resumes(self, before: Spec) -> None:
        """Refuse to go on with a set of another request; ``num`` may grow, and the pair's folder may have moved.

        Raises:
            InputError: what differs, by name.
        """
        if self.num < before.num:
            raise InputError(
                f"num {self.num}: the set holds {before.num} already, ask for as many or more; or give another folder"
            )
        now, then = (_flat({**spec.to_dict(), "num": 0, "pair": ""}) for spec in (self, before))
        names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if names:
            said = "; ".join(
                f"{name}: {_short(then, name)} there, {_short(now, name)} now" for name in names[:3]
            )
            more = f" (and {len(names) - 3} more)" if len(names) > 3 else ""
            raise InputError(
                f"the set was made by another request; {said}{more}: give another folder, or ask for the same"
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, ``strategy.selector.options.t_v``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _short(values: Mapping[str, Any], name: str) -> str:
    text = json.dumps(values[name]) if name in values else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."
