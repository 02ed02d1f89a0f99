"""Weights that change places: their values, edits and order of copies, with another tensor on the CPU in a GPU's place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from jvid.errors import InputError
from jvid.machine.managed import arrive, managed, place_of, units_of
from jvid.machine.on_demand import on_demand
from jvid.machine.residence import Residence
from jvid.machine.transfers import Transfers

CPU = torch.device("cpu")


class Order:
    """Streams that note what is done in which order."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    @contextmanager
    def beside(self) -> Iterator[None]:
        self.done.append("own stream waits for the computation")
        yield
        self.done.append("copied")

    def event(self, ahead: bool) -> Any:
        self.done.append(("event", ahead))
        return len(self.done)

    def wait(self, event: Any) -> None:
        self.done.append(("wait", event))


def layer() -> nn.Linear:
    return nn.Linear(3, 2)


def transfers(module: nn.Module, streams: Order | None = None) -> Transfers:
    return Transfers({"one": list(module.parameters())}, CPU, streams)


def test_weights_are_copies_while_they_are_there_and_the_hosts_own_behind() -> None:
    module = layer()
    home, values = module.weight.data_ptr(), module.weight.detach().clone()
    made = transfers(module)
    made.fetch("one")
    assert module.weight.data_ptr() != home
    assert torch.equal(module.weight, values)
    made.drop("one")
    assert module.weight.data_ptr() == home
    assert torch.equal(module.weight, values)


def test_weights_that_came_in_inference_mode_can_be_edited_behind_it() -> None:
    module = layer()
    made = transfers(module)
    with torch.inference_mode():  # as clips are decoded
        made.fetch("one")
        module(torch.ones(3))
    with torch.no_grad():
        module.weight.zero_()
    made.drop("one")
    module(torch.ones(3)).sum().backward()
    assert module.weight.grad is not None
    assert not module.weight.any()


def test_edits_are_kept_on_the_host_and_on_the_device() -> None:
    module = layer()
    made = transfers(module)
    module.weight.data = torch.full((2, 3), 2.0)  # as a LoRA that is fused
    made.fetch("one")
    with torch.no_grad():
        assert torch.equal(module.weight, torch.full((2, 3), 2.0))
        module.weight.add_(1.0)
    made.drop("one")
    assert torch.equal(module.weight, torch.full((2, 3), 3.0))


def test_the_computation_waits_for_a_copy_that_was_ahead_also_where_nobody_called_it() -> None:
    order = Order()
    made = transfers(layer(), order)
    made.fetch("one", ahead=True)
    assert order.done == ["own stream waits for the computation", "copied", ("event", True)]
    made.wait("one")
    made.wait("one")
    assert order.done[3:] == [("wait", 3)]
    made.drop("one")
    made.fetch("one", ahead=True)
    made.drop("one")  # its memory is free only behind the copy
    assert order.done[-1] == ("wait", 7)


def test_modules_that_share_weights_are_one_unit() -> None:
    one, other, third = layer(), layer(), layer()
    both = nn.Sequential(one, other)
    units = units_of({"one": one, "third": third, "both": both, "none": nn.ReLU()})
    assert {unit.name: set(unit.modules) for unit in units} == {"one": {one, both}, "third": {third}}
    assert {unit.name: unit.size for unit in units} == {"one": 64, "third": 32}
    third.weight = one.weight
    (unit,) = units_of({"a": one, "b": third})
    assert unit.size == 4 * (6 + 2 + 2)


def test_calls_are_preceded_and_forwards_put_back() -> None:
    module = layer()
    calls: list[str] = []
    module.forward = module.forward  # one that was put there before
    before = module.__dict__["forward"]
    units = units_of({"m": module})
    with managed(units, CPU, calls.append):
        module(torch.ones(3))
        arrive(module)
        place = place_of(module)
        assert place is not None
        assert place.device == CPU
        with pytest.raises(InputError, match="m is offloaded already"):
            managed(units, CPU, calls.append).__enter__()
    assert calls == ["m", "m"]
    assert module.__dict__["forward"] is before
    assert place_of(module) is None
    arrive(module)
    assert len(calls) == 2


def test_an_error_inside_takes_all_modules_back() -> None:
    one, other = layer(), layer()
    homes = [one.weight.data_ptr(), other.weight.data_ptr()]
    units = units_of({"one": one, "other": other})
    made = Residence(
        {unit.name: unit.size for unit in units}, Transfers({u.name: u.tensors for u in units}, CPU)
    )

    def run() -> None:
        try:
            with managed(units, CPU, made.call):
                made.follow([["one", "other"]], None)
                made.begin(0)
                other(one(torch.ones(3))[:1].expand(3))
                assert made.present == ("one", "other")
                assert one.weight.data_ptr() not in homes
                raise ValueError("in the middle")
        finally:
            made.clear()

    with pytest.raises(ValueError, match="in the middle"):
        run()
    assert [one.weight.data_ptr(), other.weight.data_ptr()] == homes
    assert "forward" not in one.__dict__


def test_on_the_cpu_nothing_is_moved_and_all_is_recorded() -> None:
    one, other = layer(), layer()
    homes = [one.weight.data_ptr(), other.weight.data_ptr()]
    with on_demand({"one": one, "other": other}, "cpu") as residence:
        one(torch.ones(3))
        other(torch.ones(3))
        assert [one.weight.data_ptr(), other.weight.data_ptr()] == homes
        assert residence.present == ("other",)
    assert [(move.unit, move.into) for move in residence.moves] == [
        ("one", True), ("one", False), ("other", True), ("other", False)
    ]  # fmt: skip
