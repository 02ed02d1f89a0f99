"""`jvid train RECIPE --dry-run`: what it prints, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from jvid.cli import main
from jvid.errors import InputError
from jvid.machine.memory import format_bytes
from jvid_training.estimate.dry_run import dry_run
from jvid_training.estimate.estimate import Estimate
from jvid_training.estimate.gpus import GPUS, gpus_named
from jvid_training.estimate.page import lines_of
from jvid_training.recipe import Recipe, structure_recipe
from jvid_training.train.trainer import train
from tests.training_tools import document, prepare, write_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return prepare(tmp_path_factory.mktemp("encoded"), "image")


DRY_RUN = "jvid_training.estimate.dry_run"


def changed(recipe: Recipe, section: str = "training", **values: Any) -> Recipe:
    return attrs.evolve(recipe, **{section: attrs.evolve(getattr(recipe, section), **values)})


@pytest.fixture(scope="module")
def found(recipe: Recipe) -> Estimate:
    run = dry_run(recipe, gpus_named(["A100", "V100"]), 0.5)
    assert run.problem is None
    return run.estimate


def test_hours_follow_from_operations_and_the_peak(found: Estimate) -> None:
    assert found.step == found.cost.forward + found.cost.backward
    assert found.run == 4 * found.step
    a100, v100 = found.hours
    assert a100.hours == pytest.approx(found.run / (19.5e12 * 0.5) / 3600)
    assert v100.hours == pytest.approx(found.run / (15.7e12 * 0.5) / 3600)
    assert a100.fits
    assert found.batch["text"] == (4,), "rows of the table of prompts"
    assert found.assumed == ()


def test_what_is_fixed_is_known_without_data(recipe: Recipe, found: Estimate) -> None:
    fixed = changed(recipe, fixed=("down_blocks.*",))
    absent = dry_run(changed(fixed, "data", latents="absent"), gpus_named(["A100"]))
    assert absent.problem is not None
    assert absent.estimate.fixed == dry_run(fixed).estimate.fixed > 0
    assert absent.estimate.trained + absent.estimate.fixed == found.trained


def test_processes_and_parts_share_a_step(recipe: Recipe, found: Estimate) -> None:
    run = dry_run(changed(recipe, accumulate=2), gpus_named(["A100"]), 0.5, processes=2)
    shared = run.estimate
    assert run.problem is None
    assert shared.batch["x"][0] == 1
    assert shared.step == pytest.approx(found.step, rel=1e-6)
    assert shared.memory.exchange == shared.memory.gradients
    assert shared.cost.peak > shared.cost.gradients, "gradients of the first part are there in the second"


def test_the_hours_name_their_gpus_steps_and_share_of_the_peak(recipe: Recipe, found: Estimate) -> None:
    head = next(line for line in lines_of(found) if line.startswith("GPU-hours"))
    assert head.split(maxsplit=1)[1] == (
        "that one GPU of each model needs for all 4 steps, at 50 % of its peak rate (--utilisation 0.5)"
    )
    shared = dry_run(changed(recipe, accumulate=2), gpus_named(["A100"]), 0.25, processes=2).estimate
    assert (
        "GPU-hours           that 2 GPUs of each model need together for all 4 steps, at 25 % of their peak rate "
        "(--utilisation 0.25)"
    ) in lines_of(shared)
    row = next(line for line in lines_of(shared) if line.startswith("  A100"))
    peak = format_bytes(shared.memory.peak)
    assert row.endswith(f" each)   19.5 TFLOPS in float32; {peak} fit in 80 GB")


def test_a_precision_that_a_gpu_lacks_has_no_hours(recipe: Recipe, found: Estimate) -> None:
    run = dry_run(changed(recipe, precision="bf16"), gpus_named(["V100", "h100"])).estimate
    assert [hours.hours is None for hours in run.hours] == [True, False]
    assert any("V100" in line and "no bf16" in line for line in lines_of(run))
    assert run.memory.weights == found.memory.weights, "autocast keeps weights and gradients in float32"
    assert run.step == found.step


def test_gpus_are_named_in_any_spelling_and_have_figures() -> None:
    assert [gpu.name for gpu in gpus_named(["rtx 4090", "H100-pcie"])] == ["RTX4090", "H100-PCIe"]
    with pytest.raises(InputError, match=r"utilisation 0: expected a share"):
        dry_run(structure_recipe(document(Path())), utilisation=0.0)
    with pytest.raises(InputError, match=r"GPU 'TPU': expected one of V100, A100"):
        gpus_named(["TPU"])
    assert all(0 < gpu.fp32 < gpu.fp16 and gpu.source and gpu.bf16 in (0.0, gpu.fp16) for gpu in GPUS)


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a batch that parts do not divide": ("training", {"accumulate": 3}),
    "a file of weights that is absent": ("training", {"init": "absent.safetensors"}),
    "a pattern that names no parameter": ("training", {"fixed": ("absent.*",)}),
    "a tracker that is absent": ("training", {"trackers": ("mlflow",)}),
    "a tracker that is absent, before a batch": ("training", {"trackers": ("mlflow",), "accumulate": 3}),
    "actors that are absent, before a batch": ("training", {"leave_out": ("nobody",), "accumulate": 3}),
    "actors that are absent": ("training", {"leave_out": ("nobody",)}),
    "stills of a recipe of frames": ("training", {"stills": "stills"}),
    "latents that are absent": ("data", {"latents": "absent"}),
    "latents of other settings": ("data", {"fps": 25.0}),
    "a class that is absent": ("data", {"phrases": {"fly": "flying"}}),
    "a text encoder that is absent": ("text", {"name": "absent"}),
    "a schedule without timesteps": ("schedule", {"name": "flow-matching"}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_it_refuses_what_a_run_refuses_in_the_same_words(
    recipe: Recipe, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, values = WRONG[wrong]
    bad = attrs.evolve(changed(recipe, section, **values), out=str(tmp_path / "run"))
    with pytest.raises(Exception) as refused:  # noqa: PT011 - whatever it is, it has to be the same
        train(bad)
    monkeypatch.setattr(f"{DRY_RUN}.estimate", lambda *_: None)
    assert dry_run(bad).problem == str(refused.value)


def test_a_text_of_another_width_is_refused(recipe: Recipe) -> None:
    bad = attrs.evolve(recipe, network={**recipe.network, "text_width": 32})
    run = dry_run(bad, gpus_named(["A100"]))
    assert run.problem == "network.text_width: got 32, expected the text encoder's 16"


def test_data_that_are_not_there_leave_an_estimate(tmp_path: Path, found: Estimate) -> None:
    """Before a clip is encoded: a budget."""
    recipe = structure_recipe(document(tmp_path, "image"))
    run = dry_run(attrs.evolve(recipe, text=attrs.evolve(recipe.text, options={"tokens": 3})))
    assert run.problem is not None
    assert "run `jvid encode RECIPE` first" in run.problem
    assert run.estimate.step == found.step
    prompts = 1 + 2 * len(recipe.data.prefixes)
    table, rows = prompts * 3 * 16 * 4, 4 * 8
    assert found.cost.activations == run.estimate.cost.activations + table + rows
    # The peak is at the end of the backward pass, when the embeddings that were looked up are gone.
    assert found.cost.peak == run.estimate.cost.peak + table + rows - 4 * 3 * 16 * 4
    assert "prompts of 3 tokens" in run.estimate.assumed


def test_the_command_writes_nothing(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(recipe.data.latents).parent
    path = write_recipe(tmp_path / "recipe.toml", document(folder, "image"))
    before = sorted((each, each.stat().st_mtime_ns) for each in folder.rglob("*"))
    assert main(["train", str(path), "--dry-run", "--json", "--gpu", "H200", "--utilisation", "0.1"]) == 0
    assert sorted((each, each.stat().st_mtime_ns) for each in folder.rglob("*")) == before
    printed = json.loads(capsys.readouterr().out)
    assert printed["ready"] is True
    assert printed["samples_per_step"] == 4
    assert printed["gpus"]["H200"]["peak_tflops"] == 67.0
    assert printed["memory"]["checkpointing"]["activations"] < printed["memory"]["plain"]["activations"]
    assert printed["parameters"]["trained"] * 4 == printed["memory"]["plain"]["weights"]


def test_the_command_shows_a_problem_and_fails(
    recipe: Recipe,
    found: Estimate,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{DRY_RUN}.estimate", lambda *_: found)
    folder = Path(recipe.data.latents).parent
    bad = document(folder, "image", accumulate=3)
    assert main(["train", str(write_recipe(tmp_path / "bad.toml", bad)), "--dry-run"]) == 2
    shown = capsys.readouterr()
    assert "GPU-hours" in shown.out
    assert "training.batch: 4 cannot be shared by 1 processes of 3 parts" in shown.err
    assert main(["train", str(tmp_path / "bad.toml"), "--gpu", "A100"]) == 2
    assert "--gpu without --dry-run" in capsys.readouterr().err
