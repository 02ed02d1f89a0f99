"""What a check runs in: a trial, its properties through hypothesis, and what falsifies one as one line.

Derandomized, without a database and without a deadline: the same run each time, on any machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import attrs

from jvid.errors import InputError, one_line
from jvid.extras import extra
from jvid.testing.budget import Budget, Calling, Payable
from jvid.testing.declared import device_of, dtypes_of, own_sizes_of, sizes_of
from jvid.testing.globals import watched
from jvid.testing.versions import applied, drawn_options, with_options

if TYPE_CHECKING:
    import torch
    from hypothesis.strategies import SearchStrategy

    from jvid.core.protocols import Condition

__all__ = ["Refused", "Skip", "Trial", "example_text", "failure_text", "run_property"]

Function = TypeVar("Function", bound=Callable[..., Any])

FEW = 5
"""With no more examples than this, what fails is not made smaller: the subject is slow."""


class Refused(AssertionError):
    """The subject refuses all that it is given, with an ``InputError``."""


class Skip(Exception):
    """A check does not apply to this subject; the message gives the reason.

    Args:
        reason: one line.
        needs: the argument of ``conforms`` that it lacks; "" where none would make it apply.
        limit: the limit of the report that it would exceed; "" where it is none.
    """

    def __init__(self, reason: str, needs: str = "", limit: str = "") -> None:
        super().__init__(reason)
        self.needs, self.limit = needs, limit


def _no_condition(b: int, f: int) -> Condition:
    return {}


def _callable(trial: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise InputError(f"{attribute.name}={value!r}: expected a function")


@attrs.define(eq=False)
class Trial:
    """The settings of a check: how many examples, of which sizes, at which times, with which condition.

    Attributes:
        examples: how many a property is tried on.
        batch, channels, frames, sides: sizes that the subject takes, each a number or several.
        heights, widths: of latents, where they are not ``sides``.
        times: lowest and highest t to ask at.
        cond: ``(b, f) -> condition``, what a denoiser is called with.
        dtype: of latents, one or several; the last is the one for values, the others for dtypes alone.
        tolerance: how far two results that should be equal may be, relative to the largest element.
        device: where the subject's tensors are; what it is given is made there.
        reference: the equation that values are compared with; its signature for each kind is in docs/conformance.md.
        factory: builds the subject with other options, by keyword.
        ranges: values of the options that it is built with: lowest and highest ``(low, high)``, or a list.
        options: of the kind, see ``declare``.
        at: run each property on this example alone.
        pristine: a copy of the subject from before any check, not to be called but copied; None where there is none.
    """

    examples: int = 25
    batch: Sequence[int] = attrs.field(default=range(1, 4), converter=sizes_of)
    channels: Sequence[int] = attrs.field(default=range(1, 5), converter=sizes_of)
    frames: Sequence[int] = attrs.field(default=range(1, 6), converter=sizes_of)
    sides: Sequence[int] = attrs.field(default=range(1, 8), converter=sizes_of)
    heights: Sequence[int] = attrs.field(default=(), converter=own_sizes_of)
    widths: Sequence[int] = attrs.field(default=(), converter=own_sizes_of)
    times: tuple[float, float] = (0.0, 1.0)
    cond: Callable[[int, int], Condition] = _no_condition
    dtype: Sequence[torch.dtype] = attrs.field(default=("float32", "float64"), converter=dtypes_of)
    tolerance: float = 1e-4
    device: torch.device = attrs.field(default=None, converter=device_of)
    reference: Callable[..., Any] | None = attrs.field(default=None, validator=_callable)
    factory: Callable[..., Any] | None = attrs.field(default=None, validator=_callable)
    ranges: Mapping[str, Any] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    at: Mapping[str, Any] | None = None
    declared: Collection[str] = attrs.field(factory=frozenset, init=False)
    falsified: Mapping[str, Any] | None = attrs.field(default=None, init=False)
    leaks: list[str] = attrs.field(factory=list, init=False)
    of: Trial | None = attrs.field(default=None, init=False, repr=False)
    pristine: Any = attrs.field(default=None, init=False, repr=False)
    budget: Budget = attrs.field(factory=Budget, init=False, repr=False)

    def option(self, name: str) -> Any:
        """The value of an option that the kind declares."""
        return self.options[name]

    def given(self, **strategies: SearchStrategy[Any]) -> Callable[[Function], Function]:
        """Decorates a property, and runs it at once on ``examples`` drawn from the strategies.

        The draws are the same each time. What falsifies it, made small, is kept in ``falsified``.
        """

        def run(function: Function) -> Function:
            run_property(function, strategies, self)
            return function

        return run

    def each(self, examples: Iterable[Mapping[str, Any]], function: Callable[..., Any]) -> None:
        """Call a property on each of these examples, as ``given`` on drawn ones; keeps what falsifies it."""
        chosen = [dict(example) for example in examples]
        if self.at is not None:
            chosen = [dict(self.at)] if chosen and self.at.keys() == chosen[0].keys() else []
        payable = Payable(self.budget, len(chosen))
        for example in chosen:
            try:
                payable.run(function, example)
            except Skip:
                raise
            except Exception:
                self.falsified = example
                raise

    def skip(self, reason: str, needs: str = "") -> NoReturn:
        """Report that the check does not apply; ``needs`` is the argument of ``conforms`` that it lacks."""
        raise Skip(reason, needs)

    def fewer(self, most: int, **changes: Any) -> Trial:
        """This trial with at most so many examples, for a property that is dear; what falsifies it is this one's."""
        small = attrs.evolve(self, examples=min(self.examples, most), **changes)
        small.leaks, small.declared, small.of, small.budget = self.leaks, self.declared, self, self.budget
        return small

    def takes(self, calls: int) -> None:
        """Skip a check of a fixed number of calls, where fewer are left."""
        if self.budget.max_calls is not None and self.budget.left < calls:
            raise Skip(f"it takes {calls} calls, {self.budget.remaining}", limit="max_calls")

    def allowed(self, tolerance: float) -> float:
        """A tolerance of a check, or the subject's where that is declared and wider."""
        return max(tolerance, self.tolerance) if "tolerance" in self.declared else tolerance

    def versions(self) -> SearchStrategy[dict[str, Any]]:
        """Options within ``ranges``, to hand to ``version``; none at all among them."""
        return drawn_options(self.ranges)

    def version(self, subject: Any, options: Mapping[str, Any], around: Any = None) -> Any:
        """The subject with options drawn from ``versions``; a wrapper is made ``around`` a denoiser once, to see it refuse."""
        if isinstance(subject, Calling) and options:
            return Calling(with_options(subject.inner, self.factory, options, around), self.budget)
        return with_options(subject, self.factory, options, around)

    def equation(self, options: Mapping[str, Any] = MappingProxyType({})) -> Callable[..., Any]:
        """The reference of the subject with these options; it takes its arguments by position, the last may be left out.

        Raises:
            Skip: none is declared.
        """
        if self.reference is None:
            self.skip(
                "it has no reference: conforms(..., reference=function), or register.reference of its plugin",
                "reference",
            )
        bound = functools.partial(self.reference, **options) if options else self.reference
        return applied(bound)

    def shapes(self, **sizes: Collection[int]) -> SearchStrategy[tuple[int, int, int, int, int]]:
        """Shapes ``(b, c, f, h, w)`` of the sizes that the subject takes; ``frames=(4,)`` and so on override."""
        from jvid.testing import strategies

        names = ("batch", "channels", "frames", "sides", "heights", "widths")
        own = {name: getattr(self, name) for name in names}
        return strategies.shapes(**{**own, **sizes})

    def longer(self, window: int) -> tuple[int, ...]:
        """Numbers of frames beyond a window, of those that the subject takes: as many as clips in use have."""
        if "frames" not in self.declared:
            return (window + 1, 2 * window + 1, max(33, 3 * window + 2))
        return tuple(count for count in self.frames if count > window) or tuple(self.frames[-1:])

    def fitting(self, shapes: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
        """Shapes ``(b, c, f, h, w)``, the sizes that are declared replaced by the nearest one that the subject takes."""
        names = ("batch", "channels", "frames", "heights", "widths")

        def nearest(name: str, size: int) -> int:
            name = "sides" if name in ("heights", "widths") and not getattr(self, name) else name
            own = getattr(self, name)
            return min(own, key=lambda each: abs(each - size)) if name in self.declared else size

        fitted = [tuple(map(nearest, names, shape)) for shape in shapes]
        return list(dict.fromkeys(fitted))

    def moments(self) -> SearchStrategy[float]:
        """Times between the lowest and the highest at which the subject is evaluated."""
        from jvid.testing import strategies

        return strategies.times(*self.times)

    def even_moments(self, count: int = 12) -> list[float]:
        """Times between the lowest and the highest, evenly: what is drawn is near the ends as often as between them."""
        low, high = self.times
        return [round(low + (high - low) * (k + 0.5) / count, 6) for k in range(count)]

    def latents(self, shape: Sequence[int], seed: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Standard normal latents that depend on shape and seed alone, in ``dtype`` or the last of ``self.dtype``."""
        from jvid.core.keyed import keyed_normal

        return keyed_normal([seed], ("trial",), shape, dtype or self.dtype[-1], self.device)[0]

    def moved(self, cond: Condition) -> Condition:
        """A condition with its tensors on ``device``."""
        from jvid.core.conditions import PerFrame, map_condition

        if self.device.type == "cpu":
            return cond
        return map_condition(
            cond, lambda name, v: v.to(self.device), lambda name, v: PerFrame(v.to(self.device))
        )

    def condition(self, b: int, f: int) -> Condition:
        """The condition of b clips of f frames, on ``device``."""
        return self.moved(self.cond(b, f))

    def close(
        self, got: torch.Tensor, expected: torch.Tensor, what: str, tolerance: float | None = None
    ) -> None:
        """Assert equal shapes, and elements within the tolerance of the largest expected one (at least 1)."""
        assert got.shape == expected.shape, (
            f"{what}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
        )
        if not got.numel():
            return
        one, two = got.detach().cpu().double(), expected.detach().cpu().double()
        scale = max(1.0, float(two.abs().max()))
        allowed = (self.tolerance if tolerance is None else self.allowed(tolerance)) * scale
        apart = float((one - two).abs().max())
        # Written so that NaN fails.
        assert apart <= allowed, f"{what}: {apart:.3g} apart, expected at most {allowed:.1g}"

    def untouched(self, got: torch.Tensor, expected: torch.Tensor, what: str) -> None:
        """Assert that a tensor is what it was, bit for bit whatever is declared."""
        import torch

        assert got.dtype == expected.dtype, f"{what}: {got.dtype}, expected {expected.dtype}"
        assert got.device == expected.device, f"{what}: on {got.device}, expected {expected.device}"
        assert torch.equal(got, expected), f"{what}: {_apart(got, expected)}"

    def same(self, got: torch.Tensor, expected: torch.Tensor, what: str) -> None:
        """Assert that two tensors are equal, dtype included: bit for bit unless a ``tolerance`` is declared."""
        if "tolerance" in self.declared and got.dtype == expected.dtype:
            return self.close(got, expected, what)
        return self.untouched(got, expected, what)


def _apart(one: torch.Tensor, two: torch.Tensor) -> str:
    if one.shape != two.shape:
        return f"shape {tuple(one.shape)}, expected {tuple(two.shape)}"
    apart = float((one.detach().cpu().double() - two.detach().cpu().double()).abs().max())
    return f"{apart:.3g} apart, expected equal bit for bit"


def run_property(
    function: Callable[..., Any], strategies: Mapping[str, SearchStrategy[Any]], trial: Trial
) -> None:
    """Call ``function`` on examples of the strategies until one fails, which is kept in ``trial.falsified``.

    Raises:
        MissingDependencyError: hypothesis is not installed.
        Skip: no example fits.
    """
    with extra("testing"):
        import hypothesis
        from hypothesis import HealthCheck, Phase
        from hypothesis.errors import Flaky, HypothesisException, Unsatisfiable

    if trial.at is not None:
        if trial.at.keys() == strategies.keys():
            function(**trial.at)
        return

    last: list[tuple[Mapping[str, Any], Exception]] = []
    payable, limited = Payable(trial.budget, trial.examples), trial.budget.max_calls is not None

    def tried(**example: Any) -> None:
        if last and limited:  # what failed is run again, to no purpose where calls are dear
            raise last[-1][1]
        try:
            with watched(trial.leaks.append):
                payable.run(function, example)
        except (HypothesisException, Skip):
            raise
        except Exception as error:
            last.append((example, error))
            raise

    few = trial.examples <= FEW or limited
    phases = (Phase.generate,) if few else (Phase.generate, Phase.shrink)
    settings = hypothesis.settings(
        max_examples=trial.examples, derandomize=True, database=None, deadline=None, phases=phases,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip

    def falsify(example: Mapping[str, Any]) -> None:
        each: Trial | None = trial
        while each is not None:
            each.falsified, each = example, each.of

    tried.__module__, tried.__qualname__ = function.__module__, function.__qualname__
    try:
        settings(hypothesis.given(**strategies)(tried))()
    except Skip:
        raise
    except Unsatisfiable:
        raise Skip("no example of the sizes and times given applies") from None
    except Flaky:
        example, raised = last[-1]
        falsify(example)
        raise AssertionError(f"not the same from call to call; once: {failure_text(raised)}") from raised
    except Exception:
        if last:
            falsify(last[-1][0])
        raise


def failure_text(error: BaseException) -> str:
    """The first line of an assertion's message, or of another exception's with its type."""
    return one_line(error, first=True, typed=not isinstance(error, AssertionError))


def example_text(example: Mapping[str, Any]) -> str:
    """``dict(shape=(1, 4, 1, 2, 2), seed=0)``, to paste."""
    return f"dict({', '.join(f'{name}={value!r}' for name, value in example.items())})"
