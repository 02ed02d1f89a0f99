"""A pipeline's networks, recorded once and replayed where their answer does not matter.

What a pipeline does with latents around its networks is learned without evaluating them: the first turn of its loop calls them,
the others get the same answers again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from jvid_models.adapters.pipelines.replaced import replaced

__all__ = ["PipelineNetworks", "hooked_in", "modules_of"]


_SWITCHES = (int, float, str)  # bool is an int


def modules_of(pipe: Any) -> dict[str, nn.Module]:
    """The modules of a pipeline by the names of its components."""
    return {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}


def hooked_in(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules in these, each once, that have hooks of diffusers or accelerate.

    An evaluation looks for them in thousands of modules. ``modules()`` makes names of all, and ``hasattr`` an error of each.
    """
    found: list[nn.Module] = []
    seen: set[nn.Module] = set()
    waiting: list[nn.Module | None] = []
    waiting += reversed([*modules])
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.add(each)
        values = each.__dict__
        if "_diffusers_hook" in values or "_hf_hook" in values:
            found.append(each)
        waiting += reversed(values["_modules"].values())
    return found


class PipelineNetworks:
    """The answers of the modules that a pipeline calls within its loop.

    Modules that are called before the first ``turned`` alone are no networks, and are always called themselves.

    Attributes:
        names: the components that were called in the loop.
        inputs: of the latest turn: each call's component, and what it was given, by position and by name.
        live: whether they are called where they would be replayed.
        replayable: whether their answers are all that the pipeline has of them; else they are called each time.
        factor: of the answers that are replayed.
    """

    def __init__(self, pipe: Any) -> None:
        self._modules = modules_of(pipe)
        self._recorded: dict[tuple[str, int], Any] = {}
        self._calls: Counter[str] = Counter()
        self._turned = False
        self._replays = False
        self.live, self.replayable = False, True
        self.factor = 1.0
        self.names: set[str] = set()
        self.inputs: list[tuple[str, Any]] = []

    def turned(self) -> None:
        """The loop begins its next turn."""
        self._calls.clear()
        self._turned = True
        self.inputs = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Within the block the first turn calls the networks and records them; later ones replay."""
        with self._patched(replays=False):
            yield
        self._recorded = {key: value for key, value in self._recorded.items() if key[0] in self.names}

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Within the block no network is called, unless ``live`` is set."""
        try:
            with self._patched(replays=True):
                yield
        finally:
            self.live, self.factor = False, 1.0

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put the attention processors of networks that are not replayable back behind the block: a pipeline reads theirs."""
        has: list[Any] = [each for each in self._modules.values() if hasattr(each, "set_attn_processor")]
        before = [] if self.replayable else [(each, dict(each.attn_processors)) for each in has]
        try:
            yield
        finally:
            for network, processors in before:
                network.set_attn_processor(processors)

    def flags(self) -> Mapping[tuple[str, int, str], Any]:
        """The switches of the networks' modules: attributes that are numbers, words or none, by their place in the network.

        A mapping, since two are compared in each turn of a learned loop, of thousands of attributes.
        """
        return {
            (name, place, key): value
            for name in sorted(self.names)
            for place, module in enumerate(self._modules[name].modules())
            for key, value in module.__dict__.items()
            if value is None or isinstance(value, _SWITCHES)
        }

    @contextmanager
    def _patched(self, replays: bool) -> Iterator[None]:
        self._calls.clear()
        self._turned, self._replays, self.inputs = False, replays, []
        with self.restored(), ExitStack() as stack:
            for name, module in self._modules.items():
                if not replays or name in self.names:
                    stack.enter_context(replaced(module, forward=self._forward(name, module.forward)))
            yield

    def _forward(self, name: str, own: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.live:
                return own(*args, **kwargs)
            key = name, self._calls[name]
            self._calls[name] += 1
            self.inputs.append((name, (args, kwargs)))
            if self._turned or self._replays:
                self.names.add(name)
                if self.replayable and key in self._recorded:
                    found = self._recorded[key]
                    return found if self.factor == 1.0 else _scaled(found, self.factor)
            self._recorded[key] = found = own(*args, **kwargs)
            return found

        return forward


def _scaled(value: Any, factor: float) -> Any:
    """An answer of a network with its tensors times a factor."""
    if isinstance(value, Tensor):
        return value * factor if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return type(value)(**{key: _scaled(each, factor) for key, each in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(_scaled(each, factor) for each in value)
    return value
