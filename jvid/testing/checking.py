"""Checks and what they run in: a check is a plain function ``(subject, trial)`` that asserts one invariant.

    @check("schedule")
    def angle_never_falls(subject, trial):
        '''atan2(sigma, alpha) never falls as t goes from 0 to 1.'''
        @trial.given(t=times(), s=times())
        def _(t, s): ...

It raises ``AssertionError`` to fail and ``Skip`` to say why it does not apply. Its docstring is the invariant.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import attrs

from jvid.errors import InputError
from jvid.extras import extra

if TYPE_CHECKING:
    import torch
    from hypothesis.strategies import SearchStrategy

    from jvid.protocols import Condition

__all__ = [
    "CHECKS",
    "GLOBALS",
    "KINDS",
    "Check",
    "Skip",
    "Trial",
    "check",
    "checks_of",
    "declare",
    "options_of",
]

KINDS = (
    "schedule", "denoiser", "wrapper", "selector", "noise", "solver", "grid", "sampler", "postprocessor", "plugin",
)  # fmt: skip
"""The kinds with checks of their own, each in ``jvid.testing.checks.<kind>``."""

GLOBALS = "globals_untouched"
"""The check that every kind has: it looks at what all the others saw."""

CheckFunction = Callable[[Any, "Trial"], None]
Function = TypeVar("Function", bound=Callable[..., Any])


class Skip(Exception):
    """A check does not apply to this subject; the message says why."""


@attrs.frozen
class Check:
    """One invariant of a kind: the function that checks it, and its text."""

    kind: str
    name: str
    invariant: str
    run: CheckFunction = attrs.field(repr=False)


CHECKS: dict[str, dict[str, Check]] = {}
"""Check by name, by kind; of the kinds loaded so far. ``checks_of`` loads one."""

_OPTIONS: dict[str, dict[str, Any]] = {}


def check(kind: str) -> Callable[[CheckFunction], CheckFunction]:
    """Register a function as a check of ``kind``, under its own name; its docstring is the invariant.

    Raises:
        InputError: without a docstring, or a name that the kind has already.
    """

    def register(function: CheckFunction) -> CheckFunction:
        name: str = function.__name__
        text = " ".join((function.__doc__ or "").split())
        if not text:
            raise InputError(f"check {name!r} of {kind} says no invariant: give it a docstring")
        if name == GLOBALS or name in CHECKS.setdefault(kind, {}):
            raise InputError(f"check {name!r} of {kind} exists already: give this one another name")
        CHECKS[kind][name] = Check(kind, name, text, function)
        return function

    return register


def declare(kind: str, **options: Any) -> None:
    """Say which options of its own a kind's checks read (``trial.option(name)``), with their defaults."""
    _OPTIONS.setdefault(kind, {}).update(options)


def checks_of(kind: str) -> dict[str, Check]:
    """The checks of a kind by name, in order; the last is ``globals_untouched``.

    Raises:
        InputError: a kind without checks.
        MissingDependencyError: hypothesis is not installed.
    """
    if kind in KINDS and importlib.util.find_spec(f"jvid.testing.checks.{kind}") is not None:
        with extra("testing"):  # for every module of checks: they import hypothesis freely
            importlib.import_module(f"jvid.testing.checks.{kind}")
    if kind not in CHECKS:
        there = [
            name for name in KINDS if importlib.util.find_spec(f"jvid.testing.checks.{name}") is not None
        ]
        raise InputError(
            f"no checks for {kind!r}: expected one of {', '.join(dict.fromkeys([*there, *CHECKS]))}"
        )
    return {
        **CHECKS[kind],
        GLOBALS: Check(kind, GLOBALS, _globals_untouched.__doc__ or "", _globals_untouched),
    }


def options_of(kind: str) -> dict[str, Any]:
    """The options that a kind's checks read, with their defaults."""
    return dict(_OPTIONS.get(kind, {}))


def _globals_untouched(subject: Any, trial: Trial) -> None:
    """No check saw the subject change a global random generator, torch's default dtype or its grad mode."""
    assert not trial.leaks, f"it changed {' and '.join(dict.fromkeys(trial.leaks))}"


def _values(given: int | Collection[int]) -> tuple[int, ...]:
    values = (given,) if isinstance(given, int) else tuple(sorted(given))
    if not values or values[0] < 1:
        raise InputError(f"sizes {given!r}: expected whole numbers, at least 1")
    return values


def _dtypes(given: Any) -> tuple[torch.dtype, ...]:
    import torch

    names = (given,) if isinstance(given, (str, torch.dtype)) else tuple(given)
    found = [getattr(torch, name, None) if isinstance(name, str) else name for name in names]
    dtypes = tuple(dtype for dtype in found if isinstance(dtype, torch.dtype) and dtype.is_floating_point)
    if not dtypes or len(dtypes) < len(found):
        raise InputError(f"dtype {given!r}: expected floating dtypes, such as 'float32'")
    return dtypes


def _no_condition(b: int, f: int) -> Condition:
    return {}


@attrs.define(eq=False)
class Trial:
    """What a check is run with: how many examples, of which sizes, and what to ask with.

    Attributes:
        examples: how many a property is tried on.
        batch, channels, frames, sides: sizes that the subject takes, each a number or several.
        times: lowest and highest t to ask at.
        cond: ``(b, f) -> condition``, what a denoiser is called with.
        dtype: of latents, one or several; the last is the one for values, the others for dtypes alone.
        tolerance: how far two results that should be equal may be, relative to the largest element.
        options: of the kind, see ``declare``.
        at: run each property on this example alone.
    """

    examples: int = 25
    batch: Sequence[int] = attrs.field(default=range(1, 4), converter=_values)
    channels: Sequence[int] = attrs.field(default=range(1, 5), converter=_values)
    frames: Sequence[int] = attrs.field(default=range(1, 6), converter=_values)
    sides: Sequence[int] = attrs.field(default=range(1, 8), converter=_values)
    times: tuple[float, float] = (0.0, 1.0)
    cond: Callable[[int, int], Condition] = _no_condition
    dtype: Sequence[torch.dtype] = attrs.field(default=("float32", "float64"), converter=_dtypes)
    tolerance: float = 1e-4
    options: Mapping[str, Any] = attrs.field(factory=dict)
    at: Mapping[str, Any] | None = None
    falsified: Mapping[str, Any] | None = attrs.field(default=None, init=False)
    leaks: list[str] = attrs.field(factory=list, init=False)

    def option(self, name: str) -> Any:
        """The value of an option that the kind declares."""
        return self.options[name]

    def given(self, **strategies: SearchStrategy[Any]) -> Callable[[Function], Function]:
        """Decorates a property, and runs it at once on ``examples`` drawn from the strategies.

        The draws are the same each time. What falsifies it, made small, is kept in ``falsified``.
        """
        from jvid.testing.running import run_property

        def run(function: Function) -> Function:
            run_property(function, strategies, self)
            return function

        return run

    def skip(self, reason: str) -> NoReturn:
        """Say that the check does not apply."""
        raise Skip(reason)

    def shapes(self, **sizes: Collection[int]) -> SearchStrategy[tuple[int, int, int, int, int]]:
        """Shapes ``(b, c, f, h, w)`` of the sizes that the subject takes; ``frames=(4,)`` and so on override."""
        from jvid.testing import strategies

        own = {name: getattr(self, name) for name in ("batch", "channels", "frames", "sides")}
        return strategies.shapes(**{**own, **sizes})

    def moments(self) -> SearchStrategy[float]:
        """Times between the lowest and the highest that the subject is asked at."""
        from jvid.testing import strategies

        return strategies.times(*self.times)

    def latents(self, shape: Sequence[int], seed: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Standard normal latents that depend on shape and seed alone, in ``dtype`` or the last of ``self.dtype``."""
        from jvid.keyed import keyed_normal

        return keyed_normal([seed], ("trial",), shape, dtype or self.dtype[-1])[0]

    def close(
        self, got: torch.Tensor, expected: torch.Tensor, what: str, tolerance: float | None = None
    ) -> None:
        """Assert equal shapes, and elements within the tolerance of the largest expected one (at least 1)."""
        assert got.shape == expected.shape, (
            f"{what}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
        )
        if not got.numel():
            return
        one, two = got.detach().double(), expected.detach().double()
        scale = max(1.0, float(two.abs().max()))
        allowed = (self.tolerance if tolerance is None else tolerance) * scale
        apart = float((one - two).abs().max())
        # Written so that NaN fails.
        assert apart <= allowed, f"{what}: {apart:.3g} apart, expected at most {allowed:.1g}"

    def same(self, got: torch.Tensor, expected: torch.Tensor, what: str) -> None:
        """Assert that two tensors are equal bit for bit, dtype included."""
        import torch

        assert got.dtype == expected.dtype, f"{what}: {got.dtype}, expected {expected.dtype}"
        assert torch.equal(got, expected), f"{what}: {_apart(got, expected)}"


def _apart(one: torch.Tensor, two: torch.Tensor) -> str:
    if one.shape != two.shape:
        return f"shape {tuple(one.shape)}, expected {tuple(two.shape)}"
    apart = float((one.detach().double() - two.detach().double()).abs().max())
    return f"{apart:.3g} apart, expected equal bit for bit"
