"""The parts that the text of an ensemble names, each loaded once.

A source of an expert is a denoiser of the registry, a folder, an ensemble with one expert or with one of that name, or
``ENSEMBLE#EXPERT``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from jvid.ensemble.deferred import Deferred
from jvid.ensemble.ensemble import Ensemble, Member
from jvid.ensemble.inputs import InputFile, merged
from jvid.errors import InputError, UnknownNameError, located
from jvid.plugins.choice import Choice
from jvid.plugins.options import parameters
from jvid.plugins.registry import Registry

__all__ = ["SourceParts"]


class SourceParts:
    """Loads what a source names, each once."""

    def __init__(
        self,
        registry: Registry,
        place: Mapping[str, Any],
        inputs: Mapping[str, Mapping[str, Any]],
        wishes: Mapping[str, bool],
    ) -> None:
        self._registry, self._place, self.inputs, self._wishes = registry, place, inputs, wishes
        self._ensembles: dict[tuple[str, tuple[str, ...]], Ensemble] = {}
        self._shared: dict[tuple[str, str], Deferred[Any]] = {}
        self._common: dict[str, Any] = {}

    def ensemble(self, text: str, experts: Iterable[str] = ()) -> Ensemble:
        """The ensemble of a source, with the inputs of these experts."""
        key = text, tuple(name for name in experts if self.inputs.get(name))
        if key not in self._ensembles:
            more = {"inputs": self._read(key[1])} if key[1] else {}
            self._ensembles[key] = self._built("ensemble", Choice.parse(text), more)
        return self._ensembles[key]

    def _read(self, experts: Iterable[str]) -> dict[str, Any]:
        """The inputs of experts of one model; files are read."""
        values = merged({name: self.inputs[name] for name in experts})
        return {name: each.read() if isinstance(each, InputFile) else each for name, each in values.items()}

    def shared(self, kind: str, text: str) -> Deferred[Any]:
        """A component that loads at its first use; equal texts are one object."""
        key = (kind, text)
        if key not in self._shared:
            choice = Choice.parse(text)
            self._registry.find(kind, choice.name)  # an unknown name is reported now
            self._shared[key] = Deferred(lambda: self._built(kind, choice))
        return self._shared[key]

    def member(self, name: str, text: str) -> tuple[Member, Ensemble | None]:
        """The member of a source, and the ensemble that it comes from."""
        with located(f"expert {name!r}"):
            ensemble_text, mark, wanted = text.partition("#")
            if mark:
                ensemble = self.ensemble(ensemble_text, [name])
                return ensemble.member(wanted), ensemble
            return self._alone(name, text)

    def given(self, name: str, loaded: Any) -> tuple[Member, Ensemble | None]:
        """The member of an expert that is loaded already."""
        with located(f"expert {name!r}"):
            inputs = {"inputs": self._read([name])} if self.inputs.get(name) else {}
            is_denoiser = callable(loaded) and hasattr(loaded, "schedule")
            if inputs and (is_denoiser or isinstance(loaded, Member | Ensemble)):
                raise InputError(f"got a {type(loaded).__name__} with inputs: give them where it is made")
            if isinstance(loaded, Member):
                return loaded, None
            if is_denoiser:
                return Member(loaded, getattr(loaded, "denoises", "clips")), None
            if not isinstance(loaded, Ensemble):
                loaded = self._registry.build("ensemble", Choice("pipeline"), pipe=loaded, **inputs)
            if len(loaded.members) > 1 and name not in loaded.members:
                raise InputError(
                    f"{loaded} has {len(loaded.members)} experts: expected one, or one of this name"
                )
            return loaded.member(name if name in loaded.members else loaded.experts[0]), loaded

    def _alone(self, name: str, text: str) -> tuple[Member, Ensemble | None]:
        choice = Choice.parse(text)
        kinds = [kind for kind in ("denoiser", "ensemble") if self._knows(kind, choice.name)]
        if "ensemble" in kinds:
            ensemble = self.ensemble(text, [name])
            if name in ensemble.members or len(ensemble.members) == 1:
                return ensemble.member(name if name in ensemble.members else ensemble.experts[0]), ensemble
            raise InputError(
                f"{text} has the experts {', '.join(ensemble.experts)}: expected {text}#EXPERT of one of them"
            )
        if "denoiser" not in kinds:
            raise UnknownNameError(
                f"{choice.name!r} is no folder of an ensemble or of a model, and no denoiser that a plugin registers "
                "(see jvid names denoiser)"
            )
        if self.inputs.get(name):
            raise InputError(f"{choice.name!r} is a denoiser, which takes no inputs: expected a pipeline")
        options = dict(choice.options)
        denoises = options.pop("denoises", None)
        choice = Choice(choice.name, options)
        self._registry.check("denoiser", choice, self._place)
        loaded = Deferred(lambda: self._built("denoiser", choice))
        if denoises is None:
            # The network itself declares whether it denoises clips or frames, which loads it.
            denoises = getattr(loaded(), "denoises", "clips")
        return Member(loaded, denoises), None

    def _knows(self, kind: str, name: str) -> bool:
        try:
            self._registry.find(kind, name)
        except UnknownNameError:
            return False
        return True

    def _built(self, kind: str, choice: Choice, more: Mapping[str, Any] = MappingProxyType({})) -> Any:
        known = parameters(self._registry.find(kind, choice.name).factory())
        wishes = {name: value for name, value in self._wishes.items() if name in known}
        choice = Choice(choice.name, {**wishes, **choice.options})
        if kind == "ensemble" and "common_parts" in known:
            more = {**more, "common_parts": self._common}
        # An ensemble's factory that takes any option hands device and dtype on to its experts.
        return self._registry.fitted(kind, choice, self._place, more, free=kind == "ensemble")
