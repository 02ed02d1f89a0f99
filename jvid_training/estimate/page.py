"""An estimate as text and as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from jvid.machine.memory import format_bytes
from jvid_training.estimate.dry_run import DryRun
from jvid_training.estimate.estimate import Estimate
from jvid_training.estimate.memory import DeviceMemory

__all__ = ["lines_of", "plain"]

_UNITS = {"image": "frames", "video": "clips", "decoder": "clips", "autoencoder": "frames"}
_PRECISION = {"no": "float32", "bf16": "bf16", "fp16": "fp16"}
_COLUMNS = ("weights", "gradients", "exchange", "moments", "average", "activations", "peak")
_MEMORY = "memory of a device"


def lines_of(estimate: Estimate) -> Iterator[str]:
    """The lines of an estimate."""
    training, cost = estimate.recipe.training, estimate.cost
    size = training.batch // estimate.parts
    yield f"{'parameters':<20}{estimate.trained:,} trained, {estimate.fixed:,} fixed"
    if estimate.unused:
        yield f"{'':<20}{len(estimate.unused)} tensors get no gradient, such as {estimate.unused[0]}"
    unit = _UNITS[estimate.recipe.kind]
    yield (
        f"{'a step':<20}{training.batch} {unit}: {estimate.processes} x {training.accumulate} parts of {size} "
        f"(processes x accumulate), {_PRECISION[training.precision]}"
    )
    if estimate.buckets:
        yield (
            f"{'buckets':<20}{len(estimate.buckets)}, the largest of {estimate.buckets[0]} (height x width x frames): operations "
            "are their mean, memory is the largest one's"
        )
    yield (
        f"{'operations':<20}{operations(estimate.step)} a step: forward {operations(estimate.parts * cost.forward)}, "
        f"backward {operations(estimate.parts * cost.backward)}; {operations(estimate.run)} in {training.steps:,} steps"
    )
    yield f"{_MEMORY:<20}" + "".join(f"{name:>13}" for name in _COLUMNS)
    if estimate.other is None:
        yield _row("", estimate.memory)
    else:
        for name, needed in _memories(estimate).items():
            yield _row("  layers kept" if name == "plain" else f"  {name}", needed)
        share = 100 * estimate.again / (estimate.step - (estimate.again if training.checkpointing else 0))
        yield f"{'':<20}checkpointing computes {share:.0f} % more"
    yield f"{'GPU-hours':<20}{_whose_time(estimate)}"
    for hours in estimate.hours:
        peak = hours.gpu.peak(training.precision) / 1e12
        memory = f"{hours.gpu.memory // 10**9} GB"
        if hours.hours is None:
            yield f"{'  ' + hours.gpu.name:<20}no {_PRECISION[training.precision]}"
            continue
        fits = "fit in" if hours.fits else "do not fit in"
        rate = f"{peak:g} TFLOPS in {_PRECISION[training.precision]}"
        each = f" ({duration(hours.hours / estimate.processes)} each)" if estimate.processes > 1 else ""
        held = f"{format_bytes(estimate.memory.peak)} {fits} {memory}"
        yield f"{'  ' + hours.gpu.name:<20}{duration(hours.hours):>13}{each}   {rate}; {held}"
    for sentence in estimate.assumed:
        yield f"{'assumed':<20}{sentence}"


def _whose_time(estimate: Estimate) -> str:
    """What the hours below are of: how many GPUs, which steps, at which share of the peak."""
    alone = estimate.processes == 1
    who = "one GPU of each model needs" if alone else f"{estimate.processes} GPUs of each model need together"
    share = f"{100 * estimate.utilisation:g} % of {'its' if alone else 'their'} peak rate"
    steps = estimate.recipe.training.steps
    return f"that {who} for all {steps:,} steps, at {share} (--utilisation {estimate.utilisation:g})"


def _memories(estimate: Estimate) -> dict[str, DeviceMemory | None]:
    """Memory of a device without and with layers computed again; None where the network cannot."""
    own, other = estimate.memory, estimate.other
    plain, again = (other, own) if estimate.recipe.training.checkpointing else (own, other)
    return {"plain": plain, "checkpointing": again}


def _row(name: str, memory: DeviceMemory | None) -> str:
    values = (getattr(memory, column) for column in _COLUMNS)
    return f"{name:<20}" + "".join(f"{format_bytes(value) if value else '-':>13}" for value in values)


def operations(count: float) -> str:
    """Operations for people: ``3.1 TFLOPs``."""
    for unit, size in (("Z", 1e21), ("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9)):
        if count >= size:
            return f"{count / size:.3g} {unit}FLOPs"
    return f"{count / 1e6:.3g} MFLOPs"


def duration(hours: float) -> str:
    """Hours for people: three digits, in minutes and seconds below one; ``< 1 ms`` below a millisecond."""
    if hours >= 1:
        return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"
    if 60 * hours >= 1:
        return f"{60 * hours:.3g} min"
    return f"{3600 * hours:.3g} s" if 3600 * hours >= 1e-3 else "< 1 ms"


def plain(run: DryRun) -> dict[str, Any]:
    """A dry run as values of JSON; bytes, operations and hours are numbers."""
    estimate = run.estimate
    training = estimate.recipe.training
    return {
        "name": estimate.recipe.name,
        "kind": estimate.recipe.kind,
        "ready": run.problem is None,
        "problem": run.problem,
        "parameters": {"trained": estimate.trained, "fixed": estimate.fixed, "unused": list(estimate.unused)},
        "steps": training.steps,
        "samples_per_step": training.batch,
        "processes": estimate.processes,
        "accumulate": training.accumulate,
        "precision": training.precision,
        "checkpointing": training.checkpointing,
        "buckets": [attrs.asdict(bucket) for bucket in estimate.buckets],
        "batch": {name: list(shape) for name, shape in estimate.batch.items()},
        "flops": {
            "forward": estimate.parts * estimate.cost.forward,
            "backward": estimate.parts * estimate.cost.backward,
            "step": estimate.step,
            "checkpointing_adds": estimate.again,
            "run": estimate.run,
        },
        "memory": {
            name: None if memory is None else attrs.asdict(memory)
            for name, memory in _memories(estimate).items()
        },
        "utilisation": estimate.utilisation,
        "gpus": {
            hours.gpu.name: {
                "hours": hours.hours,
                "peak_tflops": hours.gpu.peak(training.precision) / 1e12,
                "memory": hours.gpu.memory,
                "fits": hours.fits,
                "source": hours.gpu.source,
            }
            for hours in estimate.hours
        },
        "assumed": list(estimate.assumed),
    }
