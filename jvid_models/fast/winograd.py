"""Convolutions of three taps by minimal filtering (Winograd 1980; Lavin and Gray, arXiv 1509.09308): fewer products.

Four neighbouring outputs of a filter g of 3 taps read six inputs d. With polynomials evaluated at the six points
p = 0, 5/8, -5/8, 3/2, -3/2, infinity, E_k (6, k) the powers p^0 .. p^(k-1), and the convolution's interpolation transposed,

    y = E_4^T [ (E_3 g) * (E_6^-T d) ]                 6 products for 12

which is exact in real arithmetic. In two dimensions it is used along both: 36 products for 144. Each of the 36 places
is a matrix product over channels, of all tiles of the images at once:

    V = B d B^T  (36, tiles, c_in)     M = V U  (36, tiles, c_out)     y = A M A^T,    U = G g G^T  (36, c_in, c_out)

A tile at an edge reads padding, which is zero: those columns of B drop out, and rows of A behind the last output.
The points are those of the smallest error among symmetric ones of few bits (in float32 about five times a direct
convolution's; the usual 0, 1, -1, 2, -2 give twice that, and larger tiles five times).
"""

from __future__ import annotations

from functools import lru_cache

import attrs
import torch
from torch import Tensor, nn

__all__ = ["filter_frames", "filter_images", "frames_pay", "images_pay", "of_frames", "of_images"]

TILE = 4
POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
TAPS = len(POINTS) + 1
GROUP = 2
"""Tiles side by side that are transformed at once: more waste products with zeros, fewer are smaller calls."""
CHANNELS = 96
"""Fewest for which it pays, as measured at 64, 96 and 128."""
ROWS = 128
"""Tiles of all images that are transformed at once, for each thread: what fits into a processor's caches."""


def _powers(k: int) -> Tensor:
    points = torch.tensor(POINTS, dtype=torch.float64)
    return torch.cat([points[:, None] ** torch.arange(k), torch.eye(k, dtype=torch.float64)[-1:]])


@lru_cache
def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """A (4, 6), G (6, 3) and B (6, 6)."""
    return _powers(TILE).T, _powers(3), torch.linalg.inv(_powers(TAPS)).T


@attrs.frozen(eq=False)
class _Span:
    """Some tiles side by side: which inputs they read, which outputs they make, and their transforms.

    ``before`` is (6 tiles, inputs), ``after`` (outputs, 6 tiles); the place of 6 is the slower index.
    """

    reads: slice
    makes: slice
    tiles: int
    before: Tensor
    after: Tensor


@lru_cache(maxsize=256)
def _spans(size: int, group: int, dtype: torch.dtype) -> tuple[_Span, ...]:
    A, _, B = _transforms()
    spans = []
    for start in range(0, size, TILE * group):
        end = min(size, start + TILE * group)
        first, last = max(0, start - 1), min(size, end + 1)
        tiles = -(-(end - start) // TILE)
        before = torch.zeros(TAPS, tiles, last - first, dtype=torch.float64)
        after = torch.zeros(end - start, TAPS, tiles, dtype=torch.float64)
        for tile in range(tiles):
            at = start + TILE * tile
            low, high = max(first, at - 1), min(last, at + TILE + 1)
            before[:, tile, low - first : high - first] = B[:, low - at + 1 : high - at + 1]
            made = min(end, at + TILE) - at
            after[at - start : at - start + made, :, tile] = A[:made]
        matrices = (before.flatten(0, 1).to(dtype), after.flatten(1).to(dtype))
        spans.append(_Span(slice(first, last), slice(start, end), tiles, *matrices))
    return tuple(spans)


def of_images(weight: Tensor) -> Tensor:
    """U ``(36, c_in, c_out)`` of ``(c_out, c_in, 3, 3)``, made in float64."""
    G = _transforms()[1]
    return torch.einsum("ap,bq,oipq->abio", G, G, weight.double()).flatten(0, 1).to(weight.dtype)


def of_frames(weight: Tensor) -> Tensor:
    """U ``(6, c_in, c_out)`` of ``(c_out, c_in, 3)``, made in float64."""
    return torch.stack([(weight.double() @ row).T for row in _transforms()[1]]).to(weight.dtype)


def filter_images(x: Tensor, U: Tensor, bias: Tensor | None) -> Tensor:
    """The 3x3 convolution, padded by 1, of x ``(n, c_in, h, w)`` -> ``(n, c_out, h, w)``, channels last."""
    n, c_in, h, w = x.shape
    c_out = U.shape[-1]
    out = x.new_empty(n, h, w, c_out)
    columns = _spans(w, GROUP, x.dtype)
    images = max(1, ROWS * torch.get_num_threads() // columns[0].tiles)
    places = (TAPS * TAPS, -1)
    for part, into in zip(x.split(images), out.split(images), strict=True):
        n = len(part)
        for row in _spans(h, 1, x.dtype):
            d = part[:, :, row.reads].permute(2, 3, 0, 1).reshape(len(row.before[0]), -1)  # (rows, w n c_in)
            half = torch.mm(row.before, d).view(TAPS, w, n * c_in)
            for column in columns:
                V = torch.bmm(column.before.expand(TAPS, -1, -1), half[:, column.reads])
                M = torch.bmm(V.view(*places, c_in), U)
                y = torch.mm(row.after, M.view(TAPS, -1)).view(-1, TAPS * column.tiles, n * c_out)
                y = torch.bmm(column.after.expand(len(y), -1, -1), y).view(len(y), -1, n, c_out)
                target = into[:, row.makes, column.makes]
                if bias is None:
                    target.copy_(y.permute(2, 0, 1, 3))
                else:
                    torch.add(y.permute(2, 0, 1, 3), bias, out=target)
    return out.permute(0, 3, 1, 2)


def filter_frames(x: Tensor, U: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of 3 frames, padded by 1, of x ``(n, f, s, c_in)``, contiguous -> ``(n, f, s, c_out)``."""
    n, f, s, c_in = x.shape
    c_out = U.shape[-1]
    out = x.new_empty(n, f, s, c_out)
    spans = _spans(f, 1, x.dtype)
    V, M = x.new_empty(TAPS, len(spans), s * c_in), None
    for clip, into in zip(x.flatten(2), out.flatten(2), strict=True):
        for i, span in enumerate(spans):
            torch.mm(span.before, clip[span.reads], out=V[:, i])
        M = torch.bmm(V.view(TAPS, -1, c_in), U, **({} if M is None else {"out": M}))
        made = M.view(TAPS, len(spans), s * c_out)
        for i, span in enumerate(spans):
            torch.mm(span.after, made[:, i], out=into[span.makes])
    return out if bias is None else out.add_(bias)


def images_pay(conv: nn.Conv2d) -> bool:
    """Whether a 3x3 convolution is faster so: with few channels the transforms take what the products save."""
    return min(conv.in_channels, conv.out_channels) >= CHANNELS


def frames_pay(conv: nn.Conv3d, x: Tensor) -> bool:
    """As `images_pay`, over frames of x ``(n, c, f, h, w)``: where channels lie last, and need not be moved."""
    return min(conv.in_channels, conv.out_channels) >= CHANNELS and _channels_last(x)


def _channels_last(x: Tensor) -> bool:
    return x.permute(0, 2, 3, 4, 1).is_contiguous()
