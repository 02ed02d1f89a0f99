"""Whatever raises or returns nonsense in the middle of a run is named, with its distribution, step and level."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from jvid.cli import main
from jvid.core import provenance
from jvid.core.protocols import Expert, Step
from jvid.core.provenance import annotate, annotation, origin
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.errors import InputError, NonFiniteError
from jvid.grids import Leading
from jvid.noise import IndependentNoise, ScaledNoise
from jvid.plugins.registry import using
from jvid.selectors import Always
from jvid.solvers import DDPM
from jvid.testing import GaussianOracle
from tests import toy
from tests.installed import lay_out
from tests.jvid.core.test_sampler import SD, SHAPE, Broken

WHERE = r"at step 6 of 10, t 0\.401 \(alpha 0\.\d+, sigma 0\.\d+\): "

SOURCE = """
import attrs
from jvid.schedules import TabulatedSchedule

@attrs.frozen
class Cartoon:
    schedule: object = TabulatedSchedule.scaled_linear()

    def __call__(self, x, t, cond):
        if t < 0.5:
            raise KeyError("colour")
        return x
"""


def alone(denoiser: Any, solver: Any = None, noise: Any = None, **options: Any) -> Sampler:
    return Sampler({"a": Expert(denoiser, noise)}, Always("a"), solver or DDPM(), Leading(10), **options)


def note_of(sampler: Sampler, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        sampler(SHAPE, seeds=[0])
    assert len(caught.value.__notes__) == 1
    return annotation(caught.value)


def matches(pattern: str, text: str) -> bool:
    import re

    return re.fullmatch(pattern, text) is not None


@pytest.fixture
def cartoon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A denoiser of a distribution that is laid out as an editable install: its files are not listed."""
    module = lay_out(tmp_path, "jvid-cartoon", SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module(module).Cartoon()
    sys.modules.pop(module)


def test_a_denoiser_keeps_its_error_and_its_distribution_is_named(cartoon: Any) -> None:
    note = note_of(alone(Framewise(cartoon)), KeyError)
    assert matches(rf"raised by expert 'a' {WHERE}Framewise > Cartoon of jvid-cartoon 1\.2", note)


def test_an_error_of_our_own_states_who_met_it() -> None:
    sampler = alone(Guided(GaussianOracle(SD)))
    with pytest.raises(InputError, match="null") as caught:
        sampler(SHAPE, seeds=[0])
    assert "Guided > GaussianOracle of jvid " in annotation(caught.value)
    assert "at step 1 of 10, t 0.901 " in annotation(caught.value)


@attrs.frozen
class Raises:
    """Raises in whatever role, late; ``solver`` gives it a solver's methods."""

    order: int = 1

    def init(self) -> None:
        return None

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        if step.index == 5:
            raise ZeroDivisionError("no")
        return denoise(x, step.start), None

    def __call__(self, *arguments: Any) -> Any:
        raise ZeroDivisionError("no")


@attrs.frozen
class Late:
    """A selector, or a noise sampler, that raises at the sixth step."""

    calls: list[int] = attrs.field(factory=list, eq=False)

    def __call__(self, first: Any, second: Any) -> Any:
        self.calls.append(1)
        if len(self.calls) == 6:
            raise ZeroDivisionError("no")
        return {"a": 1.0} if isinstance(first, Step) else second("z", first)


def test_each_component_is_named() -> None:
    oracle = GaussianOracle(SD)
    of = r"of module tests"
    cases: Mapping[str, tuple[Sampler, str]] = {
        "solver": (alone(oracle, Raises()), rf"raised by the solver {WHERE}Raises {of}"),
        "noise": (alone(oracle, noise=ScaledNoise(Late(), 1.0)),  # type: ignore[arg-type]
                  rf"raised by the noise of expert 'a' {WHERE}ScaledNoise > Late {of}"),
        "selector": (Sampler({"a": Expert(oracle)}, Late(), DDPM(), Leading(10)),
                     rf"raised by the selector at step 6 of 10, t 0\.401: Late {of}"),
        "postprocessor": (alone(oracle, postprocessors=[lambda x: x, Raises()]),
                          rf"raised by postprocessor 2 of 2: Raises {of}"),
        "initial noise": (alone(oracle, initial=Raises()), rf"raised by the initial noise: Raises {of}"),
    }  # fmt: skip
    for case, (sampler, pattern) in cases.items():
        note = note_of(sampler, ZeroDivisionError)
        assert matches(pattern, note), (case, note)


def test_a_run_that_succeeds_looks_up_no_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look reads the records of all installed packages."""

    def looked_up(root: str) -> str:
        raise AssertionError(f"the distribution of {root} is looked up, and nothing failed")

    monkeypatch.setattr(provenance, "_distribution", looked_up)
    sampler = alone(Framewise(GaussianOracle(SD)), noise=IndependentNoise(), postprocessors=[lambda x: x])
    assert sampler(SHAPE, seeds=[0]).shape == (1, *SHAPE)


def test_a_distribution_that_is_installed_later_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))

    class Painted:
        __module__ = "jvid_painted"

    assert origin(Painted()).endswith("Painted of module jvid_painted")
    lay_out(tmp_path, "jvid-painted", SOURCE)
    (tmp_path / "jvid_painted-1.2.dist-info/top_level.txt").write_text("jvid_painted")
    importlib.invalidate_caches()
    assert origin(Painted()).endswith("Painted of jvid-painted 1.2")


def test_a_solver_that_answers_an_error_with_another_is_to_blame_for_that() -> None:
    @attrs.frozen
    class Hides(Raises):
        def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
            try:
                return denoise(x, step.start), None
            except InputError as error:
                raise RuntimeError("hidden") from error

    def wrong(x: Tensor) -> Tensor:
        raise InputError("the cause")

    assert "raised by the solver" in note_of(alone(Broken(wrong), Hides()), RuntimeError)
    # What came back wrong from an expert is not the solver's.
    with pytest.raises(NonFiniteError) as caught:
        alone(Broken(lambda x: x * torch.nan))(SHAPE, seeds=[0])
    assert annotation(caught.value) == ""


@attrs.frozen
class Returns(Raises):
    """A solver that makes something else of its x at the sixth step."""

    wrong: Any = None

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
        x_0 = denoise(x, step.start)
        return (self.wrong(x_0) if step.index == 5 else x_0), None


@pytest.mark.parametrize(
    ("wrong", "kind", "output"),
    [
        (lambda x: x[:, :2], InputError, r"returned shape \(1, 2, 3, 2, 2\) in float32: expected x like its input"),
        (lambda x: x.double(), InputError, "in float64: expected x like its input, .* in float32"),
        (lambda x: None, InputError, "returned a value of type NoneType: expected x"),
        (lambda x: x / 0.0, NonFiniteError, "NaN or infinity for x, from predictions that were finite"),
    ],
)  # fmt: skip
def test_a_solver_that_returns_nonsense_is_named(wrong: Any, kind: type[Exception], output: str) -> None:
    with pytest.raises(kind, match=rf"solver Returns > <lambda> of module tests {WHERE[:-2]} .*{output}"):
        alone(GaussianOracle(SD), Returns(wrong=wrong))(SHAPE, seeds=[0])


def test_an_expert_or_noise_that_returns_no_tensor_is_named() -> None:
    with pytest.raises(InputError, match="expert 'a' at step 6 of 10 returned a value of type NoneType"):
        alone(Broken(lambda x: None))(SHAPE, seeds=[0])
    with pytest.raises(InputError, match="noise of expert 'a' has a value of type int"):
        alone(GaussianOracle(SD), noise=lambda shape, draw: 0)(SHAPE, seeds=[0])


def test_the_first_to_blame_stays_alone() -> None:
    error = ValueError("x")
    annotate(error, "expert 'a'", DDPM())
    annotate(error, "the solver", DDPM())
    assert error.__notes__ == [f"raised by expert 'a': {origin(DDPM())}"]
    assert origin(ScaledNoise(IndependentNoise(), 1.0)).startswith("ScaledNoise > IndependentNoise of jvid")


def test_the_command_line_reports_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fall(self: Any, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(toy.Conditional, "__call__", fall)
    with using(toy.toy_registry()):
        assert main(["sample", "a person waving", "-o", str(tmp_path / "a.png"), "--ensemble", "toy"]) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    assert line.startswith(
        "jvid: error: RuntimeError: out of memory; raised by expert 'video' at step 1 of 8, t 0.876 ("
    )
    assert line.endswith("Guided > Conditional of module tests")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_nobodys_component_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(toy, "encode", lambda prompts: 1 / 0)
    with using(toy.toy_registry()):
        assert main(["sample", "a person waving", "-o", "a.png", "--ensemble", "toy"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" in printed
    assert "ZeroDivisionError: division by zero" in printed
