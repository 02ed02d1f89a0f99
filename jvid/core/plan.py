"""Which experts predict at which step, decided before any network runs.

    weights_i = selector(step_i, u_i),    u_i = U[0, 1) keyed by (plan seed, i)

A plan is shared by all clips of a batch and depends on nothing else: a clip is a function of
strategy, plan seed, clip seed and condition. It can be shown (``jvid.views``), priced, written as
JSON (``jvid.strategy.plan_file``) and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from jvid.core.evaluations import calls_at, total_seconds
from jvid.core.plan_values import numbers_of, step_of, step_values, text_of, whole_of
from jvid.core.protocols import Step
from jvid.errors import InputError

if TYPE_CHECKING:
    from jvid.core.protocols import Solver

__all__ = ["Plan"]


@attrs.frozen
class Plan:
    """The steps of a sampling run with their experts.

    Attributes:
        steps: in order, each with its weights and whether they differ from the step before.
        seed: the plan seed that the choices were drawn from.
        experts: names of the strategy's experts; those that no step evaluates are among them.
        shares: of the experts at each step, as the selector declares them before it draws (the mean of its
            weights); None where it does not.
        selector: its class under "name", its parameters and, if it declares them, its "experts".
    """

    steps: tuple[Step, ...]
    seed: int = 0
    experts: tuple[str, ...] = ()
    shares: tuple[Mapping[str, float], ...] | None = attrs.field(default=None, hash=False)
    selector: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    def __attrs_post_init__(self) -> None:
        if not self.steps:
            raise InputError("a plan without steps: expected at least one")
        named = {name: None for step in self.steps for name in step.weights}
        if not self.experts:
            object.__setattr__(self, "experts", tuple(named))
        if len(set(self.experts)) < len(self.experts):
            raise InputError(f"plan of experts {list(self.experts)}: expected each name once")
        if unknown := [name for name in named if name not in self.experts]:
            raise InputError(f"plan names {unknown}: expected experts among {list(self.experts)}")
        _check(self)
        if self.shares is None:
            return
        if len(self.shares) != len(self.steps):
            raise InputError(f"shares of {len(self.shares)} steps in a plan of {len(self.steps)}")
        if unknown := [name for shares in self.shares for name in shares if name not in self.experts]:
            raise InputError(f"shares of {unknown[0]!r}: expected experts among {list(self.experts)}")

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def is_random(self) -> bool:
        """Whether the selector draws at random: at some step its declared shares differ from the weights."""
        return self.shares is not None and any(
            abs(shares.get(name, 0.0) - step.weights.get(name, 0.0)) > 1e-6
            for shares, step in zip(self.shares, self.steps, strict=True)
            for name in self.experts
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """Steps at which each expert is evaluated, by name; a blended step counts for each."""
        return self._sums(lambda step: 1)

    def calls(self, solver: Solver[Any] | None = None) -> Mapping[str, int]:
        """Calls of each expert in a run, by name: ``solver.evaluations(step)`` at each step that evaluates it.

        Args:
            solver: one that declares no ``evaluations``, and None, call once a step.
        """
        return self._sums(lambda step: calls_at(solver, step))

    def price(self, seconds_per_call: Mapping[str, float], solver: Solver[Any] | None = None) -> float:
        """Expected seconds of the networks, for ``calls(solver)`` that all cost the same for an expert.

        ``jvid.pipeline.cost`` counts what the wrappers of a strategy make of a call.

        Raises:
            InputError: an expert that is called has no figure, or a figure is negative or not finite.
        """
        return total_seconds(self.calls(solver), seconds_per_call)

    def _sums(self, of: Callable[[Step], int]) -> Mapping[str, int]:
        sums = dict.fromkeys(self.experts, 0)
        for step in self.steps:
            count = of(step)
            for name, weight in step.weights.items():
                sums[name] += count if weight > 0 else 0
        return MappingProxyType(sums)

    def summary(self) -> str:
        """One line, such as ``plan seed 0: 50 steps, video 29, image 21, 17 switches``."""
        return self._line(f"{name} {count}" for name, count in self.counts.items())

    def title(self) -> str:
        """The summary without the experts, of whom there may be many: ``plan seed 0: 50 steps, 17 switches``."""
        return self._line(())

    def _line(self, more: Iterable[str]) -> str:
        switches = sum(step.switched for step in self.steps)
        parts = [
            f"{len(self)} step{'s' * (len(self) != 1)}",
            *more,
            f"{switches} switch{'es' * (switches != 1)}",
        ]
        return f"plan seed {self.seed}: {', '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``from_dict`` gives an equal plan back."""
        return {
            "seed": self.seed,
            "experts": list(self.experts),
            "selector": dict(self.selector),
            "shares": None if self.shares is None else [dict(shares) for shares in self.shares],
            "steps": [step_values(step) for step in self.steps],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """A plan from the values of ``to_dict``. Its steps know no schedule until a sampler takes them.

        Raises:
            InputError: a key is missing, a value has another form, or steps that do not follow each other.
        """
        try:
            shares = values["shares"]
            return cls(
                tuple(map(step_of, values["steps"])),
                whole_of(values["seed"]),
                tuple(map(text_of, values["experts"])),
                None if shares is None else tuple(map(numbers_of, shares)),
                dict(values["selector"]),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"not a plan ({error!r}): expected what Plan.to_dict gives") from error


def _check(plan: Plan) -> None:
    # A run relies on steps that are numbered, joined, weighted, and marked where experts switch.
    before: Step | None = None
    count = len(plan.steps)
    for number, step in enumerate(plan.steps, 1):
        where = f"not a plan: step {number} of {count}"
        if (step.index, step.count) != (number - 1, count):
            raise InputError(
                f"{where} has index {step.index} and count {step.count}; expected {number - 1} and {count}"
            )
        weights = step.weights.values()
        if not all(weight > 0.0 for weight in weights) or not math.isclose(sum(weights), 1.0, abs_tol=1e-6):
            raise InputError(f"{where} has weights {dict(step.weights)}; expected some above 0 that sum to 1")
        if before is not None and before.end.t != step.start.t:
            raise InputError(
                f"{where} starts at t {step.start.t:g}; expected {before.end.t:g}, where the one before ends"
            )
        if step.switched is not (before is not None and before.weights.keys() != step.weights.keys()):
            expected = str(not step.switched).lower()
            raise InputError(
                f"{where} has switched {str(step.switched).lower()}; expected {expected} by its experts"
            )
        before = step
