"""The conformance kit itself: what a report states, what may be expected to fail, and how a failure is run again."""

from __future__ import annotations

import copy

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid import FlowMatching, Framewise, InputError, TabulatedSchedule, TemporalSmoothing
from jvid.testing import GaussianOracle, NonConforming, Skip, checking, conforms, strategies
from jvid.testing.checking import CHECKS, GLOBALS, KINDS, checks_of, options_of
from jvid.testing.globals import watched
from jvid.testing.report import Outcome, Report
from jvid.testing.trial import Trial
from tests.installed import ROOT, fork
from tests.mutants import Mutant, add, hunt, mutants_of


class Falls(FlowMatching):
    """A schedule whose angle falls behind the middle."""

    def __call__(self, t):
        return super().__call__(torch.where(t > 0.5, 1.0 - t, t))


class Broken:
    """A postprocessor that is in pieces."""

    def __call__(self, x):
        raise ZeroDivisionError("in pieces\nwith more lines")


def test_a_report_states_what_failed_and_how_to_run_it_again():
    report = conforms("schedule", Falls())
    assert not report.ok
    outcome = report["angle_never_falls"]
    assert outcome.status == "failed"
    assert "it falls after t 0.5" in outcome.detail
    assert "\n" not in outcome.detail
    assert report.counts["failed"] == sum(not each.ok for each in report.outcomes)
    with pytest.raises(NonConforming, match=r"schedule .*Falls.*failed") as caught:
        report.raise_for_failures()
    assert outcome.reproduce in str(caught.value)
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(KeyError):
        report["no such check"]
    assert str(report).count("\n") >= len(report.outcomes)


def reproduced(line: str, subject: object) -> Report:
    return eval(line, {"conforms": conforms, "subject": subject, "torch": torch})


@pytest.mark.parametrize(
    ("kind", "make", "check", "context"),
    [
        ("schedule", Falls, "angle_never_falls", {}),
        ("postprocessor", Broken, "shape_and_dtype_kept", {"frames": (2, 3)}),
        ("postprocessor", lambda: lambda x: x.float(), "shape_and_dtype_kept", {}),
        ("wrapper", lambda: lambda d: d.__class__(), "forwards_the_schedule", {}),
    ],
)
def test_what_a_failure_prints_reproduces_it(kind, make, check, context):
    outcome = conforms(kind, make(), only=check, **context)[check]
    assert outcome.status == "failed"
    again = reproduced(outcome.reproduce, make())[check]
    assert (again.status, again.detail) == ("failed", outcome.detail)


def test_a_falsifying_example_is_small():
    outcome = conforms("postprocessor", lambda x: x[:, :, :2], only="shape_and_dtype_kept")[
        "shape_and_dtype_kept"
    ]
    assert "at=dict(shape=(1, 1, 3, 1, 1)" in outcome.reproduce


def test_a_right_schedule_passes_all_but_the_changed_one_does_not():
    assert conforms("schedule", FlowMatching()).counts == {
        "passed": len(checks_of("schedule")) - 2,
        "skipped": 2,
    }


def test_failures_may_be_expected_with_a_reason():
    reason = {"angle_never_falls": "it turns back on purpose"}
    outcome = conforms("schedule", Falls(), expected_failures=reason)["angle_never_falls"]
    assert (outcome.status, outcome.detail, outcome.ok) == (
        "expected failure",
        "it turns back on purpose",
        True,
    )
    passes = conforms("schedule", FlowMatching(), expected_failures=reason)
    assert passes["angle_never_falls"].status == "unexpected pass"
    assert not passes.ok
    with pytest.raises(NonConforming, match="it turns back on purpose"):
        passes.raise_for_failures()


def test_what_does_not_apply_is_skipped_with_a_reason():
    report = conforms("denoiser", GaussianOracle(FlowMatching()))
    skipped = [each for each in report.outcomes if each.status == "skipped"]
    assert {each.check for each in skipped} == {
        "a_missing_condition_is_named", "conditions_are_read_each_time", "predicts_x_0", "as_referenced",
        "the_true_time_is_best", "weights_are_read_each_time", "holds_for_other_options", "conditions_are_read_whole",
        "predictions_are_calibrated",
    }  # fmt: skip
    assert all(
        "conforms(..., " in each.detail for each in skipped if each.check != "weights_are_read_each_time"
    )
    assert report.ok


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: conforms("nothing", 0), "no checks for 'nothing': expected one of schedule, "),
        (lambda: conforms("schedule", 0, only="nothing"), "schedule has no check 'nothing'"),
        (lambda: conforms("schedule", 0, expected_failures={"x": "y"}), "schedule has no check 'x'"),
        (lambda: conforms("schedule", 0, examples=0), "examples=0"),
        (lambda: conforms("schedule", 0, window=3), "without an option 'window'"),
        (lambda: conforms("schedule", FlowMatching(), frames=0), "sizes 0"),
        (lambda: conforms("schedule", FlowMatching(), dtype="int64"), "expected floating dtypes"),
        (lambda: mutants_of("nothing"), "no mutants of 'nothing'"),
        (lambda: checking.check("schedule")(lambda subject, trial: None), "has no invariant"),
        (lambda: add(Mutant("schedule", "fresh", "x", Falls, "")), "does not say its mistake"),
    ],
)
def test_bad_arguments_say_what_was_expected(call, expected):
    with pytest.raises(InputError) as caught:
        call()
    assert expected in str(caught.value)


def test_every_kind_has_checks_with_texts_and_options_that_are_read():
    for kind in KINDS:
        checks = checks_of(kind)
        assert list(checks)[-1] == GLOBALS
        assert len({each.invariant for each in checks.values()}) == len(checks)
        for each in checks.values():
            assert each.invariant.endswith((".", ":")), each.name
            assert each.kind == kind
        source = "".join(path.read_text() for path in (ROOT / "jvid/testing/checks").glob(f"{kind}*.py"))
        for name in options_of(kind):
            assert f'option("{name}")' in source, f"{kind} declares {name} and reads it nowhere"


def test_a_check_of_ones_own_runs_with_the_others():
    @checking.check("postprocessor")
    def doubles_nothing(subject, trial):
        """The sum does not double."""

        @trial.given(seed=strategies.seeds())
        def _(seed):
            x = trial.latents((1, 1, 1, 1, 1), seed)
            assert not torch.equal(subject(x.clone()), 2 * x)

    try:
        report = conforms("postprocessor", lambda x: 2 * x, only="doubles_nothing")
        assert report["doubles_nothing"].status == "failed"
        with pytest.raises(InputError, match="exists already"):
            checking.check("postprocessor")(doubles_nothing)
    finally:
        del CHECKS["postprocessor"]["doubles_nothing"]


def test_a_mutant_that_survives_and_a_check_without_one_are_reported():
    survivor = Mutant(
        "postprocessor", "harmless", "one_frame_stays", TemporalSmoothing, "Nothing is wrong with it."
    )
    with_it = copy.copy(mutants_of("postprocessor"))
    from tests.mutants import MUTANTS

    add(survivor)
    try:
        found = hunt(["postprocessor"], 12)
    finally:
        del MUTANTS["postprocessor"]["harmless"]
    assert list(found.survivors) == [survivor]
    assert not found.ok
    assert f"killed {len(with_it)} of {len(with_it) + 1} mutants" in str(found)
    assert "survivor: postprocessor harmless (one_frame_stays passed)" in str(found)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda: torch.rand(1), "torch's random generator"),
        (lambda: torch.set_default_dtype(torch.float64), "torch's default dtype"),
        (lambda: torch._C._set_grad_enabled(False), "torch's grad mode"),
        (lambda: __import__("random").random(), "Python's random generator"),
        (lambda: __import__("numpy").random.rand(), "numpy's random generator"),
    ],
)
def test_global_state_is_watched_and_put_back(change, name):
    before = torch.get_rng_state()
    seen = []
    with watched(seen.append):
        change()
    assert seen == [name]
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_close_fails_on_not_a_number_and_on_other_shapes():
    trial = Trial()
    one = torch.ones(2)
    with pytest.raises(AssertionError, match="nan apart"):
        trial.close(one * torch.nan, one, "it")
    with pytest.raises(AssertionError, match="nan apart"):
        trial.close(one, one * torch.nan, "it")
    with pytest.raises(AssertionError, match="shape"):
        trial.close(torch.ones(1), one, "it")
    trial.close(one + 1e-7, one, "it")
    with pytest.raises(AssertionError, match="bit for bit"):
        trial.same(one + 1e-7, one, "it")
    with pytest.raises(Skip, match="why"):
        trial.skip("why")


@given(data=st.data())
def test_the_strategies_draw_what_they_say(data):
    low, high = data.draw(st.sampled_from([(0.0, 1.0), (0.2, 0.9)]))
    shape = data.draw(strategies.shapes(frames=(1, 3)))
    assert len(shape) == 5
    assert shape[2] in (1, 3)
    assert low <= data.draw(strategies.times(low, high)) <= high
    assert 0.0 <= data.draw(strategies.uniforms()) < 1.0
    schedule = data.draw(strategies.schedules())
    level = data.draw(strategies.levels(schedule, low, high))
    assert level.alpha >= 0.0
    assert level.sigma >= 0.0
    grid = data.draw(strategies.grids(low=low, high=high))
    assert list(grid) == sorted(set(grid), reverse=True)
    assert len(data.draw(strategies.grids(3, 3, falling=False))) == 3
    weights = data.draw(strategies.weights(("a", "b", "c")))
    assert abs(sum(weights.values()) - 1.0) < 1e-9
    step = data.draw(strategies.steps(schedule, ("a", "b")))
    assert step.start.t > step.end.t
    assert 0 <= data.draw(strategies.indices(4)) < 4
    cond = data.draw(strategies.conditions(2, 3))
    assert len(cond["text"]) == 2


def test_the_decorator_makes_a_test_of_each_check(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import pytest\nfrom jvid import FlowMatching\nfrom jvid.testing import conformance\n"
        "from tests.jvid.testing.test_kit import Falls\n\n"
        "@pytest.fixture\ndef shift():\n    return 3.0\n\n"
        "@conformance('schedule')\ndef test_right(shift):\n    return FlowMatching(shift)\n\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "@conformance('schedule', only=['angle_never_falls', 'times_are_alone'],\n"
        "             expected_failures={'angle_never_falls': 'on purpose'})\n"
        "def test_wrong(n):\n    return Falls()\n\n"
        "@conformance('schedule', only=['angle_never_falls'])\ndef test_reported():\n    return Falls()\n"
    )
    done = fork(
        "-m", "pytest", "-q", "-rxf", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)
    )
    count = len(checks_of("schedule"))
    # Without a reference and ranges two checks are skipped.
    assert f"1 failed, {count} passed, 2 skipped, 2 xfailed" in done.stdout, done.stdout + done.stderr
    assert "on purpose" in done.stdout
    assert "test_reported[angle_never_falls]" in done.stdout
    assert 'conforms("schedule", subject, only="angle_never_falls"' in done.stdout


def test_outcomes_and_reports_are_values():
    outcome = Outcome("a", "passed")
    assert attrs.evolve(outcome) == outcome
    assert Report("schedule", "x", [outcome]).summary == "schedule x: 1 passed"
    assert conforms("schedule", TabulatedSchedule.cosine(), only=["times_are_alone"]).summary.endswith(
        "1 passed"
    )


def test_the_first_line_names_declared_switches():
    """Whoever reads a report sees that a wrapper was not compared with the denoiser inside."""

    def first_line(**switches):
        report = conforms("wrapper", Framewise, only="forwards_the_schedule", examples=1, **switches)
        return str(report).splitlines()[0]

    noted = "1 passed (declared, which changes what is checked: "
    assert first_line(identity=False).endswith(f"{noted}identity=False)")
    assert first_line(framewise=True, identity=False).endswith(f"{noted}identity=False, framewise=True)")
    assert first_line(identity=True).endswith("Framewise: 1 passed")
    assert first_line(window=8).endswith("Framewise: 1 passed")
