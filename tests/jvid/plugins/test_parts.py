"""Options that are components themselves: what a factory's annotations say, and what is none of it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from jvid.core.protocols import Denoiser, NoiseSampler, Solver
from jvid.denoisers.corrected import Corrected
from jvid.denoisers.guided import Guided
from jvid.errors import InputError, UnknownNameError
from jvid.noise import MixedNoise, ScaledNoise
from jvid.plugins import builtins
from jvid.plugins.choice import Choice
from jvid.plugins.options import parameters
from jvid.plugins.parts import is_part, part_kind, read_tensor
from jvid.plugins.registry import Registry
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.testing import GaussianOracle

ORACLE = GaussianOracle(FlowMatching())


@pytest.fixture
def registry() -> Registry:
    made = Registry(entry_points=False)
    made.add(builtins, "builtin")
    return made


def factory(
    text: str, weaker: Denoiser | None, noise: NoiseSampler, mask: torch.Tensor, solver: Solver[Any],
    either: Denoiser | Solver[Any],
    written: "jvid.core.protocols.NoiseSchedule | None" = None, free=0,  # noqa: F821, UP037
) -> None: ...  # fmt: skip


def test_an_annotation_names_the_kind() -> None:
    kinds = {name: part_kind(parameter) for name, parameter in parameters(factory).items()}
    assert kinds == {
        "text": None, "weaker": "denoiser", "noise": "noise", "mask": "tensor", "solver": "solver", "either": None,
        "written": "schedule", "free": None,
    }  # fmt: skip
    evaluated = inspect.Parameter("a", inspect.Parameter.KEYWORD_ONLY, annotation=NoiseSampler | None)
    assert part_kind(evaluated) == "noise"


def test_what_names_a_component_is_text_a_choice_or_a_mapping() -> None:
    assert all(map(is_part, ["mixed", Choice("mixed"), {"name": "mixed"}]))
    assert not any(map(is_part, [MixedNoise(1.0), 3, None, {"options": {}}, ["mixed"]]))


@pytest.mark.parametrize(
    "inner",
    [
        "mixed:alpha=1",
        Choice("mixed", {"alpha": 1}),
        {"name": "mixed", "options": {"alpha": 1}},
        MixedNoise(1.0),
    ],
)
def test_a_part_is_built_or_passed_on(registry: Registry, inner: Any) -> None:
    assert registry.load("noise", "scaled", gamma=0.5, inner=inner) == ScaledNoise(MixedNoise(1.0), 0.5)


def test_parts_are_built_for_wrappers_and_denoisers(registry: Registry) -> None:
    denoiser = registry.load("denoiser", "gaussian", schedule="flow-matching:shift=3")
    assert denoiser == GaussianOracle(FlowMatching(3.0))
    corrected = registry.wrap(Choice.parse("corrected:postprocessor=(temporal:threshold=3)"), ORACLE)
    assert isinstance(corrected, Corrected)
    assert (corrected.denoiser, corrected.postprocessor) == (ORACLE, TemporalSmoothing(3.0))
    assert (
        registry.load("schedule", "zero-terminal-snr", of="cosine")
        == TabulatedSchedule.cosine().zero_terminal_snr()
    )


def test_a_denoiser_of_a_wrapper_is_another_expert(registry: Registry) -> None:
    others = {"early": GaussianOracle(FlowMatching(), std=2.0)}
    guided = registry.wrap(Choice.parse("guided:scale=2,against=early"), ORACLE, others.__getitem__)
    assert isinstance(guided, Guided)
    assert guided.against is others["early"]
    # A choice is a denoiser of the registry, which no expert need be.
    built = registry.wrap(
        Choice.parse("guided:scale=2,against=(gaussian:schedule=flow-matching)"), ORACLE, others.__getitem__
    )
    assert built.against == ORACLE
    with pytest.raises(
        InputError, match="wrapper 'guided' got 'denoiser' among its options: it is the expert's"
    ):
        registry.wrap(Choice("guided", {"denoiser": "early"}), ORACLE)


@pytest.mark.parametrize(
    ("attempt", "kind", "words"),
    [
        (lambda r: r.load("noise", "scaled", gamma=1, inner="mixd"), UnknownNameError, "noise 'scaled': unknown noise 'mixd'"),
        (lambda r: r.load("noise", "scaled", gamma=1, inner="mixed:beta=1"), InputError,
         "noise 'scaled': noise 'mixed' has no option 'beta'"),
        (lambda r: r.load("noise", "scaled", gamma=1, inner={"name": "mixed", "optoins": {}}), InputError,
         "noise 'scaled': unknown key 'optoins'"),
        (lambda r: r.build("grid", Choice("leading", {"steps": 3}), steps=4), InputError,
         "grid 'leading' got 'steps' among its options: it is set elsewhere"),
        (lambda r: r.check("solver", Choice("ddim", {"et": 1})), InputError, "solver 'ddim' has no option 'et'"),
        (lambda r: r.check("solver", Choice("dim")), UnknownNameError, "unknown solver 'dim'"),
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_is_one_line(
    registry: Registry, attempt: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        attempt(registry)
    assert "\n" not in str(caught.value)


def test_tensors_are_read_from_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_file({"mask": torch.ones(1, 2, dtype=torch.float16)}, one)
    save_file({"mask": torch.zeros(1, 2), "latents": torch.ones(1, 2)}, two)
    assert torch.equal(read_tensor(str(one), "mask"), torch.ones(1, 2))
    assert read_tensor(one, "mask").dtype == torch.float32
    assert torch.equal(read_tensor(f"{two}#latents", "latents"), torch.ones(1, 2))
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 40)
    for path, words in (
        (str(two), r"latents=.*two.safetensors' holds latents, mask: expected .*#NAME of one of them"),
        (f"{two}#noise", "has no tensor 'noise': expected one of latents, mask"),
        (
            str(tmp_path / "no.safetensors"),
            "No such file or directory.*; expected a safetensors file of one tensor",
        ),
        (str(tmp_path / "bad.safetensors"), "expected a safetensors file of one tensor"),
        (str(tmp_path), "expected a safetensors file of one tensor"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read_tensor(path, "latents")
        assert "\n" not in str(caught.value)
