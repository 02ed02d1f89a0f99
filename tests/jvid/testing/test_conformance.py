"""Built-in components, samplers and plugins conform; the mutants of each kind are killed.

The registry is read, so that a component that is registered is checked: with its defaults, or with the
options of ``CASES`` where it needs some.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch

from jvid import grids, solvers
from jvid.core.bridged import Bridged
from jvid.core.conditions import require
from jvid.core.keyed import keyed_normal
from jvid.denoisers.cached import Cached
from jvid.denoisers.corrected import Corrected
from jvid.denoisers.first_frame import FirstFrame
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided, guided
from jvid.denoisers.known import Known
from jvid.denoisers.parameterized import Parameterized
from jvid.denoisers.windowed import Windowed
from jvid.plugins.registrar import REFERENCED
from jvid.plugins.registry import current, load, names
from jvid.postprocessors import UniformSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing import GaussianOracle, TwoModeOracle, checking, conforms
from jvid.testing.checking import checks_of
from jvid.testing.inner import Inner, conditions
from jvid.testing.references import denoisers as equations
from jvid.testing.references import wrappers as around
from jvid.testing.registered import declared_reference
from jvid.testing.strategies import SCHEDULES
from tests.mutants import hunt
from tests.mutants.denoiser_bases import CONTEXT as CONTEXT_OF_DENOISERS
from tests.mutants.denoiser_bases import Grey
from tests.mutants.features import Colours
from tests.mutants.grid import Evenly
from tests.mutants.metric import Distance
from tests.mutants.noise_bases import Shared
from tests.mutants.postprocessor import Smoothing
from tests.mutants.sampler import example
from tests.mutants.schedule import Turning
from tests.mutants.selector import Coin
from tests.mutants.solver_bases import Ancestral, FirstOrder, TwoStages, TwoSteps
from tests.mutants.wrapper_bases import Frames, Guide, Passing, Windows


class Timed:
    """An ensemble with times of its own."""

    def times(self, steps):
        return grids.Trailing(steps)()

    def __repr__(self):
        return "timed"


KINDS = ("schedule", "selector", "noise", "solver", "grid", "postprocessor")

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
    ("schedule", "linear"): [{}, {"T": 50}],
    ("schedule", "variance-exploding"): [{}, {"sigma_max": 700.0, "t_min": 0.1}],
    ("schedule", "flow-matching"): [{}, {"shift": 3.0}],
    ("schedule", "zero-terminal-snr"): [{}, {"of": "linear"}],
    ("postprocessor", "temporal"): [{}, {"threshold": 0.0}, {"threshold": 30.0}],
    ("postprocessor", "gaussian"): [{}, {"std": 0.0}, {"std": 5.0}],
    ("postprocessor", "uniform"): [{}, {"size": 1}, {"size": 7}],
    ("grid", "explicit"): [{"times": "1+.7+.2+0"}],
    ("grid", "native"): [{"steps": 4, "ensemble": Timed()}],
    ("grid", "zigzag"): [{"steps": 20}, {"steps": 10, "back": 2, "repeats": 2}],
}
GRID = [{"steps": 1}, {"steps": 20}]

SKIPPED = {
    # Of solvers that draw noise, of which the ODE is no reference.
    "order_on_two_modes", "order_with_blended_experts", "order_across_a_switch", "converges_with_alternating_experts",
    "holds_for_other_options",  # without options, or with names alone
    "as_many_steps_as_requested",  # of a grid of its own times
    "experts_are_declared",
    "places_are_independent",
    "a_step_is_as_good_as_its_order",  # of solvers that draw noise, or correct a step in the next
    "any_number_of_steps",  # of a grid of its own times
}  # fmt: skip

FEWER = 12
"""Examples of a property: enough to kill every mutant but those of ``OF_MUTANTS``."""

OF_MUTANTS = {"schedule": 25, "solver": 25, "denoiser": 16, "wrapper": 8}

OF_DENOISERS = 8
"""Of denoisers and wrappers, the dearest: they kill all mutants of wrappers, and all but one of denoisers."""

OF_BUILT_INS = {"schedule": 12, "solver": 6, "noise": 6}
"""Of built-ins, where fewer than ``FEWER`` will do: all mutants of solvers and noise die of five, of schedules of twelve."""

CONTEXT = {
    ("selector", "table"): {"counts": (5,)},
    ("noise", "offset"): {"pixels": False},
    ("grid", "zigzag"): {"rising": True},
}


def cases():
    for kind in KINDS:
        for name in names(kind):
            for options in CASES.get((kind, name), GRID if kind == "grid" else [{}]):
                label = ",".join(f"{key}={value}" for key, value in options.items())
                yield pytest.param(kind, name, options, id=f"{kind}-{name}-{label}")


@pytest.mark.parametrize(("kind", "name", "options"), list(cases()))
def test_built_ins_conform(kind, name, options):
    context = dict(CONTEXT.get((kind, name), {}))
    if options.get("s_churn"):
        context["beyond"] = True  # churn asks at more noise than the step begins with
    first = kind == "solver" and options == CASES.get((kind, name), [options])[0]
    examples = FEWER if first else OF_BUILT_INS.get(kind, FEWER)
    context |= declared_reference(kind, name, **options)
    report = conforms(kind, load(kind, name, **options), examples=examples, **context)
    report.raise_for_failures()
    assert report["as_referenced"].status == "passed"
    assert {each.check for each in report.outcomes if each.status == "skipped"} <= SKIPPED


TABLE, FLOW = TabulatedSchedule.scaled_linear(), FlowMatching()


class Linear:
    """A network for any of the predictions: a bit of x and of the text."""

    def __call__(self, x, t, cond):
        return 0.5 * x + require(cond, "text", "Linear").to(x).mean((1, 2)).view(-1, 1, 1, 1, 1)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s}"[:40])
def test_oracles_conform(schedule):
    data = 0.3 + 0.5 * keyed_normal(range(4), ("data",), (3, 4, 6, 6), torch.float64)
    gaussian = GaussianOracle(schedule, 0.3, 0.5)
    of_gaussian = partial(equations.gaussian, schedule=schedule, mean=0.3, std=0.5)
    conforms(
        "denoiser",
        gaussian,
        data=data,
        examples=OF_DENOISERS,
        reference=of_gaussian,
        ranges={"std": (0.1, 2.0)},
    ).raise_for_failures()
    modes = 0.9 * data.sign() + 0.25 * keyed_normal(range(4), ("modes",), (3, 4, 6, 6), torch.float64)
    two = TwoModeOracle(schedule, 0.9, 0.25)
    of_two = partial(equations.two_modes, schedule=schedule, offset=0.9, std=0.25)
    conforms("denoiser", two, data=modes, examples=OF_DENOISERS, reference=of_two).raise_for_failures()


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "flow"])
def test_parameterized_networks_conform(prediction):
    denoiser = Parameterized(Linear(), TABLE, prediction)
    conforms("denoiser", denoiser, cond=conditions, examples=OF_DENOISERS).raise_for_failures()
    guided = Guided(Framewise(denoiser), 3.0)
    conforms("denoiser", guided, cond=conditions, examples=OF_DENOISERS).raise_for_failures()


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_bundled_expert_conforms(kind):
    """Real networks in float32, two clips of the size of frame that they were trained on."""
    from jvid_models.ensembles.bundled import actions_64

    ensemble = actions_64()
    frames = 1 if kind == "image" else 4
    text = ensemble.condition(["a person running", "a person walking"])
    cond = {"text": text["text"]}

    def of(b, f):
        return {name: value[torch.arange(b) % 2] for name, value in cond.items()}

    expert = ensemble.denoiser(kind)
    context = {"channels": (4,), "frames": (frames,), "sides": (8,), "batch": (1, 2), "times": (0.001, 1.0)}
    conforms("denoiser", expert, cond=of, examples=2, **context).raise_for_failures()


HALF, ONES = torch.full((1, 1, 1, 1, 1), 0.5), torch.ones(1, 1, 1, 1, 1)
MEAN = UniformSmoothing(3)
OTHER = Inner(shift=1.0)

WRAPPERS = {
    "guided": (guided, {"reference": around.guided, "ranges": {"scale": (-1.0, 8.0), "rescale": (0.0, 1.0)}}),
    "guided-interval": (
        lambda d: guided(d, 3.0, 0.2, 0.7, 0.5),
        {"reference": partial(around.guided, scale=3.0, low=0.2, high=0.7, rescale=0.5)},
    ),
    "framewise": (Framewise, {"framewise": True, "reference": around.framewise}),
    "bridged": (
        lambda d: Bridged(d, FLOW),
        {"schedule": FLOW, "times": (0.0, 0.8), "reference": partial(around.bridged, schedule=FLOW)},
    ),
    "windowed": (
        partial(Windowed, size=4, stride=3),
        {
            "window": 4, "frames": (1, 4, 5, 11), "reference": partial(around.windowed, size=4, stride=3),
            "ranges": {"stride": (1, 4)},
        },
    ),
    "known": (
        lambda d: Known(d, HALF, ONES),
        {"identity": False, "reference": partial(around.known, mask=HALF, latents=ONES)},
    ),
    "corrected": (
        lambda d: Corrected(d, MEAN),
        {"identity": False, "reference": partial(around.corrected, postprocessor=MEAN)},
    ),
    "corrected-interval": (
        partial(Corrected, postprocessor=MEAN, interval=(0.2, 0.5)),
        {"identity": False, "reference": partial(around.corrected, postprocessor=MEAN, interval=(0.2, 0.5))},
    ),
    "cached": (lambda d: Cached(d, dict), {"reference": around.cached}),
    "first-frame": (
        partial(FirstFrame, others=OTHER),
        {"identity": False, "reference": partial(around.first_frame, others=OTHER)},
    ),
    "guided-windowed-framewise": (
        lambda d: Guided(Windowed(Framewise(d), 4, 2), 2.0),
        {"frames": (1, 5)},
    ),
}  # fmt: skip


def test_every_wrapper_is_checked():
    checked = {
        name for name in names("wrapper") if any(f"{case}-".startswith(f"{name}-") for case in WRAPPERS)
    }
    assert checked == set(names("wrapper"))


def test_autoguidance_is_as_referenced():
    # The denoiser that it leads away from has one schedule: other checks come with others.
    reference = partial(around.guided, scale=2.5, against=OTHER)
    report = conforms(
        "wrapper", partial(guided, scale=2.5, against=OTHER), only="as_referenced", reference=reference
    )
    assert report["as_referenced"].status == "passed", report


def test_every_built_in_declares_a_reference():
    without = {
        (kind, component.name)
        for kind in REFERENCED
        for component in current().components(kind)
        if component.reference is None and component.plugin in ("builtin", "models")
    }
    # Networks of trained weights are no equation: they are held to diffusers' own forward.
    networks = {"diffusers", "unet", "table-1-image", "table-1-video"}
    assert without == {("denoiser", name) for name in networks}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_conform(name):
    factory, context = WRAPPERS[name]
    report = conforms("wrapper", factory, examples=OF_DENOISERS, **context).raise_for_failures()
    assert report["as_referenced"].status == ("passed" if "reference" in context else "skipped")


def test_a_history_that_ignores_a_switch_loses_its_order():
    known = {"order_across_a_switch": "one history for all experts extrapolates from another model"}
    solver = solvers.DPMPP2M(history="ignore")
    conforms("solver", solver, expected_failures=known, examples=FEWER).raise_for_failures()


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
    conforms("solver", solver(), examples=FEWER).raise_for_failures()


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("selector", Coin),
        ("noise", Shared),
        ("grid", Evenly),
        ("sampler", example),
        ("schedule", Turning),
        ("postprocessor", Smoothing),
        ("features", Colours),
        ("metric", Distance),
    ],
)
def test_what_mutants_change_conforms(kind, make):
    conforms(kind, make()).raise_for_failures()


def test_the_denoiser_that_mutants_change_conforms():
    conforms("denoiser", Grey(), **CONTEXT_OF_DENOISERS).raise_for_failures()


@pytest.mark.parametrize(
    ("factory", "context"),
    [
        (Passing, {}),
        (Guide, {}),
        (Frames, {"framewise": True}),
        (Windows, {"window": 4, "frames": (1, 3, 4, 7, 9)}),
    ],
)
def test_the_wrappers_that_mutants_change_conform(factory, context):
    conforms("wrapper", factory, examples=OF_DENOISERS, **context).raise_for_failures()


@pytest.mark.parametrize("kind", checking.KINDS)
def test_mutants_are_killed_by_their_checks(kind):
    found = hunt([kind], OF_MUTANTS.get(kind, FEWER))
    assert found.ok, str(found)
    # Of what is reported, not of an exception on the way; these are the mistake itself.
    raised = {
        one.name
        for one, detail in found.killed.items()
        if detail.startswith(("TypeError", "NameError", "KeyError", "IndexError"))
    }
    assert not raised
