"""One run of a sampler: it gives each solver step its functions and checks what comes back.

    x_0(x, level) = sum_k w_k D_k(x, level, cond)        w of the step at hand; zero weights are not evaluated
    z(key) = noise sampler of the step's dominant expert, on draws keyed by (clip seed, step index, key, name)

A prediction or latents of another form or not finite, and whatever a component raises, are reported with expert (or
solver), step and level.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jvid.core.conditions import PerExpert, for_expert
from jvid.core.keyed import keyed_normal
from jvid.core.levels import form, is_like
from jvid.core.protocols import Level, Step
from jvid.core.provenance import annotate, origin
from jvid.core.scope import RunScope, in_scope
from jvid.errors import InputError, NonFiniteError, PluginError

if TYPE_CHECKING:
    from jvid.core.protocols import Condition, Denoiser, Draw, NoiseSampler, Solver

__all__ = ["Run", "checked", "ended"]


class Run:
    """The state of one run that is not in its latents; a solver sees ``denoise`` and ``noise`` of it.

    Args:
        denoisers: by name, on the reference schedule.
        noises: noise samplers by name; None is independent noise.
        solver: whose steps are taken.
        streams: that the noise is keyed by, one a clip.
        cond: of the batch, one for all experts or one for each.
        calls: evaluations of each expert so far; counted on.
        seconds: spent in them so far; counted on.
        scope: of its evaluations, unless another run has it.

    A blended step's noise is the dominant expert's, not a mix. Experts' samplers shape draws of the same names, so a
    weighted sum would have neither the deviation nor the correlation that any of them declares (equal draws add up
    in deviation, different ones in variance), and draws of an expert's own would put its name into the key.
    """

    def __init__(
        self,
        denoisers: Mapping[str, Denoiser],
        noises: Mapping[str, NoiseSampler | None],
        solver: Solver[Any],
        streams: tuple[int, ...],
        cond: Condition | PerExpert,
        calls: dict[str, int],
        seconds: dict[str, float],
        scope: RunScope,
    ) -> None:
        self._denoisers, self._noises, self._solver = denoisers, noises, solver
        self._streams = streams
        self._cond = cond
        self.calls, self.seconds = calls, seconds
        self.scope = scope.taken_by(self)
        self._reported: Exception | None = None

    def step(self, x: Tensor, step: Step, memory: Any) -> tuple[Tensor, Tensor, Any]:
        """x at ``step.start`` -> x at ``step.end``, the step's last prediction (x if there was none), the memory.

        Raises:
            InputError: a prediction, noise or latents of another shape or dtype.
            NonFiniteError: a prediction or the latents hold NaN or infinity.
        """
        last: Tensor | None = None

        def denoise(x_t: Tensor, level: Level) -> Tensor:
            nonlocal last
            last = self._blend(x_t, level, step)
            return last

        def noise(key: str) -> Tensor:
            return self._noise(key, step, x)

        try:
            # Around the step alone: a generator that yields inside would leak the mode to its caller.
            with torch.no_grad():
                answer: Any = self._solver.step(x, step, denoise, noise, memory)
            # A tensor of two clips can be taken apart, too.
            if isinstance(answer, Tensor) or not isinstance(answer, Sequence) or len(answer) != 2:
                what = "a tensor" if isinstance(answer, Tensor) else form(answer)
                raise InputError(f"the solver's step returned {what}: expected (x, memory)")
            out, memory = answer
        except SystemExit as error:
            who = f"solver {origin(self._solver)} {_at(step, step.start)}"
            raise ended(who, error) from error
        except Exception as error:
            if error is not self._reported:
                annotate(error, f"the solver {_at(step, step.start)}", self._solver)
            raise
        if not is_like(out, x):
            who = f"solver {origin(self._solver)} {_at(step, step.start)}"
            raise InputError(f"{who} returned {form(out)}: expected x like its input, {form(x)}")
        if not _is_finite(out):
            who = f"solver {origin(self._solver)} {_at(step, step.start)}"
            raise NonFiniteError(f"{who} returned NaN or infinity for x, from predictions that were finite")
        return out, out if last is None else last, memory

    def _blend(self, x: Tensor, level: Level, step: Step) -> Tensor:
        """``sum_k w_k x_0^k`` over the experts of the step; each prediction is checked."""
        total: Tensor | None = None
        weights = step.weights
        for name, weight in weights.items():
            # A fresh t each time: one that a denoiser writes to must not reach another call. Metal has no float64;
            # the others keep the level's double precision.
            dtype = torch.float32 if x.device.type == "mps" else torch.float64
            t = torch.full((), level.t, dtype=dtype, device=x.device)
            version = None if x.is_inference() else x._version
            started = time.perf_counter()
            try:
                with in_scope(self.scope.of(name)):
                    x_0 = self._denoisers[name](x, t, for_expert(self._cond, name))
            except SystemExit as error:
                self._reported = ended(f"expert {name!r} {_at(step, level)}", error)
                raise self._reported from error
            except Exception as error:
                annotate(error, f"expert {name!r} {_at(step, level)}", self._denoisers[name])
                raise
            if version is not None and x._version != version:
                self._reported = InputError(
                    f"expert {name!r} at step {step.index + 1} of {step.count} wrote to x: expected a prediction of its own"
                )
                raise self._reported
            if not is_like(x_0, x):
                who = f"expert {name!r} at step {step.index + 1} of {step.count}"
                self._reported = InputError(
                    f"{who} returned {form(x_0)}: expected x_0 like its input, {form(x)}"
                )
                raise self._reported
            if not _is_finite(x_0):
                self._reported = NonFiniteError(
                    f"expert {name!r} at step {step.index + 1} of {step.count} returned NaN or infinity, at "
                    f"{_level(level)}: check its weights, or give it a wider dtype"
                )
                raise self._reported
            self.seconds[name] += time.perf_counter() - started
            self.calls[name] += 1
            # A copy: a network may write its next prediction to the same memory, as CUDA graphs do, and solvers keep this one.
            x_0 = weight * x_0 if len(weights) > 1 else x_0.clone()
            total = x_0 if total is None else total + x_0
        assert total is not None  # a step of a plan has an expert
        return total

    def _noise(self, key: str, step: Step, like: Tensor) -> Tensor:
        expert = step.expert
        sampler = self._noises[expert] or _independent

        def draw(name: str, shape: Sequence[int]) -> Tensor:
            if shape[0] != len(self._streams):
                raise InputError(
                    f"draw {name!r} of shape {tuple(shape)}: expected it to lead with {len(self._streams)}"
                )
            return keyed_normal(self._streams, (step.index, key, name), shape[1:], like.dtype, like.device)

        try:
            z: Any = sampler(tuple(like.shape), draw)
        except SystemExit as error:
            self._reported = ended(f"the noise of expert {expert!r} {_at(step, step.start)}", error)
            raise self._reported from error
        except Exception as error:
            annotate(error, f"the noise of expert {expert!r} {_at(step, step.start)}", sampler)
            raise
        if not isinstance(z, Tensor) or z.shape != like.shape:
            self._reported = InputError(f"noise of expert {expert!r} has {form(z)}: expected {form(like)}")
            raise self._reported
        return z


def ended(who: str, error: SystemExit) -> PluginError:
    """The error for a component that ends the program."""
    # A component must not end the program: that would look like success, or like an error of something else.
    return PluginError(f"{who} called sys.exit({error.code!r}): expected it to return, or to raise an error")


def checked(out: Any, x: Tensor, who: str, component: object) -> Tensor:
    """What a component made of latents x, if it is like them and finite; ``who`` is its place in the run.

    Raises:
        InputError: another shape or dtype, or no tensor.
        NonFiniteError: NaN or infinity.
    """
    if not is_like(out, x):
        named = f"{who}, {origin(component)},"
        raise InputError(f"{named} returned {form(out)}: expected latents like its input, {form(x)}")
    if not _is_finite(out):
        named = f"{who}, {origin(component)},"
        raise NonFiniteError(f"{named} returned NaN or infinity, from latents that were finite")
    found: Tensor = out
    return found


def _independent(shape: Sequence[int], draw: Draw) -> Tensor:
    """The noise of an expert without a sampler: N(0, 1) at each element."""
    return draw("independent", shape)


def _is_finite(x: Tensor) -> bool:
    # NaN and infinity survive a sum, which costs a tenth; a sum may also overflow, hence the second look.
    return math.isfinite(x.sum().item()) or bool(x.isfinite().all())


def _level(level: Level) -> str:
    return f"t {level.t:.6g} (alpha {level.alpha:.6g}, sigma {level.sigma:.6g})"


def _at(step: Step, level: Level) -> str:
    return f"at step {step.index + 1} of {step.count}, {_level(level)}"
