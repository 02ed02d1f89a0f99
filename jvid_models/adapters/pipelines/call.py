"""The arguments of one call of a pipeline: prompts, sizes, and what a user gives beside them.

Names differ between pipelines (``num_frames``, ``video_length``); each is looked up in the signature of the pipeline's own call.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import attrs
import torch

from jvid.errors import InputError

__all__ = ["PLAIN", "PipelineCall", "Sizes", "UnstatedSteps"]

PLAIN = "a picture"
"""A prompt where it does not matter; some text encoders fail on an empty one."""

Sizes = Mapping[str, int]
"""Height, width and frames in pixels under the names of a pipeline's own arguments."""

_FRAMES = ("num_frames", "video_length", "frames")
_RESERVED = {
    "prompt": "prompts come by the condition",
    "latents": "latents are the sampler's",
    "generator": "give seed=",
    "timesteps": "times are the sampler's",
    "sigmas": "times are the sampler's",
    "output_type": "give it to frames(latents, output_type)",
    "return_dict": "it is the adapter's",
    "callback_on_step_end": "steps are the sampler's",
}
_GIVEN = re.compile(r"(?:(?:control|mask|pose|face)_)?(?:image|video)|conditioning_frames|controls")
"""Names of pictures and clips that a call takes."""

_STRENGTH = "strength"
_COUNT = "num_inference_steps"
# Frames are decoded in one piece where the decoder is only looked at.
_WHOLE = 1 << 16


class UnstatedSteps(InputError):
    """A pipeline that may be understood where its options state the number of steps."""


@attrs.frozen(eq=False)
class PipelineCall:
    """How one pipeline is called.

    Attributes:
        pipe: the pipeline.
        options: further arguments of its call, by their own names.
        seed: of the draws that the pipeline makes before its loop.

    Raises:
        InputError: an option that its call does not have, or that the adapter sets.
    """

    pipe: Any
    options: Mapping[str, Any]
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        for name in self.options:
            if name in _RESERVED:
                raise InputError(f"{self.who} got the option {name!r}: {_RESERVED[name]}")
            if name not in self.parameters:
                expected = ", ".join(key for key in self.parameters if key not in (*_RESERVED, "self"))
                raise InputError(f"{self.who} has no option {name!r}: expected one of {expected}")
        count = self.options.get(_COUNT)
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise InputError(f"{self.who} got {_COUNT}={count!r}: expected a whole number from 1")

    @property
    def steps(self) -> int | None:
        """The number of steps of every run, where the options state it: each evaluation is then a turn of such a run."""
        return self.options.get(_COUNT)

    def uneven(self, what: str) -> InputError:
        """The error of a loop that takes other steps than one for each timestep; it advises to state them where they are not."""
        message = f"{self.who} takes {what}: expected one each"
        if self.steps is not None:
            return InputError(message)
        return UnstatedSteps(
            f"{message}; state {_COUNT} among its options if it looks at the level that follows"
        )

    @property
    def who(self) -> str:
        """The pipeline's class."""
        return type(self.pipe).__name__

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Those of the pipeline's own call."""
        kind: Any = type(self.pipe)
        return _parameters(kind)

    @property
    def frames_name(self) -> str | None:
        """The argument that holds the number of frames; None for a pipeline of pictures."""
        return next((name for name in _FRAMES if name in self.parameters), None)

    @property
    def begins_from_a_clip(self) -> bool:
        """Whether a run begins with noise on a clip or a picture that is given, of a ``strength``."""
        return _STRENGTH in self.parameters

    @property
    def makes_clips(self) -> bool:
        """Whether the pipeline makes clips: of a number of frames that is not 1, or of as many as a clip that it is given."""
        if self.frames_name is not None and self.options.get(self.frames_name) != 1:
            return True
        return any(name.endswith("video") for name in self.parameters if _GIVEN.fullmatch(name))

    @property
    def not_given(self) -> tuple[str, ...]:
        """The pictures and clips that the call takes, and that its options lack: those without a default, if there are any."""
        lacks = [
            name for name in self.parameters if _GIVEN.fullmatch(name) and self.options.get(name) is None
        ]
        needs = [name for name in lacks if self.parameters[name].default is inspect.Parameter.empty]
        return tuple(needs or lacks)

    @property
    def has_pictures(self) -> bool:
        """Whether an option is a picture, a clip or a tensor: then each prompt is a call of its own."""
        return any(not isinstance(value, str | int | float | bool | None) for value in self.options.values())

    def sizes(self, latents: Sequence[int], factor: int, rate: int) -> Sizes:
        """The arguments for latents ``(f, h, w)``, at ``factor`` pixels and ``rate`` frames to a latent."""
        f, h, w = latents
        found = {"height": h * factor, "width": w * factor}
        if self.frames_name is not None:
            found[self.frames_name] = (f - 1) * rate + 1
        return {name: value for name, value in found.items() if name in self.parameters}

    def arguments(
        self,
        prompts: Sequence[str],
        sizes: Sizes,
        steps: int,
        output_type: str = "pt",
        whole: bool = True,
        skips: bool | None = None,
    ) -> dict[str, Any]:
        """Keyword arguments of a call for these prompts.

        Args:
            prompts: of the call.
            sizes: of its latents.
            steps: of its loop, unless the options state it.
            output_type: of what it returns.
            whole: decoded in one piece.
            skips: whether a pipeline that changes a clip skips the steps before its ``strength``. By default it does where the
                number of steps is stated; else an evaluation is a step by itself, and none is skipped.
        """
        one = len(prompts) == 1
        found: dict[str, Any] = {**self.options, **sizes}
        given = {
            "prompt": prompts[0] if one else list(prompts),
            _COUNT: self.steps or steps,
            "generator": self._generator() if one else [self._generator() for _ in prompts],
            "output_type": output_type,
        }
        found |= {name: value for name, value in given.items() if name in self.parameters}
        if not (self.steps is not None if skips is None else skips) and _STRENGTH in self.parameters:
            found[_STRENGTH] = 1.0
        if whole and "decode_chunk_size" in self.parameters:
            found["decode_chunk_size"] = _WHOLE
        if not one and "negative_prompt" in self.parameters:
            negative = found.get("negative_prompt", self.parameters["negative_prompt"].default)
            if isinstance(negative, str):
                found["negative_prompt"] = [negative] * len(prompts)
        return found

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


@cache
def _parameters(kind: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind.__call__).parameters
