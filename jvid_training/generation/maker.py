"""A batch of clips: sampled ``micro_batch`` at a time, decoded one by one, written as one file.

All that computes sees shapes that the batch does not change: so neither does it change a clip's last bits. A part of a batch
goes through all its steps before the next begins, and what networks keep for its prompts is found again at each.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor

from jvid.core.conditions import PerExpert, PerFrame, map_condition
from jvid.denoisers.wrapper import Wrapper
from jvid.ensemble.compose import Composition
from jvid.errors import JvidWarning, NonFiniteError
from jvid.media.frames import to_frames
from jvid.pipeline.offload import Offload
from jvid.pipeline.record import Clip
from jvid_training.generation.files import digest, read_record, read_tensor, write_batch
from jvid_training.generation.spec import Spec

if TYPE_CHECKING:
    from jvid.core.protocols import Condition, Denoiser
    from jvid.ensemble.ensemble import Ensemble

__all__ = ["Maker", "maker_of"]


@attrs.frozen(eq=False)
class _Watched(Wrapper):
    """``denoiser``; rows of an answer that is not finite are noted, for an error that names their clips."""

    denoiser: Denoiser
    rows: list[int]

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        x_0 = self.denoiser(x, t, cond)
        finite = x_0.isfinite().flatten(1).all(1)
        if not finite.all():
            self.rows[:] = (~finite).nonzero().flatten().tolist()
        return x_0


class Maker:
    """Makes the batches of ``spec`` with ``ensemble``, whose networks load now.

    A ``quiet`` one does not warn of the strategy: another process does. With ``offload`` experts are moved as the plan needs
    them.

    Raises:
        InputError: a prompt that an expert does not know, or a strategy that does not fit the ensemble.
        UnknownNameError: a component of the strategy that no plugin registers.
    """

    def __init__(
        self, spec: Spec, ensemble: Ensemble, device: str, quiet: bool = False, offload: Offload | None = None
    ) -> None:
        self.spec, self._device, self._offload = spec, device, offload
        composition = Composition(spec.strategy, ensemble)
        # All prompts at once, whatever the batch: an encoder's last bits depend on what it encodes together.
        self._cond = composition.condition(list(spec.prompts))
        with warnings.catch_warnings():
            if quiet:
                warnings.simplefilter("ignore", JvidWarning)
            sampler = composition.sampler(spec.latents[1])
        self._odd: list[int] = []
        watched = {
            name: attrs.evolve(expert, denoiser=_Watched(expert.denoiser, self._odd))
            for name, expert in sampler.experts.items()
        }
        self._sampler = attrs.evolve(sampler, experts=watched)
        self.plan = self._sampler.plan(spec.strategy.plan_seed)
        self._codec = ensemble.codec  # it loads at its first use, which would be after the long part

    def write(self, folder: Path, batch: int, progress: Callable[[float], None] = lambda part: None) -> None:
        """Make a batch and its file; ``progress`` is called after each step with the part of the batch that is done.

        Raises:
            InputError: the file cannot be written.
            NonFiniteError: NaN or infinity, in the clips that the message names.
        """
        clips, together = self.spec.clips(batch), self.spec.micro_batch
        latents: list[Tensor] = []
        calls: dict[str, int] = dict.fromkeys(self.plan.experts, 0)
        seconds: dict[str, float] = dict.fromkeys(self.plan.experts, 0.0)
        for first in range(0, len(clips), together):
            part = clips[first : first + together]

            def done(step: int, first: int = first, size: int = len(part)) -> None:
                progress((first + size * (step + 1) / len(self.plan)) / len(clips))

            made, run = self._sampled(part, batch * self.spec.batch + first, done)
            latents += made
            for name in run.calls:
                calls[name] += run.calls[name]
                seconds[name] += run.seconds[name]
        self._keep(folder, batch, latents, calls, seconds)

    def write_finished(self, folder: Path, batch: int, plain: Path) -> None:
        """The same of a batch in ``plain``, a set of this spec without postprocessors: sampled there, it is only finished here.

        Raises:
            InputError: a file that cannot be read or written.
        """
        record = read_record(plain, batch, self.spec)
        sampled = torch.from_numpy(read_tensor(plain, batch, "latents", record)).to(self._device)
        latents = [self._sampler.finish(clip[None]) for clip in sampled]
        self._keep(folder, batch, latents, record["calls"], record["seconds"])

    def _keep(
        self,
        folder: Path,
        batch: int,
        latents: list[Tensor],
        calls: dict[str, int],
        seconds: dict[str, float],
    ) -> None:
        """Decode ``latents``, each ``(1 c f h w)``, and write the batch's file."""
        clips = self.spec.clips(batch)
        start = time.perf_counter()
        with torch.inference_mode():
            frames = np.concatenate([to_frames(self._codec.decode(each)) for each in latents])
        record = {
            "clips": [
                {**attrs.asdict(clip), "digest": digest(shown)}
                for clip, shown in zip(clips, frames, strict=True)
            ],
            "calls": calls,
            "seconds": seconds,
            "decoding": time.perf_counter() - start,
        }
        write_batch(folder, batch, frames, torch.cat(latents).float().cpu().numpy(), record)

    def _sampled(
        self, clips: tuple[Clip, ...], first: int, done: Callable[[int], None]
    ) -> tuple[list[Tensor], Any]:
        """Latents ``(1 c f h w)`` of each clip, and the run's last state; ``first`` is the first clip's index."""
        seeds = [clip.seed for clip in clips]
        rows = [(first + i) % len(self.spec.prompts) for i in range(len(clips))]
        cond = _rows_by_expert(self._cond, rows, len(self.spec.prompts))
        state = None
        try:
            states = self._sampler.trace(
                self.spec.latents, seeds=seeds, cond=cond, plan=self.plan, device=self._device
            )
            if self._offload is not None:
                self._offload.follow(self.plan, self.spec.latents[1])
                states = self._offload.steps(states)
            for state in states:
                done(state.step.index)
        except NonFiniteError as error:
            odd = self._odd or range(len(clips))
            named = ", ".join(f"{first + i} ({clips[i].prompt!r}, seed {clips[i].seed})" for i in odd)
            raise NonFiniteError(f"clip {named}: {error}") from error
        assert state is not None  # a plan has a step
        # A clip alone: what the postprocessors sum up over a batch may be summed up in another order.
        return [self._sampler.finish(clip[None]) for clip in state.x], state


@contextmanager
def maker_of(
    spec: Spec, ensemble: Ensemble, device: str, offload: str | None = None, quiet: bool = False
) -> Iterator[Maker]:
    """A maker whose experts are moved in and out within the block; ``offload`` is a mode as of `Offload`.

    Raises:
        InputError: another mode, or what `Maker` refuses.
    """
    with Offload(Composition(spec.strategy, ensemble), offload, device) as offloaded:
        yield Maker(spec, ensemble, device, quiet, offloaded)


def _rows_by_expert(cond: Condition | PerExpert, rows: list[int], count: int) -> Condition | PerExpert:
    """The rows of what all experts share, or of each expert's own."""
    if isinstance(cond, PerExpert):
        return cond.map(lambda own: _rows(own, rows, count))
    return _rows(cond, rows, count)


def _rows(cond: Condition, rows: list[int], count: int) -> Condition:
    """The rows of a condition of ``count`` prompts; what is the same for all stays."""

    def chosen(_: str, value: Tensor) -> Tensor:
        return value[rows] if value.shape[0] == count else value

    return map_condition(cond, chosen, lambda name, value: PerFrame(chosen(name, value)))
