"""The limits of a report: seconds, calls of a network, and the device that tensors are on."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch

from jvid.cli import main
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.guided import guided
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.noise import IndependentNoise
from jvid.plugins import hookimpl
from jvid.plugins.registry import Registry, using
from jvid.postprocessors import UniformSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM, DDPM, DPMPP2M
from jvid.testing import GaussianOracle, conforms
from jvid.testing.checking import GLOBALS, checks_of
from jvid.testing.references import postprocessors, schedules
from jvid.testing.references.denoisers import gaussian
from tests.installed import fork
from tests.jvid.testing.elsewhere import second_device

FLOW = FlowMatching()
DATA = torch.randn(2, 2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()


def ticking(seconds):
    """A clock that moves on by so much at each look."""
    times = itertools.count(0, seconds)
    return lambda: float(next(times))


class Called:
    """The oracle, and how often it was called."""

    schedule = FLOW

    def __init__(self):
        self.calls = 0

    def __call__(self, x, t, cond):
        self.calls += 1
        return GaussianOracle(FLOW)(x, t, cond)


def skipped_by(report, limit):
    return [each.check for each in report.outcomes if each.limit == limit]


def test_checks_behind_the_time_limit_are_skipped_and_named():
    names = list(checks_of("schedule"))
    report = conforms("schedule", FLOW, examples=1, time_limit=25.0, clock=ticking(10.0))
    # The clock is read once to begin with, and before each check: at 10 and 20 s two of them begin.
    assert skipped_by(report, "time_limit") == [name for name in names[2:] if name != GLOBALS]
    assert report[names[2]].detail == "not started, time_limit=25 was reached before"
    assert f"left out by time_limit: {', '.join(names[2:-1])}" in str(report).splitlines()[0]
    assert report.ok
    assert not conforms("schedule", FLOW, only=names[:3], time_limit=25.0, clock=ticking(10.0)).ok


def test_without_a_limit_no_clock_is_read():
    conforms("schedule", FLOW, only="times_are_alone", examples=1, clock=ticking(0.0)).raise_for_failures()


@pytest.mark.parametrize("most", [7, 40, 180])
def test_calls_stay_within_their_number(most):
    subject = Called()
    report = conforms("denoiser", subject, max_calls=most, data=DATA)
    assert subject.calls <= most
    left_out = skipped_by(report, "max_calls")
    assert ("left out by max_calls: " + ", ".join(left_out) in report.summary) == bool(left_out)
    assert bool(left_out) == (most < 180)
    assert report.ok
    cut = [each for each in report.outcomes if "examples, by max_calls=" in each.detail]
    assert cut
    assert all(each.status == "passed" for each in cut)


def test_many_calls_change_nothing():
    one, two = (conforms("denoiser", Called(), examples=3, max_calls=most) for most in (None, 10_000))
    assert [(each.check, each.status, each.detail) for each in one.outcomes] == [
        (each.check, each.status, each.detail) for each in two.outcomes
    ]


class Single(Called):
    """Wrong: in float32 always."""

    def __call__(self, x, t, cond):
        return super().__call__(x, t, cond).float()


class Late(Called):
    """Wrong from the third call on."""

    def __call__(self, x, t, cond):
        return super().__call__(x, t, cond) + (self.calls > 2)


def test_a_fault_is_found_and_reproduces_on_few_calls():
    subject = Single()
    outcome = conforms("denoiser", subject, max_calls=60)["shape_and_dtype_kept"]
    assert subject.calls <= 60
    assert outcome.detail == "torch.float32 for torch.float64" or "for x in torch.float64" in outcome.detail
    again = eval(outcome.reproduce, {"conforms": conforms, "subject": Single()})
    assert again["shape_and_dtype_kept"].detail == outcome.detail
    late = conforms("denoiser", Late(), only="the_same_each_time", max_calls=12)["the_same_each_time"]
    assert late.status == "failed"


def test_options_are_varied_on_counted_calls():
    calls = []

    class Oracle(GaussianOracle):
        def __call__(self, x, t, cond):
            calls.append(1)
            return super().__call__(x, t, cond)

    report = conforms("denoiser", Oracle(FLOW), max_calls=140, ranges={"std": (0.5, 2.0)})
    assert report["holds_for_other_options"].status == "passed"
    assert 70 < len(calls) <= 140


@pytest.mark.parametrize("most", [20, 200])
def test_calls_of_a_samplers_experts_are_counted(most):
    subject = Called()
    sampler = Sampler({"a": Expert(subject)}, Always("a"), DDPM(), Leading(4))
    report = conforms("sampler", sampler, frames=2, max_calls=most)
    assert 0 < subject.calls <= most
    assert bool(skipped_by(report, "max_calls")) == (most == 20)
    assert report.ok


class Means:
    name, kind, fingerprint = "means", "clip", "1"

    def __init__(self):
        self.calls = 0

    def __call__(self, frames):
        self.calls += 1
        return frames.mean((1, 2, 3)).astype("float32")


def test_calls_of_feature_networks_are_counted():
    subject = Means()
    assert conforms("features", subject, max_calls=30).ok
    assert subject.calls <= 30


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: conforms("schedule", FLOW, max_calls=3), "schedule got max_calls=3: expected none, calls are"),
        (lambda: conforms("denoiser", Called(), max_calls=0), "max_calls=0: expected a whole number"),
        (lambda: conforms("denoiser", Called(), max_calls=2.5), "max_calls=2.5: expected a whole number"),
        (lambda: conforms("schedule", FLOW, time_limit=-1), "time_limit=-1: expected a number of seconds"),
        (lambda: conforms("schedule", FLOW, device="nowhere"), "device 'nowhere': "),
    ],
)  # fmt: skip
def test_wrong_limits_are_one_line(call, expected):
    with pytest.raises(InputError) as caught:
        call()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_tests_of_a_function_share_a_budget(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import pytest\nfrom jvid.testing import conformance\n"
        "from tests.jvid.testing.test_limits import Called, ticking\n\n"
        "made = [Called(), Called()]\n\n"
        "@pytest.mark.parametrize('n', [0, 1])\n"
        "@conformance('denoiser', max_calls=30)\ndef test_calls(n, request):\n    return made[n]\n\n"
        "def test_count():\n    assert all(15 < each.calls <= 30 for each in made)\n\n"
        "@conformance('denoiser', examples=1, time_limit=35.0, clock=ticking(10.0))\n"
        "def test_time():\n    return Called()\n"
    )
    done = fork(
        "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)
    )
    assert " failed" not in done.stdout, done.stdout + done.stderr
    count = len(checks_of("denoiser"))
    assert f"[{count - 4}] " in done.stdout.split("time_limit=35")[0].splitlines()[-1], done.stdout


def test_on_the_command_line(capsys):
    @hookimpl
    def jvid_register(register):
        register.denoiser("mine", lambda: GaussianOracle(FLOW), help="Exact.")

    registry = Registry(entry_points=False)
    registry.add(jvid_register, "mine")
    with using(registry):
        assert main(["check", "denoiser", "mine", "--max-calls", "9", "--device", "cpu"]) == 0
        assert "left out by max_calls: " in capsys.readouterr().out.splitlines()[0]
        assert main(["check", "denoiser", "mine", "--time-limit", "1e-9", "--examples", "1"]) == 0
        assert "left out by time_limit: " in capsys.readouterr().out.splitlines()[0]
        assert main(["check", "denoiser", "mine", "--device", "nowhere"]) == 2
        assert main(["check", "denoiser", "mine", "--time-limit", "0"]) == 2


def text(b, f):
    return {"text": torch.ones(b, 3, 2).double()}


OF_SOLVERS = ("dtype_and_shape_kept", "rises_from_the_clean_end", "tensors_unmutated", "a_memory_stays_valid")
OF_WRAPPERS = ("shape_and_dtype_kept", "clips_in_use_are_left_alone", "rows_in_any_order")
OF_NOISE = ("shape_and_dtype_kept", "made_of_draws_alone", "clips_are_independent")
OF_SAMPLERS = ("a_call_is_its_trace", "starts_from_what_is_given", "no_noise_twice")
CASES = [
    ("schedule", TabulatedSchedule.linear(T=50), {"reference": partial(schedules.linear, T=50)}),
    (
        "denoiser",
        GaussianOracle(FLOW),
        {"cond": text, "data": DATA, "reference": partial(gaussian, schedule=FLOW)},
    ),
    ("wrapper", guided, {"only": OF_WRAPPERS}),
    ("noise", IndependentNoise(), {"only": OF_NOISE}),
    ("postprocessor", UniformSmoothing(3), {"reference": postprocessors.uniform}),
    ("solver", DPMPP2M(), {"only": OF_SOLVERS}),
    ("solver", DDPM(), {"only": ("exact_where_x_0_is_known", "draws_are_named_and_used")}),
    (
        "sampler",
        Sampler({"a": Expert(Called(), IndependentNoise())}, Always("a"), DDPM(), Leading(3)),
        {"frames": 2, "only": OF_SAMPLERS},
    ),
]


@pytest.mark.parametrize(("kind", "subject", "context"), CASES, ids=lambda each: f"{each}"[:20])
def test_components_are_checked_on_another_device(kind, subject, context):
    with second_device() as device:
        conforms(kind, subject, examples=1, device=device, **context).raise_for_failures()


class MaskOfTheCPU(Called):
    """Wrong: it makes a tensor on the CPU."""

    def __call__(self, x, t, cond):
        return super().__call__(x, t, cond) * torch.ones(x.shape[-1])


class BackOnTheCPU(Called):
    """Wrong: what it returns is on the CPU."""

    def __call__(self, x, t, cond):
        return super().__call__(x, t, cond).cpu()


class StepOfTheCPU(DDIM):
    """Wrong: it computes on the CPU, and leaves x there."""

    def step(self, x, step, denoise, noise, memory):
        out, memory = super().step(x, step, denoise, noise, memory)
        return out.cpu(), memory


@pytest.mark.parametrize(
    ("kind", "make", "check", "expected"),
    [
        ("denoiser", MaskOfTheCPU, "shape_and_dtype_kept", "tensors on two devices: mul"),
        ("denoiser", BackOnTheCPU, "shape_and_dtype_kept", "on cpu for x on privateuseone"),
        ("solver", StepOfTheCPU, "dtype_and_shape_kept", "x on privateuseone came back on cpu"),
    ],
)
def test_what_is_on_the_wrong_device_is_reported(kind, make, check, expected):
    with second_device() as device:
        found = conforms(kind, make(), only=check, examples=1, device=device)[check]
    assert found.status == "failed"
    assert expected in found.detail
    assert "device='privateuseone'" in found.reproduce
    assert conforms(kind, make(), only=check, examples=1)[check].status == "passed"
