"""The output of a pipeline's network with its graph: what the pipeline hands to ``scheduler.step``, for training.

    output (b c f h w) = the pipeline's own call up to scheduler.step, at x and t, one row at a time

Encoding, packing, sizes and positions, embedded scales and splits of the output are the pipeline's code, so that a network is
trained on exactly the call that samples of it, without guidance (`guidance.unguided`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid.errors import InputError
from jvid_models.adapters.pipelines.answers import Answers
from jvid_models.adapters.pipelines.call import PLAIN
from jvid_models.adapters.pipelines.denoiser import PipelineDenoiser
from jvid_models.adapters.pipelines.evaluation import step_at
from jvid_models.adapters.pipelines.kept import KeptOfRun
from jvid_models.adapters.pipelines.latest import Latest
from jvid_models.adapters.pipelines.networks import modules_of
from jvid_models.adapters.pipelines.turns import in_turn

__all__ = ["Evaluated", "PipelineOutputs", "evaluated_network", "network_name"]


@attrs.frozen
class Evaluated:
    """The network that a pipeline's loop evaluates.

    Attributes:
        name: of the component.
        unused: names of its parameters that its output does not depend on.
    """

    name: str
    unused: frozenset[str] = frozenset()


def network_name(denoiser: PipelineDenoiser) -> str:
    """The component that a pipeline's loop evaluates.

    Raises:
        InputError: there are several, or the loop keeps a state.
    """
    who, setting = denoiser.call.who, denoiser.setting
    names = sorted(setting.networks.names)
    if len(names) != 1:
        raise InputError(
            f"{who} evaluates {' and '.join(names) or 'no network'} in its loop: expected one network"
        )
    if setting.streams or setting.times:
        raise InputError(f"{who} keeps a state in its loop, or counts its steps: its network is not trained")
    return names[0]


def evaluated_network(denoiser: PipelineDenoiser) -> Evaluated:
    """The component that a pipeline's loop evaluates, one time a step, in one row, and whose gradient its call gives.

    Raises:
        InputError: there are several, or it is evaluated otherwise: the pipeline guides in a way that no option turns off, keeps
            a state, or does not let a gradient through.
    """
    who, setting = denoiser.call.who, denoiser.setting
    component = network_name(denoiser)
    network: nn.Module = modules_of(denoiser.pipe)[component]
    rows: list[int] = []

    def seen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rows.append(next((len(value) for value in (*args, *kwargs.values()) if _is_batch(value)), 0))

    weights = {name: each for name, each in network.named_parameters() if each.is_floating_point()}
    before = {name: each.requires_grad for name, each in weights.items()}
    hook = network.register_forward_pre_hook(seen, with_kwargs=True)
    try:
        for each in weights.values():
            each.requires_grad_(True)
        shape = setting.layout.shape
        with torch.enable_grad():
            found = PipelineOutputs(denoiser)(torch.zeros(shape), torch.full(shape[:1], 0.5), [PLAIN])
    finally:
        for name, each in weights.items():
            each.requires_grad_(before[name])
        hook.remove()
    if rows != [1]:
        raise InputError(
            f"{who} evaluates its {component} {len(rows)} times a step, with {'+'.join(map(str, rows))} rows a clip: it guides "
            "by itself, expected options that turn it off"
        )
    if not found.requires_grad:
        raise InputError(f"{who} lets no gradient through its call: its network is not trained")
    reached = _leaves(found)
    return Evaluated(component, frozenset(name for name, each in weights.items() if id(each) not in reached))


def _leaves(output: Tensor) -> set[int]:
    """The tensors at the leaves of an output's graph; nothing is computed."""
    found: set[int] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        waiting += [each for each, _ in node.next_functions]
    return found


def _is_batch(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 2


@attrs.frozen(eq=False)
class PipelineOutputs:
    """The outputs of the network of a pipeline, through the pipeline's own call.

    Attributes:
        denoiser: of the pipeline, with options that do not guide.
    """

    denoiser: PipelineDenoiser
    _answers: Latest[tuple[str, tuple[int, ...]], Answers] = attrs.field(
        init=False, factory=Latest, repr=False
    )

    @property
    def pipe(self) -> Any:
        """The pipeline."""
        return self.denoiser.pipe

    def __call__(self, x: Tensor, t: Tensor, prompts: Sequence[str]) -> Tensor:
        """x ``(b c f h w)``, t ``(b,)`` and b prompts -> the network's output ``(b c f h w)``, as ``levels.kind`` has it."""
        rows = [
            self._row(x[i : i + 1], time, prompt)
            for i, (time, prompt) in enumerate(zip(t.tolist(), prompts, strict=True))
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def forget(self) -> None:
        """Forget what was encoded."""
        self._answers.forget()

    @in_turn
    def _row(self, x: Tensor, time: float, prompt: str) -> Tensor:
        denoiser = self.denoiser
        setting = denoiser.setting_at(tuple(x.shape))
        answers = self._answers.of((prompt, tuple(x.shape)), setting.answers)
        scaled = x * setting.levels.scale(time)
        step = step_at(
            setting,
            self.pipe,
            denoiser.call.arguments([prompt], setting.sizes, 2),
            KeptOfRun(lambda: answers),
            lambda prepared: setting.layout.insert(scaled, prepared),
            time,
            differentiable=True,
        )
        found = setting.layout.extract(step.output)
        if found.shape != x.shape:
            raise InputError(
                f"{denoiser.call.who} keeps a part of its latents for itself: its network is not trained"
            )
        return found
