"""Values that are not finite, and losses that diverge, found before they reach the weights or a checkpoint.

    loss, norm of the gradient    after each backward pass, the same in all processes; the step is left out or ends the run
    weights                       before each checkpoint, which is not written
    loss on held-out actors       at each checkpoint; it is never the best one's
    divergence                    m_n > d min m  and  m_n > m_first / 2,    m_n the median of the last 100 losses

The second condition leaves alone a run that has learnt its few clips by heart and wavers at a loss near zero.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from jvid.errors import JvidError, JvidWarning
from jvid_training.recipe import Recipe
from jvid_training.train.average import own_part
from jvid_training.train.batches import Batches

__all__ = ["WINDOW", "Guard", "TrainingError", "not_finite"]

WINDOW = 100
"""Steps of a running median."""
_NAMED = 4
"""Clips that a message names."""
_REMEDY = "resume it with a lower optimiser.lr, a higher optimiser.eps or a lower optimiser.clip"
_ENCODE = "these latents are not finite: encode those clips again"
_LEAVE_OUT = 'training.non_finite = "skip" leaves such steps out'


class TrainingError(JvidError, ArithmeticError):
    """The run cannot go on: a value is not finite, or its loss diverges."""


class Guard:
    """Decides for every step whether the optimiser takes it."""

    def __init__(self, recipe: Recipe, batches: Batches) -> None:
        self._name, self._training, self._batches = recipe.name, recipe.training, batches
        self.skipped: list[dict[str, Any]] = []
        """The steps that were left out, and why."""
        self._in_a_row = 0
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._first = self._lowest = math.nan

    def accepts(self, step: int, loss: float, norm: float, losses: Tensor, *, overflow: bool = False) -> bool:
        """Whether the optimiser may take a step; collective where it may not.

        Args:
            step: its number, from 0.
            loss: mean over all processes.
            norm: of the gradient, before it is clipped.
            losses: of this process's samples, in the order of `Batches.places`.
            overflow: whether a gradient that is not finite comes from the scale of the loss.

        Raises:
            TrainingError: a value is not finite and the recipe stops there or has left out too many steps, or the loss diverges.
        """
        if math.isfinite(loss) and math.isfinite(norm):
            self._in_a_row = 0
            self._watch(step, loss)
            return True
        if overflow and math.isfinite(loss):
            return False
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
        clips, damaged = self._suspects(step, losses)
        remedy = f"{_ENCODE if damaged else _REMEDY}; {_LEAVE_OUT}"
        found = f"{self._name}: {what} at step {step} ({clips})"
        if self._training.non_finite == "stop":
            raise TrainingError(
                f"{found}; the weights are as before it, the last checkpoint is whole: {remedy}"
            )
        self._in_a_row += 1
        if self._in_a_row > self._training.max_skips:
            raise TrainingError(
                f"{found}, and so it was in the {self._training.max_skips} steps before, which were left out "
                f"(training.max_skips); the last checkpoint is whole: {_REMEDY}"
            )
        self.skipped.append({"step": step, "reason": what, "clips": clips})
        if self._batches.ranks.rank == 0:
            warnings.warn(f"{found}: the step is left out", JvidWarning, stacklevel=2)
        return False

    def check_weights(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Refuse to write a checkpoint of weights that are not finite; collective.

        Raises:
            TrainingError: the weights of any process are not finite.
        """
        bad = sorted({name for names in self._batches.ranks.gather(not_finite(weights)) for name in names})
        if bad:
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise TrainingError(
                f"{self._name}: weights are not finite at step {step} ({', '.join(bad[:3])}{more}); no checkpoint of them is "
                f"written, the last one is whole: {_REMEDY}"
            )

    def held_out(self, step: int, loss: float, clips: Sequence[str]) -> float | None:
        """The loss on held-out actors; None where it is not finite and the recipe goes on.

        Raises:
            TrainingError: it is not finite, and the recipe stops there.
        """
        if math.isfinite(loss):
            return loss
        found = f"{self._name}: the loss on held-out actors is {loss} at step {step} ({_shown(clips)})"
        if self._training.non_finite == "stop":
            raise TrainingError(
                f'{found}; the last checkpoint is whole: encode those clips again, or resume with training.non_finite = "skip"'
            )
        if self._batches.ranks.rank == 0:
            warnings.warn(f"{found}: it counts as unknown", JvidWarning, stacklevel=2)
        return None

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "skipped": self.skipped,
            "recent": list(self._recent),
            "lowest": None if math.isnan(self._lowest) else self._lowest,
            "first": None if math.isnan(self._first) else self._first,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; one of before this state has none."""
        self.skipped = list(state.get("skipped", []))
        self._recent.extend(state.get("recent", []))
        self._lowest, self._first = (
            math.nan if (value := state.get(name)) is None else value for name in ("lowest", "first")
        )

    def _watch(self, step: int, loss: float) -> None:
        self._recent.append(loss)
        factor = self._training.divergence
        if not factor or len(self._recent) < WINDOW:
            return
        median = statistics.median(self._recent)
        if math.isnan(self._first):
            self._first = self._lowest = median
        self._lowest = min(self._lowest, median)
        if median > factor * self._lowest and median > self._first / 2:
            raise TrainingError(
                f"{self._name}: the loss diverges: the median of its last {WINDOW} steps is {median:.3g} at step {step}, and was "
                f"{self._lowest:.3g}; the checkpoints are whole: delete those since the rise and {_REMEDY}, or "
                "with training.divergence = 0, which goes on regardless"
            )

    def _suspects(self, step: int, losses: Tensor) -> tuple[str, bool]:
        """The clips whose loss is not finite, or is highest where all are; and whether their latents are not finite."""
        own = [float(each) for each in losses]
        places = self._batches.places()
        bad = [place for place, loss in zip(places, own, strict=True) if not math.isfinite(loss)]
        ranked = sorted(zip(own, places, strict=True), reverse=True) if not bad else []
        chosen = bad or [place for _, place in ranked[:_NAMED]]
        mine = [(bool(bad), *self._batches.described("train", step, place)) for place in chosen[:_NAMED]]
        every = [entry for entries in self._batches.ranks.gather(mine) for entry in entries]
        worst = any(bad for bad, _, _ in every)
        named = [(name, whole) for bad, name, whole in every if bad == worst]
        return _shown(name for name, _ in named), worst and any(not whole for _, whole in named)


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that hold NaN or infinity; of a sharded tensor this process's part counts."""
    own = {name: own_part(each.detach()) for name, each in tensors.items()}
    named = {name: each for name, each in own.items() if each.is_floating_point() and each.numel()}
    if not named:
        return []
    largest = torch.stack([each.float() for each in torch._foreach_norm(list(named.values()), ord=math.inf)])
    return [name for name, finite in zip(named, torch.isfinite(largest).tolist(), strict=True) if not finite]


def _shown(clips: Iterable[str]) -> str:
    every = list(dict.fromkeys(clips))
    more = len(every) - _NAMED
    return ", ".join(every[:_NAMED]) + (f" and {more} more" if more > 0 else "")
