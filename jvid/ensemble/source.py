"""An ensemble as plain values: a registered one or a folder, experts composed on the spot, or both.

    actions-64                                     --ensemble actions-64
    {"experts": {"high": "wan/high", "low": "wan/low"}, "codec": "taesd"}
                                                   --expert high=wan/high --expert low=wan/low --codec taesd

A source of an expert is a denoiser of the registry (``gaussian:std=.5,schedule=cosine``), a folder, an ensemble with one
expert or with one of that name, or ``ENSEMBLE#EXPERT``. What the whole needs beside its experts comes from the first of
these ensembles unless it is stated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType
from typing import Any

import attrs

from jvid import documents
from jvid.ensemble.deferred import Deferred
from jvid.ensemble.ensemble import Ensemble
from jvid.ensemble.frames import check_rates
from jvid.ensemble.inputs import Inputs, input_files
from jvid.ensemble.parts import SourceParts
from jvid.errors import InputError
from jvid.machine.device import check_device
from jvid.plugins.paths import paths_in
from jvid.plugins.registry import Registry, current

__all__ = ["DEFAULT_FPS", "Source"]

DEFAULT_FPS = 8.0

_LOADING: ContextVar[tuple[Source, ...]] = ContextVar("jvid_loading", default=())
"""The sources whose ensembles are being made, the outermost first."""


def _read_only(values: Any) -> Mapping[str, str]:
    if not isinstance(values, Mapping) or not all(isinstance(each, str) for each in values.values()):
        raise InputError(f"{documents.short(values)}: expected names with their sources, as text")
    return MappingProxyType(dict(values))


@attrs.frozen
class Source:
    """The names from which ``load`` builds an ensemble.

    Attributes:
        name: a choice of the kind "ensemble" as text, a folder's path among them; "" where experts alone are named.
        experts: sources by name; they are added to those of ``name``, or take their place.
        text: encoders by expert; ``"*"`` is for each expert that has none of its own.
        codec: a choice of the kind "codec".
        shape: ``(c, f, h, w)`` of a clip's latents.
        fps: frames per second.
        schedule: the reference schedule, a choice of the kind "schedule".
        same_space: take latent spaces that differ as one; for users who know that they are.
        inputs: files by expert and argument of its model, such as ``{"video": {"image": "first.png"}}``.

    Raises:
        InputError: neither a name nor experts, a file that is not there, or a value of another form.
    """

    name: str = ""
    experts: Mapping[str, str] = attrs.field(factory=dict, converter=_read_only, hash=False)
    text: Mapping[str, str] = attrs.field(factory=dict, converter=_read_only, hash=False)
    codec: str | None = None
    shape: tuple[int, ...] | None = None
    fps: float | None = None
    schedule: str | None = None
    same_space: bool = False
    inputs: Inputs = attrs.field(factory=dict, converter=input_files, hash=False)

    def __attrs_post_init__(self) -> None:
        for key in ("name", "codec", "schedule"):
            if not isinstance(value := getattr(self, key), str | None):
                raise InputError(f"ensemble.{key} {documents.short(value)}: expected text")
        if not self.name and not self.experts:
            raise InputError("no ensemble: expected the name of one, a folder, or experts")
        if not isinstance(self.same_space, bool):
            raise InputError(
                f"ensemble.same_space {documents.short(self.same_space)}: expected true or false"
            )
        sizes = self.shape
        if sizes is not None and (len(sizes) != 4 or any(type(n) is not int or n < 1 for n in sizes)):
            raise InputError(
                f"ensemble.shape {documents.short(sizes)}: expected channels, frames, height and width, each 1 or more"
            )
        if self.fps is not None and not (_is_number(self.fps) and 0 < self.fps < math.inf):
            raise InputError(f"ensemble.fps {documents.short(self.fps)}: expected a finite number above 0")

    def _inputs(self, loaded: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Those of the files, unread, and those that are loaded, by expert."""
        found: dict[str, dict[str, Any]] = {name: dict(files) for name, files in self.inputs.items()}
        for name, values in loaded.items():
            found.setdefault(name, {}).update(values)
        return found

    @property
    def input_paths(self) -> tuple[str, ...]:
        """The files and folders that are read: pictures, clips and tensors, and those that the texts name, if they exist."""
        texts = (
            self.name,
            *self.experts.values(),
            *self.text.values(),
            self.codec or "",
            self.schedule or "",
        )
        files = (file.path for files in self.inputs.values() for file in files.values())
        return *files, *(path for text in texts for path in paths_in(text))

    @property
    def is_composed(self) -> bool:
        """Whether anything is stated beside the name of an ensemble."""
        return self.to_plain() != self.name

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return Source, tuple(_mutable(getattr(self, field.name)) for field in attrs.fields(Source))

    def to_plain(self) -> str | dict[str, Any]:
        """The name alone where nothing else is stated, else what is stated."""
        stated = {field.name: getattr(self, field.name) for field in attrs.fields(Source)}
        values: dict[str, Any] = {
            key: list(value) if isinstance(value, tuple) else _mutable(value)
            for key, value in stated.items()
            if value
        }
        if self.inputs:
            values["inputs"] = {
                expert: {name: attrs.asdict(file) for name, file in files.items()}
                for expert, files in self.inputs.items()
            }
        return self.name if set(values) == {"name"} else values

    @classmethod
    def from_plain(cls, values: Any) -> Source:
        """From ``to_plain``'s value.

        Raises:
            InputError: another form.
        """
        if isinstance(values, Source):
            return values
        if isinstance(values, str):
            return cls(values)
        if not isinstance(values, Mapping):
            raise InputError(
                f"ensemble {documents.short(values)}: expected a name, or an object with experts"
            )
        if unknown := [key for key in values if key not in attrs.fields_dict(cls)]:
            raise InputError(
                f"ensemble: unknown key {unknown[0]!r}, expected {', '.join(attrs.fields_dict(cls))}"
            )
        for key in ("experts", "text"):
            table = values.get(key, {})
            if not isinstance(table, Mapping) or not all(isinstance(each, str) for each in table.values()):
                raise InputError(f"ensemble.{key} {documents.short(table)}: expected sources by expert")
        shape = values.get("shape")
        if shape is not None and not isinstance(shape, list | tuple):
            raise InputError(f"ensemble.shape {documents.short(shape)}: expected a list of four sizes")
        return cls(**{**values, "shape": None if shape is None else tuple(shape)})

    def __str__(self) -> str:
        parts = [self.name] if self.name else []
        return ", ".join([*parts, *(f"{name}={source}" for name, source in self.experts.items())])

    def load(
        self,
        device: str = "cpu",
        dtype: str = "float32",
        registry: Registry | None = None,
        given: Mapping[str, Any] = MappingProxyType({}),
        inputs: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        host: bool = False,
        weights: bool = True,
    ) -> Ensemble:
        """The ensemble; networks load at their first use.

        Args:
            device: of the networks, such as "cuda".
            dtype: of the networks, such as "bfloat16".
            registry: where names are found; the current one if None.
            given: experts that are loaded already, in place of their sources: pipelines, ensembles of one, denoisers.
            inputs: pictures, clips and tensors by expert and argument, beside the files of the source.
            host: leave weights on the host where a factory can (``host=``), for an offload that moves them.
            weights: read weights; without them factories that can (``weights=``) make what a plan needs alone.

        Raises:
            InputError: a device that is not there; an expert, encoder or codec that does not fit; experts of clips of different
                frame rates without ``fps``; an ensemble that is made of itself. The message names the expert.
            UnknownNameError: a name that no plugin registers and that is no folder.
        """
        check_device(device)
        around = _LOADING.get()
        if self in around:
            names = ", ".join(f"{name}={text}" for name, text in self.experts.items()) or self.name
            raise InputError(f"the ensemble of {names} is made of itself: name experts of another ensemble")
        token = _LOADING.set((*around, self))
        try:
            wishes = {"host": True} if host else {}
            return self._loaded(
                device, dtype, registry, given, inputs, wishes if weights else {**wishes, "weights": False}
            )
        finally:
            _LOADING.reset(token)

    def _loaded(
        self,
        device: str,
        dtype: str,
        registry: Registry | None,
        given: Mapping[str, Any],
        inputs: Mapping[str, Mapping[str, Any]],
        wishes: Mapping[str, bool],
    ) -> Ensemble:
        parts = SourceParts(
            registry or current(), {"device": device, "dtype": dtype}, self._inputs(inputs), wishes
        )
        others = [name for name in parts.inputs if name not in self.experts]
        base = parts.ensemble(self.name, others) if self.name else None
        if unknown := [name for name in others if base is None or name not in base.members]:
            known = dict.fromkeys([*(base.members if base is not None else ()), *self.experts])
            raise InputError(f"inputs for expert {unknown[0]!r}: expected one of {', '.join(known)}")
        if base is not None and not attrs.evolve(self, inputs={}).is_composed:
            return base
        members = dict(base.members) if base is not None else {}
        owners: dict[str, Ensemble] = {}
        for name, text in self.experts.items():
            found = parts.given(name, given[name]) if name in given else parts.member(name, text)
            members[name], owner = found
            if owner is not None:
                owners[name] = owner
        # A run that changes a clip begins where the model of that clip does, and has its shape.
        changes = next(
            (each for each in (base, *owners.values()) if each is not None and each.changes_a_clip), None
        )
        around = base or changes or _around([*owners.values()])
        if around is not None and self.fps is None:
            check_rates(
                around.fps,
                {name: each.fps for name, each in owners.items() if members[name].denoises == "clips"},
            )
        if every := self.text.get("*"):
            parts.shared("text", every)  # an unknown name is an error though all experts have an encoder
        for name, member in members.items():
            chosen = self.text.get(name) or (self.text.get("*") if member.conditioner is None else None)
            if chosen is not None:
                members[name] = attrs.evolve(member, conditioner=parts.shared("text", chosen))
        if unknown := [name for name in self.text if name != "*" and name not in members]:
            raise InputError(f"text for expert {unknown[0]!r}: expected one of {', '.join(members)}")
        shape = self.shape or (around.shape if around is not None else None)
        if shape is None:
            raise InputError(
                f"experts {', '.join(members)} come without a shape of clips: give --shape C,F,H,W, or an ensemble to add them to"
            )
        schedule = None if self.schedule is None else parts.shared("schedule", self.schedule)
        # Times of a model's own are times of its schedule.
        timed = changes or around
        timed = timed if timed is not None and timed.times is not None else None
        reference = base or timed
        codec: Any = None if self.codec is None else parts.shared("codec", self.codec)
        return Ensemble(
            members,
            shape,
            fps=self.fps or (around.fps if around is not None else DEFAULT_FPS),
            codec=codec
            or (Deferred(lambda: around.codec) if around is not None and around.has_codec else None),
            schedule=schedule or (Deferred(lambda: reference.schedule) if reference is not None else None),
            # That of the codec: another one has its own.
            space=around.space if around is not None and codec is None else None,
            frames=around.frames if around is not None else None,
            prompts=around.prompts if around is not None and not self.text else (),
            strategy=base.strategy if base is not None else None,
            name=self.name or "composed",
            same_space=self.same_space or (base is not None and base.same_space),
            times=timed.times if timed is not None and schedule is None else None,
            clean=None if changes is None else Deferred(partial(_clean, changes)),
        )


def _around(owners: list[Ensemble]) -> Ensemble | None:
    """What gives shape, codec and the rest: the first ensemble of experts of clips, or else the first."""
    clips = (owner for owner in owners if len(owner.frame_experts) < len(owner.experts))
    return next(clips, owners[0] if owners else None)


def _clean(ensemble: Ensemble) -> Any:
    return ensemble.clean


def _mutable(value: Any) -> Any:
    """Read-only mappings as dictionaries, which can be pickled."""
    return (
        {key: _mutable(each) for key, each in value.items()} if isinstance(value, MappingProxyType) else value
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
