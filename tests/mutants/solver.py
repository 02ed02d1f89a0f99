"""Wrong solvers of first order: one letter of a coefficient of c_x x + c_0 x_0 + c_z z.

Ends and dtypes, second order, and state have files of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jvid.core.protocols import Level
from jvid.solvers.kernel import coefficients
from tests.mutants import (  # noqa: F401 - the modules register
    Mutant,
    add,
    solver_edges,
    solver_memory,
    solver_order,
    solver_stages,
)
from tests.mutants.solver_bases import Ancestral, Coefficients, FirstOrder


def _slip(
    check: str,
    name: str,
    formula: Callable[[Level, Level], Coefficients],
    why: str,
    base: type[FirstOrder] = FirstOrder,
) -> None:
    """Register a solver with the formula where both levels are inside the schedule and differ, else the right one."""

    def coefficients_of(self: FirstOrder, start: Level, end: Level) -> Coefficients:
        inside = min(start.alpha, start.sigma, end.alpha) > 0.0 and start.angle != end.angle
        return formula(start, end) if inside else coefficients(start, end, self.eta)

    built = type(name, (base,), {"coefficients": coefficients_of})
    add(Mutant("solver", name, check, built, why))


EXACT = "exact_where_x_0_is_known"


def _right(s: Level, e: Level) -> Coefficients:
    return coefficients(s, e, 1.0)


def _rest(level: Level) -> float:
    return math.sqrt(max(0.0, 1.0 - level.alpha**2))


def _tau(s: Level, e: Level) -> float:
    p, q = sorted((s.alpha * e.sigma, e.alpha * s.sigma))
    return 1.0 - (p / q) ** 2


_slip(
    EXACT,
    "start_sigma_for_end",
    lambda s, e: (1.0, e.alpha - s.alpha, 0.0),
    "eps is weighed by sigma of the start",
)
_slip(
    EXACT, "end_alpha_in_eps", lambda s, e: (e.sigma / s.sigma, e.alpha - e.sigma / s.sigma * e.alpha, 0.0),
    "eps = (x - alpha x_0) / sigma with alpha of the end",
)  # fmt: skip
_slip(
    EXACT, "sigma_squared",
    lambda s, e: ((e.sigma / s.sigma) ** 2, e.alpha - (e.sigma / s.sigma) ** 2 * s.alpha, 0.0),
    "variances where deviations belong",
)  # fmt: skip
_slip(
    EXACT, "no_alpha", lambda s, e: (e.sigma / s.sigma, 1.0 - e.sigma / s.sigma, 0.0),
    "the formula of a variance-exploding schedule on any",
)  # fmt: skip
_slip(
    EXACT, "preserving_sigma",
    lambda s, e: (_rest(e) / s.sigma, e.alpha - _rest(e) * s.alpha / s.sigma, 0.0),
    "sigma = sqrt(1 - alpha^2), which only a variance-preserving schedule has",
)  # fmt: skip
_slip(
    EXACT, "alpha_for_alpha_bar", lambda s, e: (e.sigma / s.sigma, e.alpha**2 - e.sigma / s.sigma * s.alpha**2, 0.0),
    "alpha squared in place of alpha",
)  # fmt: skip
_slip(
    EXACT, "tau_for_its_root", lambda s, e: (*_right(s, e)[:2], e.sigma * _tau(s, e)),
    "a forgotten square root: noise of deviation sigma tau", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "large_variance",
    lambda s, e: (*_right(s, e)[:2], math.sqrt(abs(s.sigma**2 - (s.alpha / e.alpha * e.sigma) ** 2))),
    "the variance of the forward step in place of the posterior's", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "noise_of_the_start", lambda s, e: (*_right(s, e)[:2], s.sigma * math.sqrt(_tau(s, e))),
    "noise of the start's sigma", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "noise_on_top", lambda s, e: (*coefficients(s, e, 0.0)[:2], e.sigma * math.sqrt(_tau(s, e))),
    "noise is added and eps not reduced for it", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "eta_squared",
    lambda s, e: (*coefficients(s, e, 0.5)[:2], 0.5 * coefficients(s, e, 0.5)[2]),
    "eta enters the noise twice", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "noise_at_the_end", lambda s, e: (*_right(s, e)[:2], _right(s, e)[2] or 0.1 * s.sigma),
    "the last step adds noise, too", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "no_noise_upwards",
    lambda s, e: (e.alpha / s.alpha, 0.0, 0.0) if e.angle > s.angle else _right(s, e),
    "a step to more noise adds none", Ancestral,
)  # fmt: skip
_slip(
    EXACT, "upwards_is_nothing", lambda s, e: (1.0, 0.0, 0.0) if e.angle > s.angle else coefficients(s, e, 0.0),
    "a step to more noise is skipped: noise is assumed to fall",
)  # fmt: skip
_slip(
    EXACT, "one_percent_off", lambda s, e: (e.sigma / s.sigma, 0.99 * (e.alpha - e.sigma / s.sigma * s.alpha), 0.0),
    "x_0 weighs a hundredth too little",
)  # fmt: skip
