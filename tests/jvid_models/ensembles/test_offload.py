"""Experts that are moved by the plan: recorded on the CPU, where the clips are the same bit for bit in each mode."""

from __future__ import annotations

import copy
import io
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

import jvid
from benchmarks.published import tiny
from jvid.cli import main
from jvid.errors import InputError
from jvid.machine.managed import Unit, managed, place_of, units_of
from jvid.pipeline.batches import Batching
from jvid.pipeline.make import decoded, make
from jvid.pipeline.offload import Offload
from jvid.pipeline.record import Clip
from jvid.pipeline.weights import Weights
from jvid.views.memory_table import MemoryRow, memory_table, peaks_line
from jvid_models.adapters.movable import is_movable
from jvid_models.adapters.pipelines.placement import placed
from jvid_models.ensembles.pipelines import pipeline_ensemble
from jvid_training.generation import ClipSet

VIDEO, TWO = "TextToVideoSDPipeline", "WanPipeline:2.2"
HIGH, LOW = "high.transformer", "low.transformer"
STEPS = 4


@cache
def built(name: str) -> tuple[Any, dict[str, Any]]:
    made = tiny.build(name)
    return made.pipe, {k: v for k, v in made.arguments.items() if k not in ("prompt", "num_inference_steps")}


@cache
def ensemble(name: str) -> jvid.Ensemble:
    pipe, arguments = built(name)
    native = name != TWO  # of which test_native.py has jvid's adapter
    return pipeline_ensemble(pipe, untested=True, native=native, **arguments)


def strategy(**changes: Any) -> jvid.Strategy:
    return attrs.evolve(ensemble(TWO).strategy, **{"steps": STEPS, **changes})


def sampled(
    mode: Any, used: jvid.Strategy, room: int | None = None, clips: int = 1
) -> tuple[Tensor, Tensor, Offload]:
    models = ensemble(TWO)
    with Offload(jvid.Composition(used, models), mode, room=room) as offload:
        made = make(
            models, used, [Clip("a cat", seed) for seed in range(clips)], Batching(1), offload=offload
        )
        (pixels,) = decoded(models, made.latents[:1])
    return made.latents, pixels, offload


def steps_of(offload: Offload, unit: str) -> list[tuple[int, bool]]:
    return [(move.step, move.into) for move in offload.moves if move.unit == unit and move.step >= 0]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(jvid.Composition(strategy(), ensemble(TWO)))


@cache
def plain(used: str) -> tuple[Tensor, Tensor]:
    latents, pixels, offload = sampled("none", strategy(**json.loads(used)), clips=2)
    assert not offload.is_active
    return latents, pixels


def test_parts_of_two_experts_are_known_once(weights: Weights) -> None:
    pipe, _ = built(TWO)
    assert set(weights.modules) == {HIGH, LOW, "high.text_encoder", "high.vae"}
    assert weights.modules[LOW] is pipe.transformer_2
    assert weights.sizes[HIGH] == sum(
        tensor.nbytes for tensor in (*pipe.transformer.parameters(), *pipe.transformer.buffers())
    )
    assert weights.encoders == {"high": ("high.text_encoder",), "low": ("high.text_encoder",)}


def test_under_a_boundary_the_peak_is_one_experts(weights: Weights) -> None:
    # First, for it calls each network once to learn how the pipeline calls it, and that is no move of a run's.
    expected = plain("{}")
    latents, pixels, offload = sampled("plan", strategy(), clips=2)
    assert torch.equal(latents, expected[0])
    assert torch.equal(pixels, expected[1])
    # Two clips, one after the other: four steps each, the first two of them at high noise.
    assert steps_of(offload, HIGH) == [(0, True), (2, False), (4, True), (5, False)]
    assert steps_of(offload, LOW) == [(2, True), (4, False), (6, True), (7, False)]
    assert offload.peak == max(weights.sizes.values()) < sum(weights.sizes.values())
    assert all(place_of(module) is None for module in weights.modules.values())


class Spoiled:
    """A mover that spoils weights while they are away, so that whoever uses them then is seen."""

    def __init__(self, units: tuple[Unit, ...], device: torch.device) -> None:
        self.units = {unit.name: [t for t in unit.tensors if isinstance(t, nn.Parameter)] for unit in units}
        self.homes: dict[str, list[Tensor]] = {}
        for unit in self.units:
            self.drop(unit)

    def fetch(self, unit: str, ahead: bool) -> None:
        for weight, home in zip(self.units[unit], self.homes[unit], strict=True):
            weight.data = home

    def wait(self, unit: str) -> None: ...

    def drop(self, unit: str) -> None:
        self.homes[unit] = [weight.data for weight in self.units[unit]]
        for weight in self.units[unit]:
            weight.data = torch.full_like(weight.data, math.nan)


@pytest.mark.parametrize("mode", ["plan", "sequential"])
def test_nothing_uses_weights_that_are_away(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = plain("{}")
    movers: list[Spoiled] = []
    monkeypatch.setattr(
        "jvid.machine.on_demand._transfers", lambda *given: movers.append(Spoiled(*given)) or movers[-1]
    )
    try:
        latents, pixels, _ = sampled(mode, strategy())
    finally:
        (mover,) = movers
        for unit in mover.units:
            mover.fetch(unit, False)
    assert torch.equal(latents, expected[0][:1])
    assert torch.equal(pixels, expected[1])


def test_experts_that_take_turns_stay_where_there_is_room(weights: Weights) -> None:
    used = {"selector": "cycle:experts=high+low"}
    expected, _ = plain(json.dumps(used))
    both = weights.bytes_of([HIGH, LOW])
    latents, _, offload = sampled("plan", strategy(**used), room=both)
    assert torch.equal(latents, expected[:1])
    assert steps_of(offload, HIGH) == [(0, True), (2, False)]
    latents, _, offload = sampled("sequential", strategy(**used))
    assert torch.equal(latents, expected[:1])
    assert steps_of(offload, LOW) == [(1, True), (2, False), (3, True), (3, False)]
    assert offload.peak == max(weights.sizes.values())


def test_peaks_are_found_without_a_run(weights: Weights) -> None:
    used = strategy()
    models = ensemble(TWO)
    composition = jvid.Composition(used, models)
    plan = composition.plan()
    uses = weights.uses(plan, models.shape[1])
    assert uses == [{HIGH}, {HIGH}, {LOW}, {LOW}]
    for mode in ("plan", "sequential"):
        assert weights.peak(plan, uses, mode, weights.room(uses, "cpu")) == sampled(mode, used)[2].peak
    assert weights.peak(plan, uses, "none") == sum(weights.sizes.values())


def test_an_error_in_the_middle_releases_everything() -> None:
    models, used = ensemble(TWO), strategy()

    def fail(done: int, total: int, state: Any) -> None:
        if done == 2:
            raise KeyboardInterrupt

    offload = Offload(jvid.Composition(used, models), "plan")
    with pytest.raises(KeyboardInterrupt), offload:
        make(models, used, [Clip("a cat", 0)], offload=offload, advance=fail)
    pipe, _ = built(TWO)
    modules = [part for part in pipe.components.values() if isinstance(part, nn.Module)]
    assert all("forward" not in part.__dict__ and "_hf_hook" not in part.__dict__ for part in modules)
    assert sum(move.into for move in offload.moves) == sum(not move.into for move in offload.moves) > 0


def test_hooks_and_quantised_weights_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.hooks import CpuOffload, add_hook_to_module

    pipe, _ = built(TWO)
    grouped, hooked, quantised = (copy.deepcopy(pipe.transformer) for _ in range(3))
    assert is_movable(grouped)
    grouped.enable_group_offload(torch.device("cpu"), offload_type="leaf_level")
    assert not is_movable(grouped)
    add_hook_to_module(hooked, CpuOffload("cpu"))
    assert not is_movable(hooked)
    quantised.proj_out.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    assert not is_movable(quantised)
    monkeypatch.setattr(pipe.text_encoder, "hf_quantizer", object(), raising=False)
    left = Weights(jvid.Composition(strategy(), ensemble(TWO)))
    assert set(left.modules) == {HIGH, LOW, "high.vae"}


def test_jvids_own_adapter_moves_too() -> None:
    models = ensemble(VIDEO)
    used = attrs.evolve(models.strategy, steps=2)
    clips = [Clip("a cat", 0)]
    with Offload(jvid.Composition(used, models), "sequential") as offload:
        made = make(models, used, clips, offload=offload)
    assert torch.equal(made.latents, make(models, used, clips).latents)
    assert steps_of(offload, "video.unet") == [(0, True), (1, False)]


def test_a_pipeline_computes_where_its_modules_are_moved_to() -> None:
    """A second device is named, so that what a pipeline reads of its modules' own device is seen."""
    pipe, _ = built(TWO)
    calls: list[str] = []
    units = units_of({"vae": pipe.vae, "text": pipe.text_encoder})
    with managed(units, torch.device("meta"), calls.append), placed(pipe):
        assert pipe._execution_device == torch.device("meta")
        assert pipe.vae.device == torch.device("cpu")
        pipe.vae.decode(torch.zeros(1, pipe.vae.config.z_dim, 1, 2, 2))
    assert calls[0] == "vae"
    assert pipe._execution_device == torch.device("cpu")
    assert not {"_hf_hook", "decode", "forward"} & set(pipe.vae.__dict__)


def test_the_table_of_memory() -> None:
    rows = [MemoryRow("high", 28_600_000_000, 11_400_000_000), MemoryRow("low", 28_600_000, 0)]
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(memory_table(rows))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert lines[1:] == [
        ["high", "28.6", "GB", "11.4", "GB"], ["low", "28.6", "MB", "-"], ["in", "all", "28.6", "GB", "11.4", "GB"]
    ]  # fmt: skip
    assert peaks_line({"none": 1500, "plan": 10}) == "weights at once: none 1.5 kB, plan 0.1 kB"


def test_wrong_modes_are_one_line() -> None:
    with pytest.raises(InputError, match="offload 'all': expected plan, none or sequential"):
        Offload(jvid.Composition(strategy(), ensemble(TWO)), "all")


def test_on_the_command_line(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    pipe, arguments = built(TWO)
    pipe.save_pretrained("wan")
    options = ",".join(f"{key}={value}" for key, value in {**arguments, "untested": "true"}.items())
    words = ["--ensemble", f"wan:{options}", "--steps", "2"]
    from safetensors.torch import load_file

    assert main(["sample", "a cat", *words, "--offload", "plan", "-o", "plan.safetensors"]) == 0
    (latents,) = load_file("plan.safetensors").values()
    two = make(ensemble(TWO), strategy(steps=2), [Clip("a cat", 0)])
    # Weights of a file lie elsewhere in memory, which may change last bits.
    torch.testing.assert_close(latents.reshape(two.latents.shape), two.latents, rtol=0, atol=1e-5)
    capsys.readouterr()
    assert main(["plan", *words, "--time", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["seconds"] > 0.0
    assert values["memory"]["experts"]["high"]["networks"] == weights.sizes[HIGH]
    assert values["memory"]["experts"]["low"]["encoders"] == 0  # it has the other's
    assert values["memory"]["at_once"] == {
        "none": sum(weights.sizes.values()),
        "plan": max(weights.sizes.values()),
        "sequential": max(weights.sizes.values()),
    }
    assert main(["sample", "a cat", *words, "--offload", "all", "-o", "c.safetensors"]) == 2
    assert "--offload 'all': expected plan, none or sequential" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that name a pipeline's folder, which is in the working one."""
    monkeypatch.chdir(tmp_path)
    pipe, arguments = built(TWO)
    pipe.save_pretrained("wan")
    options = ",".join(f"{key}={value}" for key, value in arguments.items())
    return ["--ensemble", f"wan:{options}", "--steps", "4"]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Offload]:
    """The offloads whose blocks ended."""
    found: list[Offload] = []
    leave = Offload.__exit__

    def watch(self: Offload, *error: Any) -> None:
        leave(self, *error)
        found.append(self)

    monkeypatch.setattr(Offload, "__exit__", watch)
    return found


def test_sets_are_generated_by_the_plan(folder: list[str], ended: list[Offload], capsys: Any) -> None:
    words = ["generate", *folder, "--num", "2", "--batch", "2", "--micro-batch", "1", "--prompt", "a cat"]
    assert main([*words, "--out", "plain"]) == 0
    assert main([*words, "--out", "plan", "--offload", "plan"]) == 0
    plain, plan = (ClipSet.open(name) for name in ("plain", "plan"))
    assert [each.mode for each in ended] == ["none", "plan"]
    assert ended[0].moves == ()
    # Each clip is a run of its own: the expert for high noise goes before the other comes, twice.
    assert steps_of(ended[1], HIGH) == [(0, True), (1, False)] * 2
    assert [step for step, into in steps_of(ended[1], LOW) if into] == [2, 2]
    for one, other in zip(plain.latents_batches(), plan.latents_batches(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    # The same set, whatever moves its weights.
    assert main([*words, "--out", "plan", "--offload", "sequential"]) == 0
    assert main([*words, "--out", "none", "--offload", "all"]) == 2
    assert "--offload 'all': expected plan, none or sequential" in capsys.readouterr().err
    assert not Path("none").exists()


def test_strategies_are_compared_by_their_plans(folder: list[str], ended: list[Offload], capsys: Any) -> None:
    words = ["compare", "a cat", *folder, "-o", "all.png"]
    assert main([*words, "--offload", "sequential"]) == 0
    assert [each.mode for each in ended] == ["sequential"] * 3
    called = [{move.unit for move in each.moves if move.unit in (HIGH, LOW)} for each in ended]
    assert called == [{HIGH}, {LOW}, {HIGH, LOW}]  # each alone, and both
    assert main([*words, "--offload", "all"]) == 2
    assert "--offload 'all': expected plan, none or sequential" in capsys.readouterr().err
