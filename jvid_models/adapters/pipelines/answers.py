"""What a pipeline's encoders gave at the first call, for the calls that follow.

A pipeline encodes its prompts and pictures in each call, before its loop. An evaluation is one call: what the first one
encoded is found again by the method's name and how often it was called before, since all calls for one condition have the
same arguments. The latents that a pipeline prepares are replaced by those of the evaluation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines.loops import loop_of, preparing, priors_of

__all__ = ["Answers", "Inject", "kept_methods"]

Inject = Callable[[Tensor], Tensor]
"""Latents as a pipeline prepared them -> those that it continues with, of the same shape and dtype."""

_ENCODES = re.compile(
    r"_?(encode_\w+|prepare_(?!latents$)\w*(latents|image|images|embeds)\w*|get_(\w+_)?image_latents)"
)


def kept_methods(pipe: Any) -> tuple[str, ...]:
    """The methods of a pipeline that encode prompts, pictures and further latents, and the pipelines that it calls before."""
    kind, prepares = type(loop_of(pipe)), preparing(pipe)
    names = (name for name in dir(kind) if _ENCODES.fullmatch(name) and name != prepares)
    return (*priors_of(pipe), *(name for name in names if callable(getattr(kind, name))))


class Answers:
    """The answers of a pipeline's encoders under one condition.

    Args:
        names: the methods whose answers are kept.
        last: which call of the method that prepares latents, from 1, gives them; None is each.
        form: latents as a pipeline without ``prepare_latents`` takes them as an argument; None where it has one.
    """

    def __init__(self, names: tuple[str, ...], last: int | None = None, form: Tensor | None = None) -> None:
        self.names, self.last, self.form = names, last, form
        self._kept: dict[tuple[str, int], Any] = {}
        self._calls: Counter[str] = Counter()
        self._generators: tuple[torch.Generator, ...] = ()

    def methods(
        self, pipe: Any, inject: Inject, generators: Sequence[torch.Generator]
    ) -> dict[str, Callable[..., Any]]:
        """The methods of the pipeline with the loop, their answers kept, and the one that prepares latents, for one call of it.

        ``generators``: those of the call.
        """
        self._calls.clear()
        self._generators = (*generators, torch.default_generator)
        kept = {name: self._keeping(name, getattr(pipe, name)) for name in self.names if hasattr(pipe, name)}
        name = preparing(pipe)
        if name is None:
            return kept
        prepare = self._keeping(name, getattr(pipe, name))

        def prepare_latents(*args: Any, **kwargs: Any) -> Any:
            prepared = prepare(*args, **kwargs)
            if self.last is not None and self._calls[name] != self.last:
                return prepared  # those of a prior
            if isinstance(prepared, Tensor):
                return inject(prepared)
            if isinstance(prepared, tuple | list) and prepared and isinstance(prepared[0], Tensor):
                return type(prepared)([inject(prepared[0]), *prepared[1:]])
            raise InputError(
                f"{type(pipe).__name__}.{name} gave a {type(prepared).__name__}: expected latents, or them first"
            )

        return {**kept, name: prepare_latents}

    def priors(self, pipe: Any) -> dict[str, Callable[..., Any]]:
        """The pipelines that a combined one calls before its loop, with their answers kept."""
        found = {name: getattr(pipe, name) for name in priors_of(pipe)}
        return {name: self._keeping(name, prior) for name, prior in found.items()}

    def calls(self) -> Counter[str]:
        """How often each method was called so far in this call of the pipeline."""
        return Counter(self._calls)

    def _keeping(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            key = name, self._calls[name]
            self._calls[name] += 1
            if key not in self._kept:
                answer = method(*args, **kwargs)
                self._kept[key] = answer, [(each.device, each.get_state()) for each in self._generators]
            found, states = self._kept[key]
            # What is drawn behind it is drawn as it was, by generators of the same number and devices.
            if [each.device for each in self._generators] == [device for device, _ in states]:
                for generator, (_, state) in zip(self._generators, states, strict=True):
                    generator.set_state(state)
            return found

        return called
