"""Weights of a subject, found among its attributes and altered in place, to see whether it still answers of the old ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["halved", "modules_of", "parameters_of"]

DEEPEST = 5


def parameters_of(subject: Any) -> list[torch.nn.Parameter]:
    """The floating parameters of all modules that a subject is, or has among its attributes."""
    parameters = (each for module in modules_of(subject) for each in module.parameters())
    return list({id(each): each for each in parameters if each.is_floating_point()}.values())


def modules_of(subject: Any) -> list[torch.nn.Module]:
    """The outermost modules that a subject is, or has among its attributes."""
    found: list[torch.nn.Module] = []
    seen: set[int] = set()

    def visit(value: Any, depth: int) -> None:
        if id(value) in seen or depth > DEEPEST:
            return
        seen.add(id(value))
        if isinstance(value, torch.nn.Module):
            found.append(value)
            return
        if isinstance(value, (list, tuple)):
            inner = list(value)
        elif isinstance(value, dict):
            inner = list(value.values())
        else:
            inner = [*vars(value).values()] if hasattr(value, "__dict__") else []
            slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
            inner += [getattr(value, name, None) for name in slots]
        for each in inner:
            if not isinstance(each, (str, bytes, int, float, torch.Tensor, type)):
                visit(each, depth + 1)

    visit(subject, 0)
    return found


def _slots(kind: type) -> tuple[str, ...]:
    slots = getattr(kind, "__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


@contextmanager
def halved(parameters: list[torch.nn.Parameter]) -> Iterator[None]:
    """Half of each weight within the block, then what it was, bit for bit; through ``data``, which leaves no version behind."""
    kept = [each.data.clone() for each in parameters]  # half of a small weight in float16 is rounded
    altered: list[torch.nn.Parameter] = []
    try:
        for each in parameters:
            each.data.mul_(0.5)
            altered.append(each)
        yield
    finally:
        for each, before in zip(altered, kept, strict=False):
            each.data.copy_(before)
