"""Calls of modules without weights: their own code runs on shapes, and answers have the right form and arbitrary values.

    weight (no values) x given values   ->   a shape, by torch's FakeTensorMode: no memory, no arithmetic
    given values alone                   ->   computed: masks and lengths of tokens, times, positions

What a module returns to its pipeline gets normal values from a generator of its own, so that nothing vanishes or divides by 0.
Code that looks at a value which depends on weights, as a mixture of experts counts the tokens of each, runs twice, with zeros
and with ones in its place: where the forms of its answers differ, or it does not run with them, weights are needed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from jvid.errors import JvidError
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.replaced import replaced
from jvid_models.adapters.weightless import METHODS, NeedsWeights, is_weightless

__all__ = ["outlined"]

_NEED_VALUES = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException)


@contextmanager
def outlined(pipe: Any) -> Iterator[None]:
    """Within the block the modules of a pipeline that have no weights can be called, for the form of their answers.

    Raises:
        NeedsWeights: what the pipeline does depends on the values of weights; the message names the module.
    """
    modules = {name: module for name, module in modules_of(pipe).items() if is_weightless(module)}
    if not modules:
        yield
        return
    who, outlines = type(pipe).__name__, _Outlines()
    try:
        with ExitStack() as stack:
            for name, module in modules.items():
                stack.enter_context(outlines.weights(module))
                for each in module.modules():
                    methods = ("forward", *METHODS) if each is module else ("forward",)
                    stack.enter_context(replaced(each, **outlines.methods(each, methods, f"{who}'s {name}")))
            yield
    except _NEED_VALUES as error:
        raise NeedsWeights(f"{who} looks at values that depend on its weights") from error


class _Assumed(TorchDispatchMode):
    """Within it an operation that looks at values which are not there finds ``value`` in each place."""

    def __init__(self, value: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._value = value

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        try:
            return func(*args, **kwargs)
        except _NEED_VALUES:
            return func(*tree_map(self._assumed, args), **tree_map(self._assumed, kwargs))

    def _assumed(self, value: Any) -> Any:
        if not isinstance(value, FakeTensor):
            return value
        return torch.full(value.shape, self._value, dtype=value.dtype)


def _answer(who: str, own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The answer of a module's method on shapes; ``who``: names the module.

    Raises:
        NeedsWeights: its form depends on values.
    """
    try:
        return own(*args, **kwargs)
    except _NEED_VALUES as error:
        answers = []
        for value in (0, 1):
            with _Assumed(value):
                answers.append(own(*args, **kwargs))
        if _form(answers[0]) != _form(answers[1]):
            raise NeedsWeights.of(f"{who} answers in a form that depends on values", error) from error
        return answers[1]


def _form(answer: Any) -> Any:
    """Shapes and dtypes of the tensors of an answer, and where they are in it."""
    if type(answer).__module__.startswith("diffusers.") and not isinstance(answer, Mapping):  # a distribution
        answer = vars(answer)
    leaves, structure = tree_flatten(answer)
    return structure, [(each.shape, each.dtype) if isinstance(each, Tensor) else each for each in leaves]


class _Outlines:
    """The shapes of weights, and the answers of the modules that are called with them."""

    def __init__(self) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._draws = torch.Generator().manual_seed(0)
        self._inside = False

    @contextmanager
    def weights(self, module: nn.Module) -> Iterator[None]:
        """Within the block what has no values in a module has a shape on the CPU."""
        places: list[tuple[dict[str, Any], str, Tensor]] = [
            (group, name, value)
            for each in module.modules()
            for group in (each._parameters, each._buffers)
            for name, value in group.items()
            if value is not None and value.device.type == "meta"
        ]
        shapes = {id(value): self._shape(value) for _, _, value in places}
        for group, name, value in places:
            group[name] = shapes[id(value)]
        try:
            yield
        finally:
            for group, name, value in places:
                now = group[name]
                group[name] = value if now is None or now.dtype == value.dtype else value.to(now.dtype)

    def methods(self, module: nn.Module, names: Iterable[str], who: str) -> dict[str, Callable[..., Any]]:
        """Those methods of a module that it has."""
        kind: Any = type(module)
        own = {name: getattr(kind, name, None) for name in names}
        return {
            name: self._answering(who, MethodType(method, module))
            for name, method in own.items()
            if callable(method) and method is not nn.Module.forward
        }

    def _answering(self, who: str, own: Callable[..., Any]) -> Callable[..., Any]:
        """A module's method whose answer to its pipeline has values."""

        @functools.wraps(own)
        def called(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return own(*args, **kwargs)
            self._inside = True
            try:
                return self._valued(_answer(who, own, args, kwargs), {})
            except JvidError:
                raise
            except Exception as error:
                raise NeedsWeights.of(f"{who} does not run on shapes alone", error) from error
            finally:
                self._inside = False

        return called

    def _shape(self, value: Tensor) -> Tensor:
        with self._mode:
            shape = torch.empty(value.shape, dtype=value.dtype)
        return nn.Parameter(shape, value.requires_grad) if isinstance(value, nn.Parameter) else shape

    def _valued(self, found: Any, known: dict[int, Any]) -> Any:
        """An answer with values in the place of shapes; ``known`` are those of the same answer."""
        if id(found) not in known:
            known[id(found)] = self._new(found, known)
        return known[id(found)]

    def _new(self, found: Any, known: dict[int, Any]) -> Any:
        if isinstance(found, FakeTensor):
            if not found.is_floating_point():
                raise NeedsWeights(f"its answer is of {found.dtype}")
            return torch.randn(found.shape, generator=self._draws).to(found.dtype)
        if isinstance(found, Mapping):
            named: Any = copy.copy(found)
            for key, value in found.items():
                named[key] = self._valued(value, known)
            return named
        if isinstance(found, list | tuple):
            values = [self._valued(each, known) for each in found]
            return type(found)(*values) if hasattr(found, "_fields") else type(found)(values)
        if type(found).__module__.startswith("diffusers."):  # a distribution
            made = copy.copy(found)
            made.__dict__.update({key: self._valued(value, known) for key, value in vars(found).items()})
            return made
        return found
