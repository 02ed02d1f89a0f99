"""Weights that are altered within a block are afterwards what they were, bit for bit, whatever happens on the way."""

from __future__ import annotations

import pytest
import torch

from jvid.testing.altered import halved


def _parameter(*values: float, dtype: torch.dtype = torch.float32) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_small_weights_are_put_back_exactly(dtype: torch.dtype) -> None:
    least = torch.finfo(dtype).smallest_normal
    one = _parameter(1.0, least * 1.25, -least, least / 2, dtype=dtype)
    before = one.detach().clone()
    with halved([one]):
        assert one[0] == 0.5
    assert torch.equal(one, before)


def test_weights_are_put_back_where_the_block_raises() -> None:
    one = _parameter(3.0)
    with pytest.raises(ArithmeticError), halved([one]):
        raise ArithmeticError
    assert one.item() == 3.0


def test_what_was_not_halved_is_left_alone() -> None:
    one, three = _parameter(3.0), _parameter(5.0)
    two = torch.nn.Parameter(
        torch.ones(1).expand(2)
    )  # several elements in one place, which torch does not write on
    with pytest.raises(RuntimeError, match="single memory location"), halved([one, two, three]):
        raise AssertionError("the block is not reached")
    assert (one.item(), three.item()) == (3.0, 5.0)
