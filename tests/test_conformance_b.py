"""Built-in selectors, noise samplers, solvers, grids, samplers and plugins conform; their mutants are killed.

The registry is read, so that a component that is registered is checked: with its defaults, or with the
options of ``CASES`` where it needs some.
"""

from __future__ import annotations

import pytest

from jvid import grids, noise, selectors, solvers
from jvid.registry import load, names
from jvid.sampler import Sampler
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always, PiecewiseAffine
from jvid.smoothing import TemporalSmoothing
from jvid.step import Expert
from jvid.testing import GaussianOracle, TwoModeOracle, conforms
from jvid.testing.checking import checks_of
from jvid.testing.mutants import hunt
from jvid.testing.mutants.grid import Evenly
from jvid.testing.mutants.noise_bases import Shared
from jvid.testing.mutants.sampler import example
from jvid.testing.mutants.selector import Coin
from jvid.testing.mutants.solver_bases import Ancestral, FirstOrder, TwoStages, TwoSteps

KINDS = ("selector", "noise", "solver", "grid")

CASES = {
    ("selector", "piecewise-affine"): [{"t_v": 0.2, "t_e": 0.7, "p_e": 0.3, "p_f": 0.1}],
    ("selector", "always"): [{"name": "video"}],
    ("selector", "random"): [{"experts": "a+b+c"}, {"experts": "a+b", "probabilities": "0.2+0.8"}],
    ("selector", "boundary"): [
        {"experts": "a+b+c", "at": "0.3+0.6"},
        {"experts": "a+b", "at": "1.2", "by": "angle"},
        {"experts": "a+b", "at": "400", "by": "timestep"},
    ],
    ("selector", "cycle"): [{"experts": "a+b"}, {"experts": "a+b", "lengths": "2+3"}],
    ("selector", "table"): [{"rows": "a*3+b*2"}],
    ("selector", "blend"): [{"experts": "a+b", "knots": "0:1:0+0.5:0.4:0.6+1:0:1"}],
    ("noise", "shared"): [{"ratio": 0.3}, {"ratio": 0.0}, {"ratio": 1.0}],
    ("noise", "scaled"): [{"gamma": 0.1, "ratio": 0.5}, {"gamma": 0.0}],
    ("noise", "mixed"): [{"alpha": 1.0}],
    ("noise", "progressive"): [{"alpha": 2.0}],
    ("noise", "offset"): [{}, {"strength": 0.5, "frames": "own"}],
    ("solver", "ddim"): [{}, {"eta": 0.5}, {"eta": 1.0}],
    ("solver", "euler"): [{}, {"s_churn": 5.0}],
    ("solver", "euler-ancestral"): [{}, {"eta": 0.5}],
    ("solver", "heun"): [{}, {"s_churn": 5.0}],
    ("solver", "pndm"): [{}, {"start": "runge-kutta"}],
    ("solver", "dpmpp-2m"): [{}, {"form": "heun"}, {"history": "restart"}],
    ("solver", "dpmpp-2m-sde"): [{}, {"eta": 0.5}, {"form": "heun"}],
    ("solver", "unipc"): [{}, {"solver_order": 1}, {"solver_order": 3}, {"variant": "bh1"}],
    ("grid", "explicit"): [{"times": "1+.7+.2+0"}],
    ("grid", "zigzag"): [{"steps": 20}, {"steps": 10, "back": 2, "repeats": 2}],
}
GRID = [{"steps": 1}, {"steps": 20}]

CONTEXT = {
    ("selector", "table"): {"counts": (5,)},
    ("noise", "offset"): {"pixels": False},
    ("grid", "zigzag"): {"rising": True},
}


def cases():
    for kind in KINDS:
        for name in names(kind):
            for options in CASES.get((kind, name), GRID if kind == "grid" else [{}]):
                told = ",".join(f"{key}={value}" for key, value in options.items())
                yield pytest.param(kind, name, options, id=f"{kind}-{name}-{told}")


@pytest.mark.parametrize(("kind", "name", "options"), list(cases()))
def test_built_ins_conform(kind, name, options):
    context = dict(CONTEXT.get((kind, name), {}))
    if options.get("s_churn"):
        context["beyond"] = True  # churn asks at more noise than the step begins with
    report = conforms(kind, load(kind, name, **options), **context)
    report.raise_for_failures()
    assert report.counts["passed"] >= len(report.outcomes) - 4


def test_a_history_that_ignores_a_switch_loses_its_order():
    known = {"order_across_a_switch": "one history for all experts extrapolates from another model"}
    conforms("solver", solvers.DPMPP2M(history="ignore"), expected_failures=known).raise_for_failures()


TABLE, FLOW = TabulatedSchedule.scaled_linear(), FlowMatching()
EXPERTS = {
    "video": Expert(TwoModeOracle(TABLE, 0.9, 0.4), noise.SharedNoise(0.5)),
    "image": Expert(GaussianOracle(FLOW, 0.3, 0.5), noise.ScaledNoise(noise.IndependentNoise(), 0.3)),
}
NAMES = ("video", "image")
SAMPLERS = {
    "the paper's": lambda: Sampler(
        EXPERTS,
        PiecewiseAffine(0.2, 0.7, 0.3, 0.3),
        solvers.DDPM(),
        grids.Leading(6),
        postprocessors=[TemporalSmoothing(2.0)],
    ),
    "turns": lambda: Sampler(EXPERTS, selectors.Cycle(NAMES), solvers.DPMPP2M(), grids.Karras(6)),
    "blend": lambda: Sampler(
        EXPERTS,
        selectors.Blend(NAMES, "0:1:0+1:0:1"),
        solvers.Heun(),
        grids.ByAngle(6),
        schedule=FLOW,
    ),
    "random walk": lambda: Sampler(
        EXPERTS, selectors.Random(NAMES), solvers.UniPC(), grids.Zigzag(8), initial=noise.SharedNoise(0.5)
    ),
    "refiner": lambda: Sampler(
        EXPERTS, selectors.Boundary(NAMES, "0.5"), solvers.DPMPP2MSDE(), grids.Trailing(6)
    ),
    "one expert": lambda: Sampler(EXPERTS, Always("image"), solvers.PNDM(), grids.Linspace(6)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_conform(name):
    report = conforms("sampler", SAMPLERS[name](), frames=range(2, 5), examples=3).raise_for_failures()
    assert report.counts == {"passed": len(report.outcomes)}


@pytest.mark.parametrize("name", ["builtin", "jvid_training.plugin"])
def test_plugins_conform(name):
    conforms("plugin", name).raise_for_failures()


def test_the_models_plugin_conforms():
    # Its factories are built by tests of their own: they import diffusers and transformers.
    built = {"components_have_help", "factories_build_or_say_why", "globals_untouched"}
    only = [check for check in checks_of("plugin") if check not in built]
    conforms("plugin", "models", only=only).raise_for_failures()


# What the mutants are made of is right, so that each dies of its own mistake.


@pytest.mark.parametrize("solver", [FirstOrder, Ancestral, TwoSteps, TwoStages])
def test_the_solvers_that_mutants_change_conform(solver):
    conforms("solver", solver()).raise_for_failures()


@pytest.mark.parametrize(
    ("kind", "make"), [("selector", Coin), ("noise", Shared), ("grid", Evenly), ("sampler", example)]
)
def test_what_mutants_change_conforms(kind, make):
    conforms(kind, make()).raise_for_failures()


@pytest.mark.parametrize("kind", [*KINDS, "sampler", "plugin"])
def test_mutants_are_killed_by_their_checks(kind):
    found = hunt([kind])
    assert found.ok, str(found)
    # Of what is told, not of an exception on the way; these are the mistake itself.
    raised = {
        one.name
        for one, detail in found.killed.items()
        if detail.startswith(("TypeError", "NameError", "KeyError"))
    }
    assert not raised
