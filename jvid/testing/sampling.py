"""Helpers of the checks of samplers: counted and renamed experts, a rebuilt sampler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.protocols import Condition, Denoiser, Selector, Step
from jvid.denoisers.wrapper import Wrapper
from jvid.testing.strategies import seeds
from jvid.testing.trial import Skip, Trial

__all__ = ["Counted", "Louder", "Recorded", "Renamed", "given_runs", "on", "rebuilt"]

MOST = 4
"""Examples of a property that takes whole runs."""


@attrs.frozen(eq=False)
class Counted(Wrapper):
    """A denoiser that notes its calls."""

    denoiser: Denoiser
    calls: list[int]

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        self.calls.append(1)
        return self.denoiser(x, t, cond)


@attrs.frozen(eq=False)
class Louder(Wrapper):
    """A denoiser whose predictions are 20 times as large."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return 20.0 * self.denoiser(x, t, cond)


@attrs.frozen
class Renamed:
    """A selector whose experts have other names."""

    inner: Selector
    names: Mapping[str, str] = attrs.field(hash=False)

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return {self.names[name]: weight for name, weight in self.inner(step, u).items()}


class Recorded:
    """A solver that keeps what it is handed: x of each step, and noise by step and name."""

    def __init__(self, solver: Any) -> None:
        self.solver = solver
        self.x: dict[int, Tensor] = {}
        self.noise: dict[int, dict[str, Tensor]] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "solver":
            raise AttributeError(name)
        return getattr(self.solver, name)

    def init(self) -> Any:
        """The solver's own memory."""
        return self.solver.init()

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> tuple[Tensor, Any]:
        """The solver's own step."""
        drawn = self.noise.setdefault(step.index, {})
        self.x[step.index] = x.clone()

        def kept(name: str) -> Tensor:
            z: Tensor = noise(name)
            drawn[name] = z.clone()
            return z

        out: tuple[Tensor, Any] = self.solver.step(x, step, denoise, kept, memory)
        return out


def on(trial: Trial) -> dict[str, Any]:
    """The argument of a run for the device of its latents, where one is declared."""
    return {"device": trial.device} if "device" in trial.declared else {}


def rebuilt(subject: Any, **changes: Any) -> Any:
    """A sampler of the same class and parts but for these: of an attrs class, or one whose arguments are its attributes.

    Raises:
        Skip: it is neither, so that its parts cannot be replaced.
    """
    kind = type(subject)
    if attrs.has(kind):
        named = [field.name for field in attrs.fields(kind) if field.init]
    else:
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        named = [each.name for each in inspect.signature(kind).parameters.values() if each.kind in plain]
    missing = [name for name in (*named, *changes) if not hasattr(subject, name)]
    if missing or not set(changes) <= set(named):
        lacking = ", ".join(missing or sorted(set(changes) - set(named)))
        raise Skip(
            f"its parts cannot be replaced: expected arguments that are its attributes, lacking {lacking}"
        )
    parts = {name: getattr(subject, name) for name in named}
    return kind(**(parts | changes))


def given_runs(trial: Trial, check: Callable[[tuple[int, ...], int, int], None], most: int = MOST) -> None:
    """Run a property over shapes ``(c, f, h, w)``, seeds of clips and seeds of plans, few times: runs are long."""

    @trial.fewer(most).given(shape=trial.shapes(batch=(1,)), seed=seeds(), plan=st.integers(0, 99))
    def _(shape: tuple[int, ...], seed: int, plan: int) -> None:
        check(shape[1:], seed, plan)
