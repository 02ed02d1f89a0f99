"""What a pipeline's loop does from turn to turn, measured with its networks replayed.

    the same turns, and the same alone        an evaluation is one turn
    a generator moved, or the last turn       the loop keeps a state: noise that it draws, a momentum, a second stream;
      depends on what came before it            a run waits in it (`Stream`)
    other turns, whatever came before them    the loop counts: an evaluation is a turn of a run of a stated number of steps

What came before is changed by other latents and other answers of the networks in all turns but the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jvid.errors import JvidError, one_line
from jvid_models.adapters.pipelines.call import UnstatedSteps
from jvid_models.adapters.pipelines.learning import Pass
from jvid_models.adapters.pipelines.probe import StepCall

__all__ = ["keeps_state"]

_TURNS = 8
_FACTOR = 1.1


def keeps_state(passes: Pass) -> bool:
    """Whether the loop of a pipeline keeps a state.

    Raises:
        UnstatedSteps: it keeps none, but its turns differ, and the number of steps is not stated.
        InputError: it takes other steps than one for each timestep.
    """
    who, stated = passes.call.who, passes.call.steps is not None
    count = _TURNS if passes.call.steps is None else passes.call.steps - passes.skipped
    try:
        turns, generators = _turns(passes, count)
    except JvidError:
        raise
    except Exception as error:
        if stated:
            raise
        raise UnstatedSteps(
            f"{who} does not take {count} steps ({one_line(error, first=True)}): state their number by num_inference_steps among "
            "its options"
        ) from error
    if len(turns) != count:
        raise passes.call.uneven(f"{len(turns)} steps for {count} timesteps")
    if not torch.equal(generators[0], generators[-1]):
        return True
    same = stated or all(_equal(turns[0], each) for each in turns)
    if stated or not same:
        others, _ = _turns(passes, count, _FACTOR)
        if not _equal(turns[-1], others[-1]):
            return True
    if not same:
        raise UnstatedSteps(
            f"{who} does not do the same in each turn of its loop: state the number of steps by num_inference_steps among its "
            "options, so that an evaluation is a turn of such a run"
        )
    if not stated and not torch.equal(passes.stepped(lambda prepared: prepared).output, turns[0][-1]):
        raise UnstatedSteps(
            f"{who} guides by the number of steps, which an evaluation does not know: state it by num_inference_steps among its "
            "options, or turn that guidance off"
        )
    return False


def _turns(passes: Pass, count: int, factor: float = 1.0) -> tuple[list[list[Any]], list[Tensor]]:
    """What the networks get and the scheduler gets in each turn, and the generators' states behind it.

    ``factor``: of the latents and the networks' answers in all turns but the last.
    """
    seen: list[list[Any]] = []
    generators: list[Tensor] = []
    first: list[Tensor] = []
    networks = passes.networks

    def stepped(call: StepCall) -> Tensor:
        first.append(call.sample.clone())
        found = [_copied(networks.inputs), networks.flags(), call.output.clone()]
        # Equal turns are one in memory: what a ControlNet hands to its network is large.
        seen.append(seen[0] if seen and _equal(seen[0], found) else found)
        generators.append(
            torch.cat([torch.get_rng_state(), *(each.get_state() for each in passes.generators)])
        )
        networks.turned()
        last = len(seen) >= count - 1
        networks.factor = 1.0 if last else factor
        return first[0] if last or factor == 1.0 else first[0] * factor

    networks.factor = 1.0 if count == 1 else factor
    passes.run(lambda prepared: prepared, stepped, count)
    return seen, generators


def _copied(value: Any) -> Any:
    """Tensors, numbers and words of what a network is given, in lists and mappings; other objects are left out."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return [(key, _copied(each)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [_copied(each) for each in value]
    return value if isinstance(value, bool | int | float | str) else None


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
