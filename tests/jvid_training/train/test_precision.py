"""The scale of the loss in fp16: overflows are left out, and the scale is part of the state."""

from __future__ import annotations

import math

import pytest
import torch

from jvid_training.train.precision import Precision


def step(precision: Precision, optimizer: torch.optim.Optimizer, weight: torch.Tensor, factor: float) -> None:
    precision.backward((weight * factor).sum())
    precision.unscale(optimizer)
    precision.step(optimizer)
    optimizer.zero_grad()


def test_an_overflow_is_left_out_and_halves_the_scale() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    precision = Precision("fp16", torch.device("cpu"))
    scale = precision.state()["scale"]
    step(precision, optimizer, weight, 1.0)
    assert weight.tolist() == [0.5, 0.5], "gradients are those of the unscaled loss"
    step(precision, optimizer, weight, math.inf)
    assert weight.tolist() == [0.5, 0.5]
    assert precision.state()["scale"] == scale / 2
    resumed = Precision("fp16", torch.device("cpu"))
    resumed.load(precision.state())
    assert resumed.state() == precision.state()
    assert precision.can_overflow
    for _ in range(20):
        step(precision, optimizer, weight, math.inf)
    assert not precision.can_overflow, "the scale is below 1: it is no longer the cause"


@pytest.mark.parametrize(("name", "dtype"), [("no", torch.float32), ("bf16", torch.bfloat16)])
def test_other_precisions_have_no_scale(name: str, dtype: torch.dtype) -> None:
    precision = Precision(name, torch.device("cpu"))
    assert precision.state() == {}
    assert not precision.scaled
    precision.load({"scale": 2.0})
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
