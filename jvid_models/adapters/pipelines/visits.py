"""What a pipeline's own loop visits: timesteps, sigmas, and what the scheduler scales the model's input by.

The pipeline sets its timesteps itself, with its own shift and sigmas, and goes through its whole loop; its latents stay as they
are, and no network is called.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError
from jvid_models.adapters.pipelines.manner import ONCE, Manner
from jvid_models.adapters.pipelines.probe import StepCall, real_copy

__all__ = ["Visiting", "Visits"]


@attrs.frozen(eq=False)
class Visits:
    """The turns of a pipeline's loop, in order.

    Attributes:
        timesteps: ``(n,)``, in the scheduler's dtype.
        sigmas: the scheduler's, one a turn; None where it has none.
        last: the sigma behind the last turn; None where the scheduler has no sigmas.
        scales: what the scheduler scales the model's input by, one a turn.
        ends_clean: whether the step behind the last turn ends at alpha 1; only where there are no sigmas.
        denoised: whether the scheduler's last call of a turn gets x_0.
        behind: the timesteps behind the last turn, where the scheduler has more than the loop visits.
        skipped: how many of the scheduler's timesteps are before the first turn.
    """

    timesteps: Tensor
    sigmas: tuple[float, ...] | None
    last: float | None
    scales: tuple[float, ...]
    ends_clean: bool
    denoised: bool
    behind: tuple[float, ...] = ()
    skipped: int = 0


class Visiting:
    """A drive that lets a pipeline visit its own timesteps and records them.

    Args:
        turned: called at the end of each turn.
        manner: how the loop calls its scheduler, as far as it is known.
    """

    def __init__(self, turned: Callable[[], None], manner: Manner = ONCE) -> None:
        self._turned, self.manner = turned, manner
        self._probe: Any = None
        self._found: list[tuple[Any, float, bool]] = []
        self.copies = 0
        self._stepped: set[int] = set()
        self.first: Tensor | None = None

    def set_timesteps(self, probe: Any, own: Callable[[], None], device: Any) -> None:
        """Let the scheduler set its own."""
        own()
        self._probe, self._found = probe, []
        probe.__dict__["_step_index"] = 0

    def step(self, probe: Any, call: StepCall) -> Tensor:
        """Record the call; the latents stay as they are."""
        scale = float(probe.scale_model_input(torch.ones(1), call.timestep)) if _sets_index(probe) else 1.0
        if self.first is None:
            self.first = call.sample.clone()
        self._found.append((call.timestep, scale, call.denoised))
        probe.__dict__["_step_index"] = min(len(self._found), len(probe.timesteps) - 1)
        self._turned()
        return call.sample

    def copied(self, probe: Any) -> Any:
        """A scheduler of its own; copies are counted, and their steps."""
        number = self.copies
        self.copies += 1
        copy = real_copy(probe)
        own = copy.step

        @functools.wraps(own)
        def step(*args: Any, **kwargs: Any) -> Any:
            self._stepped.add(number)
            return own(*args, **kwargs)

        copy.__dict__["step"] = step
        return copy

    @property
    def parts(self) -> int:
        """How many copies are called in the scheduler's place."""
        return 0 if self._found else len(self._stepped)

    @property
    def calls_twice(self) -> bool:
        """Whether each turn has the scheduler form x_0 first, and then hands it x_0."""
        denoised = [found[2] for found in self._found]
        return len(denoised) > 1 and denoised == [False, True] * (len(denoised) // 2)

    def visits(self, who: str) -> Visits:
        """What was visited.

        Raises:
            InputError: the loop never called ``scheduler.step``, or more than once a turn.
        """
        if self._probe is None or not self._found:
            raise InputError(f"{who} never calls scheduler.step: it cannot be evaluated once a call")
        timesteps = self._probe.timesteps
        order = int(getattr(self._probe, "order", 1))
        if len(self._found) > len(timesteps):
            raise InputError(
                f"{who} calls scheduler.step {len(self._found)} times for {len(timesteps)} timesteps: expected once each"
            )
        sigmas = _floats(getattr(self._probe, "sigmas", None), len(timesteps))
        visited = [_float(found[0]) for found in self._found]
        if not all(map(math.isfinite, visited)):
            raise InputError(
                f"{who} visits timesteps that are NaN or infinite in {len(visited)} steps: expected another number of steps"
            )
        # Those before the strength of a pipeline that changes a clip are skipped.
        skipped = _place(visited, timesteps.double().tolist())
        if skipped is None:
            raise InputError(f"{who} visits other timesteps than its scheduler's: expected these, in order")
        kept = [i for i, n in enumerate(visited) if order == 1 or i == 0 or n != visited[i - 1]]
        if sigmas is None:  # PNDM has its second timestep twice
            kept = [i for i, n in enumerate(visited) if i == 0 or n != visited[i - 1]]
        final = getattr(self._probe, "final_alpha_cumprod", None)
        return Visits(
            timesteps[[skipped + i for i in kept]],
            None if sigmas is None else tuple(sigmas[skipped + i] for i in kept),
            None if sigmas is None else sigmas[skipped + len(visited)],
            tuple(self._found[i][1] for i in kept),
            final is None or float(final) == 1.0,
            self._found[-1][2],
            tuple(timesteps.double().tolist()[skipped + len(visited) :]),
            skipped,
        )


def _place(part: list[float], whole: list[float]) -> int | None:
    """Where a list is in another; None where it is not."""
    places = range(len(whole) - len(part) + 1)
    return next((i for i in places if whole[i : i + len(part)] == part), None)


def _sets_index(probe: Any) -> bool:
    return hasattr(probe, "scale_model_input")


def _float(value: Any) -> float:
    return float(value.flatten()[0]) if isinstance(value, Tensor) else float(value)


def _floats(sigmas: Any, count: int) -> list[float] | None:
    """A scheduler's sigmas where it has one a timestep and one more."""
    if not isinstance(sigmas, Tensor) or len(sigmas) != count + 1:
        return None
    return [float(value) for value in sigmas.double().tolist()]
