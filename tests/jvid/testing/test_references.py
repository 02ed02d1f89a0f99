"""How a declared reference is called, what it may leave open, and what is wrong about one."""

from __future__ import annotations

from functools import partial

import attrs
import pytest

from jvid.cli import main
from jvid.errors import InputError
from jvid.noise import SharedNoise
from jvid.plugins import hookimpl
from jvid.plugins.registry import Registry, using
from jvid.schedules import FlowMatching, VarianceExploding
from jvid.selectors import Always, Cycle
from jvid.solvers import DDIM, DDPM
from jvid.testing import NonConforming, conformance, conforms
from jvid.testing.referenced import ReferenceComparison
from jvid.testing.references import schedules, solvers
from jvid.testing.registered import declared_reference, registered
from jvid.testing.trial import Trial
from jvid.testing.versions import positional

ONLY = "as_referenced"


def outcome(kind, subject, **context):
    return conforms(kind, subject, only=ONLY, **context)[ONLY]


def test_without_a_reference_the_check_states_how_to_give_one():
    found = outcome("schedule", FlowMatching())
    assert found.status == "skipped"
    assert "conforms(..., reference=function)" in found.detail


def test_options_are_drawn_and_given_to_both():
    seen = []

    def flow(t, *, shift=1.0):
        seen.append(shift)
        return schedules.flow_matching(t, shift=shift)

    assert (
        outcome("schedule", FlowMatching(), reference=flow, ranges={"shift": (0.5, 4.0)}).status == "passed"
    )
    assert min(seen) == 0.5
    assert max(seen) == 4.0
    wrong = outcome(
        "schedule", FlowMatching(), reference=lambda t, shift=1.0: (1.0 - t, t), ranges={"shift": (0.5, 4.0)}
    )
    assert wrong.status == "failed"
    assert "'shift'" in wrong.reproduce


def test_a_factory_builds_what_is_no_attrs_class_and_may_refuse():
    class Plain:
        order = 1

        def __init__(self, eta=0.0):
            if eta > 0.9:
                raise InputError("eta")
            self.inner = DDIM(eta)

        def init(self):
            return None

        def step(self, *arguments):
            return self.inner.step(*arguments)

    ranges = {"eta": (0.0, 1.0)}
    assert outcome("solver", Plain(), reference=solvers.ddim, ranges=ranges, factory=Plain).status == "passed"
    found = outcome("solver", Plain(), reference=solvers.ddim, ranges=ranges)
    assert "expected a factory" in found.detail


def test_arguments_may_be_left_out():
    def step_of_ddim(x, step, denoise):
        x_0 = denoise(x, step.start)
        return step.end.alpha * x_0 + step.end.sigma * (x - step.start.alpha * x_0) / step.start.sigma

    assert outcome("solver", DDIM(), reference=step_of_ddim).status == "passed"
    assert outcome("solver", DDPM(), reference=step_of_ddim).status == "failed"
    assert positional(lambda x, y, eta=1.0, *, z=0: None) == 2
    assert positional(partial(lambda x, y, eta=1.0: None, eta=2.0)) == 2


def test_a_selector_is_compared_in_the_mean_or_for_each_u():
    turns = Cycle(("a", "b"))
    assert outcome("selector", turns, reference=lambda step: {"ab"[step.index % 2]: 1.0}).status == "passed"
    assert (
        outcome("selector", turns, reference=lambda step, u: {"ab"[step.index % 2]: 1.0}).status == "passed"
    )
    assert outcome("selector", Always("a"), reference=lambda step, u: {"a": 0.5, "b": 0.5}).status == "failed"


def test_what_a_reference_leaves_open_is_not_compared():
    def without_the_end(t):
        return (1.0 / 0.0, 0.0) if t == 0.0 else schedules.variance_exploding(t)

    assert outcome("schedule", VarianceExploding(), reference=without_the_end).status == "passed"
    nowhere = outcome("schedule", VarianceExploding(), reference=lambda t: (float("nan"), float("nan")))
    assert nowhere.status == "failed"
    assert nowhere.detail == "the reference is nowhere finite: nothing was compared"


class Brightness:
    """The mean of all frames; None of clips of a single frame."""

    name, unit, better, features = "brightness", "of 255", None, ()

    def compute(self, clips, reference, resampling):
        frames = clips.array
        return float(frames.astype(float).mean()) if frames.shape[1] > 1 else None


def test_a_metrics_reference_may_leave_open_and_may_have_no_value():
    def brightness(clips):
        return float(clips.array.astype(float).mean()) if clips.array.shape[1] > 1 else None

    def of_three_frames(clips):
        return brightness(clips) if clips.array.shape[1] == 3 else 1 / 0

    def of_none(clips):
        return brightness(clips) if clips.array.shape[1] < 3 else None

    assert outcome("metric", Brightness(), reference=brightness).status == "passed"
    assert outcome("metric", Brightness(), reference=of_three_frames).status == "passed"
    assert outcome("metric", Brightness(), reference=of_none).detail == "a value, by the reference none"
    nowhere = outcome("metric", Brightness(), reference=lambda clips: 1 / 0)
    assert nowhere.detail == "the reference is nowhere finite: nothing was compared"
    assert outcome("metric", Brightness(), reference=brightness, frames=1).status == "skipped"


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ([0.0, 1.0, 2.0, 9.0], "it at element 3 is 9, by the reference 3"),
        ([5.0, 1.0, float("nan"), 9.0], "it at element 2 is nan, by the reference 2"),
    ],
)
def test_the_worst_element_is_counted_among_all(got, message):
    compared = ReferenceComparison(Trial())
    with pytest.raises(AssertionError) as caught:
        compared.agree(got, [float("nan"), 1.0, 2.0, 3.0], "it")
    assert str(caught.value) == message
    assert not compared.agree([7.0, 1.0], [float("inf"), 1.0], "it")
    assert compared.agree([[4.0], [1.0]], [[4.0], [1.0]], "it")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (lambda t: 1.0 + "a", "the reference raises TypeError"),
        (lambda t: (1.0 - t, t, t), "zip"),
        (lambda t, u: (0.0, 1.0), "the reference raises TypeError"),
    ],
)
def test_a_broken_reference_is_reported_as_such(reference, expected):
    found = outcome("schedule", FlowMatching(), reference=reference)
    assert found.status == "failed"
    assert expected in found.detail


def test_a_solvers_reference_returns_x_alone():
    found = outcome("solver", DDIM(), reference=lambda x, step, denoise: (denoise(x, step.start), None))
    assert found.detail == "the reference returned a tuple: expected x alone"


@pytest.mark.parametrize(
    ("name", "options", "context"),
    [
        ("guided", {}, {}),
        ("framewise", {}, {"framewise": True}),
        ("cached", {}, {}),
        ("windowed", {"size": 4}, {"window": 4, "frames": (1, 4, 5, 11)}),
    ],
)
def test_wrappers_conform_with_what_they_declare(name, options, context):
    context = {**context, **declared_reference("wrapper", name, **options)}
    only = [ONLY, *(["holds_for_other_options"] if context["ranges"] else [])]
    report = conforms("wrapper", registered("wrapper", name, **options), only=only, examples=8, **context)
    report.raise_for_failures()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: conforms("plugin", "builtin", reference=dict), "plugin got reference=...: expected none"),
        (lambda: conforms("schedule", FlowMatching(), reference=3), "reference=3: expected a function"),
        (lambda: conforms("schedule", FlowMatching(), reference=dict, ranges={"shift": 3}, only=ONLY)
         .raise_for_failures(), "ranges['shift'] = 3: expected (low, high) or a list of values"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_line(call, expected):
    with pytest.raises((InputError, NonConforming)) as caught:
        call()
    assert expected in str(caught.value)


@conformance(
    "noise", only=[ONLY], reference=lambda i, j: 0.3 * (i[:2] + i[3:] == j[:2] + j[3:]) + 0.7 * (i == j)
)
def test_the_decorator_takes_one():
    return SharedNoise(0.3)


@attrs.frozen
class Wrong(FlowMatching):
    """Shifted by the square of its option."""

    def __call__(self, t):
        return FlowMatching(self.shift**2)(t)

    def time_at(self, angle):
        return FlowMatching(self.shift**2).time_at(angle)


@hookimpl
def jvid_register(register):
    register.schedule("wrong", Wrong, help="Wrong.")
    register.schedule("right", FlowMatching, help="Right.")
    for name in ("wrong", "right"):
        register.reference(
            "schedule", name, "jvid.testing.references.schedules:flow_matching", ranges={"shift": (0.5, 3.0)}
        )


def test_jvid_check_compares_with_what_the_plugin_declares(capsys):
    registry = Registry(entry_points=False)
    registry.add(jvid_register, "mine")
    with using(registry):
        assert main(["check", "schedule", "right:shift=2", "--only", ONLY]) == 0
        assert main(["check", "schedule", "wrong:shift=2", "--only", ONLY]) == 1
        assert "by the reference" in capsys.readouterr().out
        assert main(["check", "schedule", "wrong", "--only", ONLY]) == 1  # with options of the ranges


@pytest.mark.parametrize("target", ["no_such_module:flow", "jvid.testing.references.schedules:no_such_name"])
def test_a_declared_reference_that_is_not_there_is_one_line(capsys, target):
    @hookimpl
    def jvid_register(register):
        register.schedule("right", FlowMatching, help="Right.")
        register.reference("schedule", "right", target)

    registry = Registry(entry_points=False)
    registry.add(jvid_register, "mine")
    with using(registry):
        assert main(["check", "schedule", "right", "--only", ONLY]) == 2
    err = capsys.readouterr().err
    assert f"the reference '{target}' cannot be imported" in err
    assert err.count("\n") == 1
