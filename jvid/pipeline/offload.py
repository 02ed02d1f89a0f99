"""Memory by the plan: the weights of an expert are on the device from ahead of its first step to its last.

    with Offload(composition, "plan", device="cuda") as offload:
        made = make(ensemble, strategy, clips, device="cuda", offload=offload)
        clips = list(decoded(ensemble, made.latents))

    plan         experts come ahead of their step, while others compute, and go behind their last; in between they stay if there
                 is room. Encoders and the decoder come when they are called.
    sequential   one module at a time, whatever the plan: the least memory, the most copies
    none         everything stays on the device

A plan is known before the run, and so are the moves (`jvid.machine.residence`). On the CPU nothing is moved; the moves are
recorded. The clips are the same, bit for bit, in each mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from jvid.pipeline.weights import Mode, Weights, check_mode

if TYPE_CHECKING:
    from types import TracebackType

    from jvid.core.plan import Plan
    from jvid.core.state import State
    from jvid.ensemble.compose import Composition
    from jvid.machine.residence import Move, Residence

__all__ = ["Offload"]


class Offload:
    """A block within which the modules of a composition are moved between host and device as they are needed.

    Args:
        composition: whose experts, encoders and codec are moved. Modules with hooks that offload them already, and quantised
            ones, are left alone.
        mode: "plan", "none" or "sequential"; None is "plan" on a GPU that has no room for all weights, else "none".
        device: where they compute.
        decoding: whether the codec is needed too.
        room: bytes that weights may take at once; None is what a step needs, and on a GPU at least half of what is free.

    Raises:
        InputError: another mode, or a module that is offloaded already.
    """

    def __init__(
        self,
        composition: Composition,
        mode: Mode | str | None = None,
        device: str = "cpu",
        *,
        decoding: bool = True,
        room: int | None = None,
    ) -> None:
        check_mode(mode)
        self.composition, self.device = composition, device
        self.mode = cast("Mode | None", mode)
        self._decoding, self._room = decoding, room
        self._stack = ExitStack()
        self._weights: Weights | None = None
        self._residence: Residence | None = None

    def __enter__(self) -> Offload:
        import torch

        from jvid.machine.on_demand import on_demand, place_all

        if torch.device(self.device).type == "cpu":
            self.mode = self.mode or "none"
            if self.mode == "none":
                return self  # nothing to look for: networks may load later
        self.composition.check()
        self._weights = weights = Weights(self.composition, self._decoding)
        self.mode = self.mode or ("plan" if weights.are_too_large(self.device) else "none")
        if self.mode == "none":
            place_all(weights.modules, self.device)
        else:
            self._residence = self._stack.enter_context(on_demand(weights.modules, self.device))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def is_active(self) -> bool:
        """Whether modules are moved, or on the CPU their moves recorded."""
        return self._residence is not None

    @property
    def takes_memory(self) -> bool:
        """Whether a call may move weights in, which take memory of the device."""
        import torch

        return self.is_active and torch.device(self.device).type != "cpu"

    @property
    def moves(self) -> Sequence[Move]:
        """The moves so far, in order."""
        return () if self._residence is None else tuple(self._residence.moves)

    @property
    def peak(self) -> int:
        """Most bytes of weights on the device at once so far; 0 where nothing is moved."""
        return 0 if self._residence is None else self._residence.peak

    def follow(self, plan: Plan, latent_frames: int, runs: int = 1) -> None:
        """Follow a plan from here on.

        Args:
            plan: the plan.
            latent_frames: of a clip.
            runs: how often it is run, one after the other.
        """
        if self._residence is None or self._weights is None:
            return
        uses = self._weights.uses(plan, latent_frames)
        room = 0 if self.mode == "sequential" else self._room
        if room is None:
            room = self._weights.room(uses, self.device, self._residence.taken)
        self._residence.follow(uses * runs, room)

    def steps(self, states: Iterable[State], first: int = 0) -> Iterator[State]:
        """The states of a run, whose next step is the ``first`` of those that are followed; experts are moved in between."""
        if self._residence is None:
            yield from states
            return
        step, remaining = first, iter(states)
        while True:
            self._residence.begin(step)
            state: Any = next(remaining, None)
            if state is None:
                return
            self._residence.end()
            yield state
            step += 1
