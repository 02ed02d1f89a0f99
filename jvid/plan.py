"""Who predicts at which step, decided before any network runs.

    weights_i = selector(step_i, u_i),    u_i = U[0, 1) keyed by (plan seed, i)

A plan is shared by all clips of a batch and depends on nothing else: a clip is a function of
strategy, plan seed, clip seed and condition. It can be printed, plotted, priced, written as JSON
and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from jvid.errors import InputError
from jvid.step import Level, Step

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["Plan"]


@attrs.frozen
class Plan:
    """The steps of a sampling run with their experts.

    Attributes:
        steps: in order, each with its weights and whether they differ from the step before.
        seed: the plan seed that the choices were drawn from.
        experts: names of the strategy's experts; those that no step asks are among them.
        probabilities: of ``selector["experts"][0]`` at each step, where the selector tells it.
        selector: its class under "name", its parameters and, if it tells them, its "experts".
    """

    steps: tuple[Step, ...]
    seed: int = 0
    experts: tuple[str, ...] = ()
    probabilities: tuple[float, ...] | None = None
    selector: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.steps:
            raise InputError("a plan without steps: expected at least one")
        asked = {name: None for step in self.steps for name in step.weights}
        if not self.experts:
            object.__setattr__(self, "experts", tuple(asked))
        if unknown := [name for name in asked if name not in self.experts]:
            raise InputError(f"plan asks for {unknown}: expected experts among {list(self.experts)}")
        if self.probabilities is not None and len(self.probabilities) != len(self.steps):
            raise InputError(f"{len(self.probabilities)} probabilities for {len(self.steps)} steps")

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def counts(self) -> Mapping[str, int]:
        """Steps at which each expert is evaluated, by name; a blended step counts for each."""
        return MappingProxyType(
            {name: sum(step.weights.get(name, 0.0) > 0 for step in self.steps) for name in self.experts}
        )

    def price(self, seconds_per_call: Mapping[str, float]) -> float:
        """Expected seconds of the networks, for a solver that asks once a step.

        Raises:
            InputError: an expert of the plan has no figure, or a figure is negative or not finite.
        """
        total = 0.0
        for name, count in self.counts.items():
            if not count:
                continue
            seconds = seconds_per_call.get(name)
            if seconds is None or not 0 <= seconds < math.inf:
                raise InputError(f"seconds per call of {name!r}: got {seconds!r}, expected 0 or more")
            total += count * seconds
        return total

    def summary(self) -> str:
        """One line, such as ``plan seed 0: 50 steps, video 29, image 21, 17 switches``."""
        shares = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        switches = sum(step.switched for step in self.steps)
        return (
            f"plan seed {self.seed}: {len(self)} steps, {shares}, {switches} switch{'es' * (switches != 1)}"
        )

    def __rich__(self) -> Group:
        """A row for each run of steps with the same experts, one letter a step, and the summary."""
        from jvid.plan_table import plan_table

        return plan_table(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``from_dict`` gives an equal plan back."""
        return {
            "seed": self.seed,
            "experts": list(self.experts),
            "selector": dict(self.selector),
            "probabilities": None if self.probabilities is None else list(self.probabilities),
            "steps": [
                {
                    "index": step.index,
                    "count": step.count,
                    "start": attrs.asdict(step.start),
                    "end": attrs.asdict(step.end),
                    "weights": dict(step.weights),
                    "switched": step.switched,
                }
                for step in self.steps
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """A plan from the values of ``to_dict``.

        Raises:
            InputError: a key is missing, or a value has another form.
        """
        try:
            steps = [
                Step(**{**step, "start": Level(**step["start"]), "end": Level(**step["end"])})
                for step in values["steps"]
            ]
            told = values["probabilities"]
            return cls(
                tuple(steps),
                int(values["seed"]),
                tuple(values["experts"]),
                None if told is None else tuple(map(float, told)),
                dict(values["selector"]),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a plan ({error!r}): expected what Plan.to_dict gives") from error
