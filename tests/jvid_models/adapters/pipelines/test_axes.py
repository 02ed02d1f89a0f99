"""Views that are found in tables of indices, against torch's own reshape and permute."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange

from jvid_models.adapters.pipelines.axes import strides_of
from jvid_models.adapters.pipelines.fields import base_for, digits, numbered, positions

PATTERNS = {
    "as it is": ("b c f h w", "b c f h w", {}),
    "tokens": ("b c f h w", "b (f h w) c", {}),
    "two by two": ("b c f (h p) (w q)", "b (f h w) (c p q)", {"p": 2, "q": 2}),
    "other order": ("b c f (h p) (w q)", "b (f h w) (p q c)", {"p": 2, "q": 2}),
    "rows of frames": ("b c f h w", "(b f) c h w", {}),
    "channels last": ("b c f h w", "b f h w c", {}),
    "patches in time": ("b c (f r) (h p) (w q)", "b (f h w) (c r p q)", {"r": 2, "p": 2, "q": 2}),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_reshape_and_permutation_is_found_and_undone(pattern):
    clip, packed, sizes = PATTERNS[pattern]
    x = torch.randn(2, 3, 4, 6, 8)
    tokens = rearrange(x, f"{clip} -> {packed}", **sizes)
    known = {"f": 4 // sizes.get("r", 1), "h": 6 // sizes.get("p", 1), "w": 8 // sizes.get("q", 1), **sizes}
    if "(b f)" in packed:
        known["b"] = 2
    index = rearrange(torch.arange(x.numel()).reshape(tokens.shape), f"{packed} -> {clip}", **known)
    found = strides_of(index)
    assert found is not None
    torch.testing.assert_close(found.gather(tokens), x, rtol=0, atol=0)
    assert found.gather(tokens).is_contiguous()
    # A gather of a view that is not contiguous is the same, and a scatter undoes it.
    torch.testing.assert_close(found.gather(torch.stack([tokens, tokens], -1)[..., 0]), x, rtol=0, atol=0)
    into = torch.zeros_like(tokens).contiguous()
    found.scatter(x, into)
    torch.testing.assert_close(into, tokens, rtol=0, atol=0)


def test_tokens_of_channels_are_a_transposed_matrix_in_each_row():
    """Large ones, which are copied row by row."""
    x = torch.randn(2, 64, 3, 5, 7)
    tokens = rearrange(x, "b c f h w -> b (f h w) c").contiguous()
    index = rearrange(torch.arange(x.numel()), "(b f h w c) -> b c f h w", b=2, c=64, f=3, h=5)
    found = strides_of(index)
    assert found is not None
    assert (found.sizes, found.strides) == ((2, 64, 105), (64 * 105, 1, 64))
    torch.testing.assert_close(found.gather(tokens), x, rtol=0, atol=0)
    assert found.gather(tokens).is_contiguous()


def test_a_part_of_a_tensor_is_found_with_its_beginning():
    index = torch.arange(2 * 3 * 5).reshape(2, 3, 5)[:, 1:, 2:]
    found = strides_of(index)
    assert found is not None
    values = torch.randn(2, 3, 5)
    torch.testing.assert_close(found.gather(values), values[:, 1:, 2:], rtol=0, atol=0)


def test_what_is_no_permutation_of_axes_is_not_found():
    index = torch.arange(24).reshape(2, 12)
    swapped = index.clone()
    swapped[1, 3], swapped[1, 4] = index[1, 4], index[1, 3]
    assert strides_of(index) is not None
    assert strides_of(swapped) is None
    assert strides_of(torch.tensor([[0, 1, 2, 4, 3]])) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_survive_an_affine_map_in_a_half_precision(dtype):
    shape = (3, 50, 41)
    base = base_for([dtype])
    order = torch.randperm(3 * 50 * 41, generator=torch.Generator().manual_seed(0))
    scale, shift = torch.tensor(5.4900, dtype=dtype), torch.tensor(-1.7, dtype=dtype)

    def seen(field):
        return (field.to(dtype).flatten()[order] * scale + shift).float()

    zeros, ones = seen(torch.zeros(shape)), seen(torch.ones(shape))
    count = digits(order.numel(), base)
    index, depends = positions(
        zeros, ones - zeros, [seen(numbered(shape, k, base)) for k in range(count)], base
    )
    assert depends.all()
    assert torch.equal(index, order)
    mixed = [seen(numbered(shape, k, base)) for k in range(count)]
    mixed[0] = mixed[0].lerp(mixed[0].roll(1), 0.5)
    assert positions(zeros, ones - zeros, mixed, base) is None
