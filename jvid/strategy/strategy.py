"""How an ensemble is sampled, as plain values: choices of the registry for the whole run and for each expert.

    {"selector": "boundary:experts=high+low,at=.5", "solver": "dpmpp-2m-sde", "grid": "trailing", "steps": 16,
     "experts": {"high": {"wrappers": ["guided:scale=3"], "noise": "mixed:alpha=1"},
                 "low":  {"wrappers": ["guided:scale=2,low=.2,high=.8"]}},
     "postprocessors": ["temporal:threshold=2"]}

A strategy holds no component: ``jvid.compose(strategy, ensemble)`` loads each one and builds a ``Sampler``. It is JSON and
back without loss; files of older versions are read (``jvid.strategy.legacy``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from jvid import documents
from jvid.errors import InputError
from jvid.files import check_file, read_json, whole_file
from jvid.plugins.choice import Choice, as_choice, as_choices, as_optional_choice
from jvid.plugins.paths import paths_in
from jvid.strategy.legacy import upgraded

__all__ = ["EVERY", "ExpertStrategy", "Strategy"]

EVERY = "*"
"""The name under which ``Strategy.experts`` holds what is true of each expert that it does not name."""

_REMEDY = "write one with jvid sample --save-strategy"


def _wrappers(values: Iterable[Choice | str] | None) -> tuple[Choice, ...] | None:
    return None if values is None else as_choices(values)


@attrs.frozen
class ExpertStrategy:
    """The wrappers of one expert's denoiser, and the noise of its steps.

    Attributes:
        wrappers: choices of the kind "wrapper", the innermost first; none is the bare denoiser. None leaves them to the
            strategy's ``"*"``, or else to the ensemble's default guidance.
        noise: a choice of the kind "noise"; None leaves it to the strategy's ``"*"``, or else is independent noise.
    """

    wrappers: tuple[Choice, ...] | None = attrs.field(default=None, converter=_wrappers)
    noise: Choice | None = attrs.field(default=None, converter=as_optional_choice)

    def to_plain(self) -> dict[str, Any]:
        """What is stated, for JSON."""
        values: dict[str, Any] = {}
        if self.wrappers is not None:
            values["wrappers"] = [wrapper.to_plain() for wrapper in self.wrappers]
        if self.noise is not None:
            values["noise"] = self.noise.to_plain()
        return values

    @classmethod
    def from_plain(cls, values: Any) -> ExpertStrategy:
        """From ``to_plain``'s values.

        Raises:
            InputError: another form.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"{documents.short(values)}: expected an object with wrappers and noise")
        if unknown := sorted(set(values) - {"wrappers", "noise"}):
            raise InputError(f"unknown key {unknown[0]!r}, expected wrappers, noise")
        wrappers, noise = values.get("wrappers"), values.get("noise")
        if wrappers is not None and not isinstance(wrappers, list | tuple):
            raise InputError(f"wrappers {documents.short(wrappers)}: expected a list, the innermost first")
        return cls(
            None if wrappers is None else tuple(map(Choice.from_plain, wrappers)),
            None if noise is None else Choice.from_plain(noise),
        )


_NOTHING = ExpertStrategy()


def _experts(values: Any) -> Mapping[str, ExpertStrategy]:
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise InputError(f"experts {documents.short(values)}: expected wrappers and noise by expert")
    for name, each in values.items():
        if not isinstance(each, ExpertStrategy):
            raise InputError(f"experts {name!r}: got {documents.short(each)}, expected an ExpertStrategy")
    # What states nothing is left out: equal strategies are written as equal text.
    return MappingProxyType({name: each for name, each in values.items() if each != _NOTHING})


@attrs.frozen
class Strategy:
    """A sampling strategy of an ensemble, as choices of the registry. Choices may be given as text.

    Attributes:
        selector: which experts predict at a step.
        solver: how a prediction becomes the next latents.
        grid: which times are visited, for a number of ``steps``; steps is not among its options.
        steps: of the grid.
        experts: wrappers and noise by expert; ``"*"`` holds for each that is not named.
        postprocessors: of the finished latents, in order.
        schedule: the reference on which levels and noise are expressed; None is the ensemble's.
        initial: shapes the first noise across frames; None is independent noise.
        plan_seed: draws the plan; a clip's own seed draws its noise.
        overlap: frames that neighbouring windows share, in clips longer than the ensemble's.

    Raises:
        InputError: a value out of range or of another form.
    """

    selector: Choice = attrs.field(converter=as_choice)
    solver: Choice = attrs.field(default=Choice("ddpm"), converter=as_choice)
    grid: Choice = attrs.field(default=Choice("leading"), converter=as_choice)
    steps: int = 50
    experts: Mapping[str, ExpertStrategy] = attrs.field(factory=dict, converter=_experts, hash=False)
    postprocessors: tuple[Choice, ...] = attrs.field(default=(), converter=as_choices)
    schedule: Choice | None = attrs.field(default=None, converter=as_optional_choice)
    initial: Choice | None = attrs.field(default=None, converter=as_optional_choice)
    plan_seed: int = 0
    overlap: int = 4

    def __attrs_post_init__(self) -> None:
        if not _is_whole(self.steps, least=1):
            raise InputError(f"steps {self.steps!r}: expected a whole number, 1 or more")
        if not _is_whole(self.plan_seed, least=0):
            raise InputError(f"plan seed {self.plan_seed!r}: expected a whole number, 0 or more")
        if not _is_whole(self.overlap, least=0):
            raise InputError(f"overlap {self.overlap!r}: expected a whole number of frames, 0 or more")

    @property
    def input_paths(self) -> tuple[str, ...]:
        """The files that its choices name, if they exist, such as masks and latents of wrappers."""
        experts = (
            choice for each in self.experts.values() for choice in (*(each.wrappers or ()), each.noise)
        )
        choices = (
            self.selector,
            self.solver,
            self.grid,
            self.schedule,
            self.initial,
            *self.postprocessors,
            *experts,
        )
        # A folder may have the name of a component or of an expert by chance.
        return tuple(
            path
            for choice in choices
            if choice is not None
            for path in paths_in(choice)
            if Path(path).is_file()
        )

    def __reduce__(self) -> tuple[Callable[..., Strategy], tuple[object, ...]]:
        # A mapping proxy does not pickle, and strategies travel to other processes.
        values = (getattr(self, field.name) for field in attrs.fields(Strategy))
        return Strategy, tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    def of(self, expert: str) -> ExpertStrategy:
        """The wrappers and noise of one expert: its own, or those of ``"*"`` where it states none."""
        own, every = self.experts.get(expert, _NOTHING), self.experts.get(EVERY, _NOTHING)
        if _NOTHING in (own, every):
            return every if own == _NOTHING else own
        return ExpertStrategy(
            every.wrappers if own.wrappers is None else own.wrappers, own.noise or every.noise
        )

    def with_expert(self, expert: str, stated: ExpertStrategy) -> Strategy:
        """The same strategy with other wrappers and noise of one expert."""
        return attrs.evolve(self, experts={**self.experts, expert: stated})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Strategy:
        """A strategy from ``to_dict``'s values, or from those of an older version.

        Raises:
            InputError: a key is missing or unknown, or a value has another form.
        """
        if isinstance(values, Mapping):
            values = upgraded(values)
        return documents.structured(values, cls, "a strategy")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; parts that the strategy does not have are left out."""
        values: dict[str, Any] = documents.plain(self)
        absent = ("experts", "postprocessors", "schedule", "initial")
        return {key: value for key, value in values.items() if value or key not in absent}

    @classmethod
    def load(cls, path: str | Path) -> Strategy:
        """The strategy of a file that ``save`` wrote, or that has its keys.

        Raises:
            InputError: no such file, no JSON, or no strategy; the message names the file.
        """
        strategy: Strategy = read_json(path, "a strategy", _REMEDY, cls.from_dict)
        return strategy

    def save(self, path: str | Path) -> None:
        """Write the strategy to a file of JSON, whole or not at all; ``load`` gives an equal one.

        Raises:
            InputError: no .json, or a folder that is not there or cannot be written to.
        """
        with whole_file(check_file(path, (".json",))) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def _is_whole(value: Any, least: int | None = None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least)
