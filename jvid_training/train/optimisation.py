"""AdamW, its learning rate over a run, and the precision that a processor can compute in."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from jvid.errors import JvidWarning
from jvid_training.recipe import Optimiser

__all__ = ["computable", "learning_rate", "optimizer_of"]


def learning_rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Warm-up, constant, and a linear fall to a fiftieth over the last ``decay`` of the run."""
    if step < optimiser.warmup:
        return optimiser.lr * (step + 1) / optimiser.warmup
    if not optimiser.decay:
        return optimiser.lr
    left = (steps - step) / max(optimiser.decay * steps, 1)
    return optimiser.lr * max(min(left, 1.0), 0.02)


def optimizer_of(optimiser: Optimiser, network: nn.Module) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained."""
    return torch.optim.AdamW(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        optimiser.lr,
        betas=optimiser.betas,
        eps=optimiser.eps,
        weight_decay=optimiser.weight_decay,
        fused=True,
    )


def computable(precision: str) -> str:
    """``precision``, or "no" with a warning where the CPU that trains has no instructions for it.

    Without them oneDNN emulates bf16: ten times slower a step. A GPU, and a torch without oneDNN, decide for themselves.
    """
    if precision == "no" or torch.accelerator.is_available() or not torch.backends.mkldnn.is_available():
        return precision
    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")
    if supported():
        return precision
    warnings.warn(
        f"training.precision {precision!r}: this processor has no instructions for it, float32 is used instead",
        JvidWarning,
        stacklevel=2,
    )
    return "no"
