"""A run of a pipeline that waits inside its own loop, for classes that keep a state there.

    evaluation ---- x, t ----> step's return value, the next timestep    (the pipeline's thread goes on)
    evaluation <--- output --- scheduler.step                            (and waits in its next step)

LTX 2 denoises sound beside its frames, with a copy of the scheduler: an evaluation by itself would begin its sound anew. The
thread gets the context of the evaluation that begins it, and runs only while an evaluation waits for it. It ends when its
`Stream` is closed or no longer referenced, with the pipeline's loop left as by any other exception.
"""

from __future__ import annotations

import contextvars
import functools
import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor

from jvid.errors import InputError, one_line
from jvid_models.adapters.pipelines.answers import Answers
from jvid_models.adapters.pipelines.call import UnstatedSteps
from jvid_models.adapters.pipelines.entry import Entrance
from jvid_models.adapters.pipelines.manner import ONCE, Manner
from jvid_models.adapters.pipelines.probe import Departure, Presented, StepCall, real_copy

__all__ = ["Request", "Stream", "Waiting"]

_MOST = 1024


@attrs.frozen(eq=False)
class Request:
    """One evaluation: the level, and what puts its latents into those of the pipeline."""

    time: float
    at: Presented
    insert: Callable[[Tensor], Tensor]
    returned: Callable[[StepCall, float], Tensor]
    """The last call of the scheduler and its time -> the latents that it gives."""


class Stream:
    """A waiting run of a pipeline; each evaluation takes it one turn further.

    Args:
        pipe: the pipeline.
        arguments: of its call.
        answers: of its encoders.
        first: the evaluation that it begins with.
        steps: of the run, where it is stated: its other turns are the pipeline's own.
        manner: as of `Drive`.
        skipped: how many of its scheduler's timesteps are before the first turn.
    """

    def __init__(
        self,
        pipe: Any,
        arguments: Mapping[str, Any],
        answers: Answers,
        first: Request,
        steps: int | None = None,
        manner: Manner = ONCE,
        skipped: int = 0,
    ) -> None:
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[StepCall | BaseException] = queue.SimpleQueue()
        drive = _Turns(first, self._requests, self._replies, steps, manner, skipped)
        drive.entrance = Entrance(pipe, arguments, drive, answers, first.insert)
        run = _carried(lambda: _run(pipe, arguments, drive))
        self._thread = threading.Thread(target=run, name=f"jvid {type(pipe).__name__}", daemon=True)
        # The thread holds the queues alone, so that a stream that is dropped ends it.
        self._end = weakref.finalize(self, _end, self._requests, self._thread)
        self.turns = 0
        self._thread.start()

    def evaluate(self, request: Request) -> StepCall:
        """The scheduler's call at a request; the first is the one that the stream began with.

        Raises:
            InputError: the pipeline's loop ended before.
        """
        try:
            if self.turns:
                self._requests.put(request)
            self.turns += 1
            reply = self._replies.get()
        except BaseException:
            self.close()
            raise
        if isinstance(reply, BaseException):
            self.close()
            raise reply
        return reply

    def close(self) -> None:
        """End the pipeline's loop and its thread."""
        self._end()


def _end(requests: queue.SimpleQueue[Request | None], thread: threading.Thread) -> None:
    requests.put(None)
    if thread is not threading.current_thread():
        thread.join()


def _run(pipe: Any, arguments: Mapping[str, Any], drive: _Turns) -> None:
    """The thread: the pipeline's call, whose end is a reply too."""
    entrance: Entrance = drive.entrance
    reply: BaseException = InputError(
        f"{type(pipe).__name__} ended after {drive.most} turns: expected no more steps in a run"
    )
    try:
        entrance.open()
        pipe(**arguments)
    except Exception as error:
        reply = error if drive.stated else _explained(type(pipe).__name__, error)
    except BaseException as error:
        reply = error
    finally:
        entrance.close()
        drive.replies.put(reply)


def _explained(who: str, error: Exception) -> Exception:
    """An index behind the end: of a loop that has room for the steps that its call states."""
    if not isinstance(error, IndexError):
        return error
    reason = one_line(error, first=True)
    return UnstatedSteps(
        f"{who} has a loop with room for some steps ({reason}): state their number by num_inference_steps among its options"
    )


class Waiting:
    """The stream of one condition, started again where the time does not fall."""

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._time = 0.0

    def evaluate(self, begin: Callable[[], Stream], request: Request, time: float) -> StepCall:
        """The scheduler's call at a request; ``begin`` makes a stream that begins with it."""
        if self._stream is None or time >= self._time:
            self.close()
            self._stream = begin()
        self._time = time
        try:
            return self._stream.evaluate(request)
        except BaseException:
            self._stream = None
            raise

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _Turns:
    """The drive of a stream: timesteps and sigmas that are filled in turn by turn, seen by copies of the scheduler too."""

    entrance: Any

    def __init__(
        self,
        first: Request,
        requests: queue.SimpleQueue[Request | None],
        replies: queue.SimpleQueue[StepCall | BaseException],
        steps: int | None,
        manner: Manner,
        skipped: int,
    ) -> None:
        self._last, self._requests, self.replies = first, requests, replies
        self.most, self.stated, self.manner = steps or _MOST, steps is not None, manner
        self._turn = self._first = skipped
        self._timesteps: Tensor | None = None
        self._sigmas: Tensor | None = None

    def set_timesteps(self, probe: Any, own: Callable[[], None], device: Any) -> None:
        own()
        self._share(probe)

    def step(self, probe: Any, call: StepCall) -> Tensor:
        self.entrance.close()  # the pipeline is as it was whenever its caller goes on
        self.replies.put(call)
        request = self._requests.get()
        if request is None:
            raise Departure(None)
        self.entrance.open()
        self._turn += 1
        self._set(request.at)
        probe.__dict__["_step_index"] = self._turn
        before, self._last = self._last.time, request
        return request.returned(call, before)

    def copied(self, probe: Any) -> Any:
        copy = real_copy(probe)
        if self._timesteps is not None:
            self._share(copy)  # it is copied in its run

        @functools.wraps(copy.set_timesteps)
        def set_timesteps(*args: Any, **kwargs: Any) -> None:
            type(copy).set_timesteps(copy, *args, **kwargs)
            self._share(copy)

        copy.__dict__["set_timesteps"] = set_timesteps
        return copy

    def _share(self, scheduler: Any) -> None:
        """Give a scheduler the tensors that are filled in turn by turn: a loop over them reads each when it comes to it."""
        if self._timesteps is None:
            sigmas = getattr(scheduler, "sigmas", None)
            if self.stated:
                self.most = len(scheduler.timesteps)
                self._timesteps = scheduler.timesteps.clone()
                self._sigmas = sigmas.clone() if isinstance(sigmas, Tensor) else None
            else:
                self._timesteps = scheduler.timesteps.new_zeros(_MOST)
                self._sigmas = sigmas.new_zeros(_MOST + 1) if isinstance(sigmas, Tensor) else None
            self._set(self._last.at)
        scheduler.timesteps, scheduler.num_inference_steps = self._timesteps, self.most
        if self._sigmas is not None:
            scheduler.sigmas = self._sigmas
        scheduler.__dict__["_step_index"] = scheduler.__dict__["_begin_index"] = self._first

    def _set(self, at: Presented) -> None:
        if self._timesteps is not None and self._turn < self.most:
            self._timesteps[self._turn] = at.timestep.to(self._timesteps)
        if self._sigmas is not None and at.sigma is not None:
            self._sigmas[self._turn] = at.sigma


def _carried(run: Callable[[], None]) -> Callable[[], None]:
    """``run`` in the context of the caller: context variables, autocast, inference mode and the current GPU."""
    context = contextvars.copy_context()
    kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    dtypes = {kind: torch.get_autocast_dtype(kind) for kind in kinds}
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    gpu = torch.cuda.current_device() if torch.cuda.is_initialized() else None

    @contextmanager
    def carried() -> Iterator[None]:
        with ExitStack() as stack:
            if gpu is not None:
                torch.cuda.set_device(gpu)
            for kind, dtype in dtypes.items():
                stack.enter_context(torch.autocast(kind, dtype))
            stack.enter_context(torch.set_grad_enabled(gradients))
            stack.enter_context(torch.inference_mode(inference))
            yield

    def thread() -> None:
        with carried():
            run()

    return lambda: context.run(thread)
