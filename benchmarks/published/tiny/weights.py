"""Random weights with which every input matters.

Networks of diffusers are initialized so that training starts well: last layers and gates are zero, so that the
output depends on nothing. Here each parameter is drawn by its name and shape, so that a part of the same names and
shapes is equal in every pipeline; a second network of one class in a pipeline differs from the first:

* a matrix or a kernel with n inputs: N(0, 1 / n), so that values keep their size from layer to layer;
* the scale of a normalization: N(1, 0.1²); a bias: N(0, 0.05²);
* a table of embeddings or of modulations: N(0, 1 / width);
* the last layer of a decoder: a fifth of that, so that few pixels are cut off;
* statistics of a latent space that are kept as buffers: means N(0, 0.3²), deviations between 0.7 and 1.3.
"""

from __future__ import annotations

import re
import zlib

import torch
from torch import Tensor, nn


def _normal(like: Tensor, path: str, seed: int) -> Tensor:
    # torch's generator reads 32 bits of its seed.
    generator = torch.Generator().manual_seed(zlib.crc32(path.encode(), seed))
    return torch.randn(like.shape, generator=generator)


LAST = re.compile(r"\bdecoder\.(conv|proj)_out\b")


def _deviation(parameter: Tensor, path: str) -> float:
    """One over the root of the number of inputs; a table (1, rows, width) has ``width`` of them."""
    table = parameter.ndim == 3 and parameter.shape[0] == 1
    inputs = max(1, parameter.shape[-1] if table else parameter[0].numel())
    return inputs**-0.5 * (0.2 if LAST.search(path) else 1)


@torch.no_grad()
def draw(network: nn.Module, seed: int = 0, number: int = 0) -> None:
    """Draw all parameters and statistics of a network in place, the ``number``-th of its class in a pipeline."""
    prefix = str(number) if number else ""
    for path, parameter in network.named_parameters(prefix):
        if not parameter.is_floating_point():
            continue
        normal = _normal(parameter, path, seed)
        if parameter.ndim > 1:
            parameter.copy_(_deviation(parameter, path) * normal)
        elif path.endswith("bias"):
            parameter.copy_(0.05 * normal)
        else:
            parameter.copy_(1 + 0.1 * normal)
    for path, buffer in network.named_buffers(prefix):
        name = path.rpartition(".")[2]
        if name in ("latents_mean", "running_mean"):
            buffer.copy_(0.3 * _normal(buffer, path, seed))
        elif name in ("latents_std", "running_var"):
            buffer.copy_(1 + 0.3 * _normal(buffer, path, seed).tanh())
