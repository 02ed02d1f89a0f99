"""``jvid check``: a component by name against the checks of its kind, its options, and what is wrong on the command line."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jvid.cli import main
from jvid.denoisers.windowed import Windowed
from jvid.plugins import hookimpl
from jvid.plugins.registry import Registry, using
from jvid.schedules import TabulatedSchedule
from jvid.testing.checking import KINDS, checks_of
from jvid.testing.oracles import GaussianOracle
from tests.installed import run


class Flat(GaussianOracle):
    """Forgets to keep the dtype."""

    def __call__(self, x, t, cond):
        return super().__call__(x, t, cond).float()


class Parts:
    @hookimpl
    def jvid_register(self, register):
        from jvid.schedules import FlowMatching

        register.denoiser("flat", lambda std=1.0: Flat(FlowMatching(), std=std))
        register.denoiser("right", lambda std=1.0: GaussianOracle(FlowMatching(), std=std))
        register.wrapper("windowed", "jvid.denoisers.windowed:Windowed")
        register.wrapper("known", "jvid.denoisers.known:Known")
        register.schedule("cosine", "jvid.schedules:TabulatedSchedule.cosine")
        register.schedule("linear", lambda slope=1.0: FlowMatching())
        register.reference("schedule", "linear", lambda t, slope=1.0: (1 - slope * t, slope * t))


@pytest.fixture(autouse=True)
def registry():
    made = Registry(entry_points=False)
    made.add(Parts(), "mine")
    with using(made):
        yield


def stated(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["check", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_what_conforms_exits_with_0(capsys):
    code, out, err = stated(capsys, "denoiser", "right:std=.5", "--examples", "3")
    assert (code, err) == (0, "")
    assert out.startswith(
        "denoiser GaussianOracle(schedule=FlowMatching(shift=1.0), mean=0.0, std=0.5): 13 passed, 9 skip"
    )
    for name in checks_of("denoiser"):
        assert f"\n  {name} " in out


def test_what_does_not_exits_with_1_and_states_how_to_run_it_again(capsys):
    code, out, err = stated(capsys, "denoiser", "flat", "--examples", "3")
    assert (code, err) == (1, "")
    assert "shape_and_dtype_kept           failed     torch.float32 for x in torch.float64" in out
    assert 'conforms("denoiser", subject, only="shape_and_dtype_kept", at=dict(' in out


def test_a_failure_may_be_expected(capsys):
    # As its predictions are float32, what compares bit for bit in double fails with it.
    code, out, _ = stated(capsys, "denoiser", "flat", "--only", "shape_and_dtype_kept", "--expect",
                        "shape_and_dtype_kept=float32 alone")  # fmt: skip
    assert code == 0
    assert "expected failure  float32 alone" in out
    code, out, _ = stated(capsys, "denoiser", "right", "--only", "shape_and_dtype_kept", "--expect",
                        "shape_and_dtype_kept=float32 alone")  # fmt: skip
    assert code == 1
    assert "unexpected pass" in out


def test_sizes_and_options_are_given_by_name(capsys):
    code, out, _ = stated(capsys, "wrapper", "windowed:size=4,stride=3", "--with", "window=4", "--with", "frames=1+4+9",
                        "--only", "long_clips_cost_in_proportion", "--only", "leaves_alone_what_agrees")  # fmt: skip
    assert code == 0
    assert out.startswith("wrapper Windowed(size=4, stride=3): 2 passed\n")
    code, out, _ = stated(capsys, "wrapper", "windowed:size=5,stride=3", "--with", "window=4",
                        "--only", "long_clips_cost_in_proportion")  # fmt: skip
    assert code == 1
    assert "it evaluates 5 frames at once: expected at most 4" in out


def test_kinds_and_checks_are_listed(capsys):
    code, out, _ = stated(capsys)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(KINDS)
    code, out, _ = stated(capsys, "grid")
    assert code == 0
    for each in checks_of("grid").values():
        assert f"{each.name}\n    {each.invariant}\n" in out
    assert "rising=False" in out


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["nothing", "x"], "no checks for 'nothing': expected one of schedule, "),
        (["denoiser", "nothing"], "unknown denoiser 'nothing': expected one of flat, right"),
        (["denoiser", "right:std=-1"], "std"),
        (["denoiser", "right", "--only", "nothing"], "has no check 'nothing'"),
        (["denoiser", "right", "--expect", "shape_and_dtype_kept"], "expected CHECK=REASON"),
        (["denoiser", "right", "--with", "frames"], "expected name=value"),
        (["denoiser", "right", "--with", "depth=3"], "without an option 'depth'"),
        (["sampler", "mine"], "a sampler has no name"),
        (["wrapper", "known"], "missing a required argument: 'mask'"),
    ],
)
def test_bad_input_is_one_line(capsys, words, printed):
    code, out, err = stated(capsys, *words)
    assert (code, out) == (2, "")
    assert printed in err
    assert err.count("\n") == 1


def test_help_is_light():
    done = run(
        "-c",
        "import sys; from jvid.cli import main; main(['check', '--help']); print('torch' in sys.modules)",
    )
    assert done.stdout.endswith("False\n"), done.stdout + done.stderr


def test_the_kit_keeps_generators_as_they_were(capsys):
    before = torch.get_rng_state()
    stated(capsys, "schedule", "cosine", "--examples", "2")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_wrong_option_of_a_wrapper_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And not the failure of every check; an option of the kind that is no truth value is refused too."""
    for words in (["windowed:size=4,stride=9"], ["windowed:size=4", "--with", "identity=no"]):
        assert main(["check", "wrapper", *words, "--examples", "2"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_windows_of_any_size_have_a_stride() -> None:
    oracle = GaussianOracle(TabulatedSchedule.scaled_linear())
    assert [Windowed(oracle, size).stride for size in (1, 4, 8, 16)] == [1, 3, 6, 12]


def test_the_line_that_runs_an_example_again_can_be_pasted(capsys):
    """With the lines that the command prints below it: the same check fails again."""
    code, out, _ = stated(capsys, "schedule", "linear:slope=2.0", "--only", "as_referenced")
    assert code == 1
    lines = [line.strip() for line in out.splitlines()]
    place = lines.index("The lines that run an example again need these first:")
    (again,) = (line for line in lines[:place] if line.startswith("conforms("))
    names: dict[str, Any] = {}
    exec("\n".join(lines[place + 1 :]), names)
    report = eval(again, names)
    assert [each.check for each in report.outcomes if each.status == "failed"] == ["as_referenced"]


def test_what_conforms_prints_no_line_to_paste(capsys):
    _, out, _ = stated(capsys, "denoiser", "right", "--only", "shape_and_dtype_kept")
    assert "run an example again" not in out
